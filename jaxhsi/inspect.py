"""``jaxhsi inspect FILE ...``: what would be read, and the option that changes it."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.ingest import READING_FLAGS
from jaxhsi.config.inspect import InspectConfig

COMMAND = Command(
    name="inspect",
    config=InspectConfig,
    action="jaxhsi.workflows.inspect_run:inspect_all",
    flags=READING_FLAGS,
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
