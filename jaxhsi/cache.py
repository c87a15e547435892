"""``jaxhsi cache``: what is kept between commands, and how much room it takes."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import Command
from jaxhsi.config.cache import CacheConfig

COMMAND = Command(
    name="cache",
    config=CacheConfig,
    action="jaxhsi.workflows.cache_run:show_cache",
    flags={"clear": "delete all of it"},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`.

    Args:
        arguments: of the command line; those of the process if None.
    """
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
