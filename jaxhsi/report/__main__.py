"""``jaxhsi report RUN``: one HTML file of a run, to look at and to group clusters in."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import Command
from jaxhsi.config.report import ReportConfig

COMMAND = Command(
    name="report",
    config=ReportConfig,
    action="jaxhsi.workflows.run_report:write_report",
    malloc_arenas=1,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`.

    Args:
        arguments: of the command line; those of the process if None.
    """
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
