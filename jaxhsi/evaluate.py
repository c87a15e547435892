"""``python -m jaxhsi.evaluate FOLDER --labels PATH``: score label maps against true classes."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import run_command
from jaxhsi.config.predict import EvaluateConfig
from jaxhsi.workflows.evaluate_run import evaluate_label_maps

COMMAND_FLAGS = {"ignore_groups": "score the clusters, whatever groups are saved with the run"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        0, or 1 after an error that the user can correct, printed without a traceback.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    prog = "python -m jaxhsi.evaluate"
    return run_command(prog, EvaluateConfig, evaluate_label_maps, arguments, flags=COMMAND_FLAGS)


if __name__ == "__main__":
    sys.exit(main())
