"""``jaxhsi cache``: what is kept between commands, and how much room it takes."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.cache import CacheConfig

COMMAND = Command(
    name="cache",
    config=CacheConfig,
    action="jaxhsi.workflows.cache_run:show_cache",
    flags={"clear": "delete all of it"},
    way_on="run the command again",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
