"""``jaxhsi report RUN``: one HTML file of a run, to look at and to group clusters in."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.report import ReportConfig

COMMAND = Command(
    name="report",
    config=ReportConfig,
    action="jaxhsi.workflows.run_report:write_report",
    malloc_arenas=1,
    way_on="run the command again",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
