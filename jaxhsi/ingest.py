"""``jaxhsi ingest SRC ... DST``: from files of any format to stores."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import Command
from jaxhsi.config.ingest import READING_FLAGS, IngestConfig

COMMAND = Command(
    name="ingest",
    config=IngestConfig,
    action="jaxhsi.workflows.ingest_run:ingest_all",
    flags={**READING_FLAGS, "overwrite": "replace stores, each once the new one is whole"},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`.

    Args:
        arguments: of the command line; those of the process if None.
    """
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
