"""``jaxhsi inspect FILE ...``: what would be read, and the option that changes it."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import Command
from jaxhsi.config.ingest import READING_FLAGS
from jaxhsi.config.inspect import InspectConfig

COMMAND = Command(
    name="inspect",
    config=InspectConfig,
    action="jaxhsi.workflows.inspect_run:inspect_all",
    flags=READING_FLAGS,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`.

    Args:
        arguments: of the command line; those of the process if None.
    """
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
