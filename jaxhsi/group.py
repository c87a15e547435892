"""``jaxhsi group RUN``: show the tree of clusters of a run, and save groups of them."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.group import GroupConfig

COMMAND = Command(
    name="group",
    config=GroupConfig,
    action="jaxhsi.workflows.group_run:group_clusters",
    flags={
        "overwrite": "replace the groups that are saved with the run",
    },
    malloc_arenas=1,
    way_on="run the command again",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
