"""``jaxhsi evaluate FOLDER --labels PATH``: score label maps against true classes."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import Command
from jaxhsi.config.predict import EvaluateConfig

COMMAND = Command(
    name="evaluate",
    config=EvaluateConfig,
    action="jaxhsi.workflows.evaluate_run:evaluate_label_maps",
    flags={
        "ignore_groups": "score the clusters, whatever groups are saved with the run",
    },
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `jaxhsi.command_line.run_command`.

    Args:
        arguments: of the command line; those of the process if None.
    """
    return COMMAND.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
