"""``jaxhsi ingest SRC ... DST``: from files of any format to stores."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.ingest import READING_FLAGS, IngestConfig
from jaxhsi.config.parts import MERGE_HELP

COMMAND = Command(
    name="ingest",
    config=IngestConfig,
    action="jaxhsi.workflows.ingest_run:ingest_all",
    flags={
        **READING_FLAGS,
        "merge_parts": MERGE_HELP,
        "overwrite": "replace stores, each once the new one is whole",
    },
    way_on="the same command goes on",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
