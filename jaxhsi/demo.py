"""``jaxhsi demo``: both methods on small built-in data."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import Command
from jaxhsi.config.demo import DemoConfig

COMMAND = Command(
    name="demo",
    config=DemoConfig,
    action="jaxhsi.workflows.demo_run:run_demo",
    flags={"overwrite": "delete the runs in --out first"},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`.

    Args:
        arguments: of the command line; those of the process if None.
    """
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
