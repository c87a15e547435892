"""``jaxhsi preview CUBE``: one contact sheet of a cube under each normalisation, in seconds."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.preview import PreviewConfig

COMMAND = Command(
    name="preview",
    config=PreviewConfig,
    action="jaxhsi.workflows.preview_run:preview_cube",
    way_on="run the command again",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
