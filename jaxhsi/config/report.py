"""Options of ``jaxhsi report``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class ReportConfig:
    """Make one HTML file of a run, to look at without a server or a network.

    Attributes:
        run: folder of a run of train, finished or not, or of what predict wrote.
        out: file of the report; report.html in the folder of the run if not given.
    """

    example: ClassVar[str] = "jaxhsi report runs/field"
    run: Path
    out: Path | None = None
