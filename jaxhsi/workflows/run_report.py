"""The report of a run: one HTML file that is looked at without a server or a network."""

from pathlib import Path
from typing import Any

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.config.files import saved_command
from jaxhsi.config.report import ReportConfig
from jaxhsi.report.html_page import render_page
from jaxhsi.storage.file_lock import locked_output
from jaxhsi.storage.replacement import replace_text
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.run_folder import CONFIG_FILE, PREDICT_CONFIG_FILE
from jaxhsi.workflows.dgc_report import dgc_report_data
from jaxhsi.workflows.gmcr_report import gmcr_report_data

REPORT_FILE = "report.html"

MAX_REPORT_BYTES = 10_000_000
"""Size of a report. Set by hand: a mail takes so much."""
_THINNING_STEPS = (1.0, 0.5, 0.25, 0.1)
"""Factors of maps and spectra that are tried until the report is small enough."""


def write_report(config: ReportConfig) -> dict[str, Any]:
    """Write the report of a run and say where it is.

    Args:
        config: the options.

    Returns:
        Path of the ``report`` and its size in ``bytes``.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: a run of another command, or damaged files.
        BlockingIOError: another process writes the same report.
    """
    _report_kind(config.run)
    path = config.out or config.run / REPORT_FILE
    with locked_output(path.with_name(f".{path.name}.lock"), path):
        return write_run_report(config)


def write_run_report(config: ReportConfig) -> dict[str, Any]:
    """`write_report` for the process that holds the folder of the run."""
    path, console = config.out or config.run / REPORT_FILE, PlainConsole()
    with ProgressBars(console) as progress_bars:
        report, notices = _make_page(config.run, progress_bars)
    replace_text(path, report)
    for notice in notices:
        console.print(f"{config.run}: {notice}", soft_wrap=True, highlight=False)
    size = len(report.encode())
    console.print(f"report: {path} ({size / 1e6:.1f} MB)", soft_wrap=True, highlight=False)
    return {"report": path, "bytes": size}


def make_report(folder: Path, on_progress: OnProgress = ignore_progress) -> str:
    """The page of a run of dgc or gmcr, finished or not, or of a prediction.

    Args:
        folder: of the run or prediction.
        on_progress: called after every cube, see `jaxhsi.callbacks`.

    Returns:
        HTML of less than 10 MB.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: a run of another command, or damaged files.
    """
    return _make_page(folder, on_progress)[0]


def _make_page(folder: Path, on_progress: OnProgress) -> tuple[str, list[str]]:
    """The page, and what it says of what is missing."""
    kind = _report_kind(folder)
    report = ""
    for thinning in _THINNING_STEPS:
        report_data = dgc_report_data if kind == "dgc" else gmcr_report_data
        data = report_data(folder, thinning=thinning, on_progress=on_progress)
        report = render_page(kind, f"{folder.resolve().name}: report", data)
        if len(report.encode()) < MAX_REPORT_BYTES:
            return report, data["notices"]
    raise ValueError(
        f"the report of {folder} has {len(report.encode()) / 1e6:.0f} MB and cannot be made smaller"
    )


def _report_kind(folder: Path) -> str:
    """Whose run is in a folder: "dgc" or "gmcr"."""
    if (folder / PREDICT_CONFIG_FILE).is_file():
        return "dgc"
    if not (folder / CONFIG_FILE).is_file():
        raise FileNotFoundError(
            f"{folder} holds no run (no {CONFIG_FILE}); name the folder of a run or prediction"
        )
    kind = saved_command(folder / CONFIG_FILE)
    if kind not in ("dgc", "gmcr"):
        raise ValueError(f"{folder} holds a run of {kind}; reports are of train dgc and train gmcr")
    return kind
