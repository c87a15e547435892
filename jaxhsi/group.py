"""``python -m jaxhsi.group RUN``: show the tree of a run's clusters, and save groups of them."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import run_command
from jaxhsi.config.group import GroupConfig
from jaxhsi.workflows.group_run import group_clusters

COMMAND_FLAGS = {"overwrite": "replace the groups that are saved with the run"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prog = "python -m jaxhsi.group"
    return run_command(
        prog, GroupConfig, group_clusters, arguments, flags=COMMAND_FLAGS, malloc_arenas=1
    )


if __name__ == "__main__":
    sys.exit(main())
