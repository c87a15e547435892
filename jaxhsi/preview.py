"""``jaxhsi preview CUBE``: one contact sheet of a cube under each normalisation, in seconds."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import Command
from jaxhsi.config.preview import PreviewConfig

COMMAND = Command(
    name="preview",
    config=PreviewConfig,
    action="jaxhsi.workflows.preview_run:preview_cube",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`.

    Args:
        arguments: of the command line; those of the process if None.
    """
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
