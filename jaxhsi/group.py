"""``jaxhsi group RUN``: show the tree of clusters of a run, and save groups of them."""

import sys
from collections.abc import Sequence

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
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`.

    Args:
        arguments: of the command line; those of the process if None.
    """
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
