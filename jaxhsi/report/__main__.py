"""``python -m jaxhsi.report RUN``: one HTML file of a run, to look at and to group clusters in."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import run_command
from jaxhsi.config.report import ReportConfig
from jaxhsi.workflows.run_report import write_report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prog = "python -m jaxhsi.report"
    return run_command(prog, ReportConfig, write_report, arguments, malloc_arenas=1)


if __name__ == "__main__":
    sys.exit(main())
