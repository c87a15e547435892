"""``jaxhsi demo``: both methods on small built-in data."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.demo import DemoConfig

COMMAND = Command(
    name="demo",
    config=DemoConfig,
    action="jaxhsi.workflows.demo_run:run_demo",
    flags={"overwrite": "delete the runs in --out first"},
    way_on="run the command again with --overwrite",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
