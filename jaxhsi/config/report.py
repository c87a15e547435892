"""Options of ``python -m jaxhsi.report``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportConfig:
    """Make one HTML file of a run, to look at without a server or a network.

    Attributes:
        run: folder of a run of train, finished or not, or of what predict wrote.
        out: file of the report; report.html in the folder of the run if not given.
    """

    run: Path
    out: Path | None = None
