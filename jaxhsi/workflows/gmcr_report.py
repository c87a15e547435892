"""What the report of an unmixing run shows."""

from pathlib import Path
from typing import Any


def gmcr_report_data(folder: Path, *, thinning: float = 1.0) -> dict[str, Any]:
    raise NotImplementedError
