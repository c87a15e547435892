"""``python -m jaxhsi.evaluate FOLDER --labels PATH``: score label maps against true classes."""

import sys
from collections.abc import Sequence

from jaxhsi.command import run_command
from jaxhsi.config.predict import EvaluateConfig
from jaxhsi.evaluation import evaluate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors that a user can mend are told in a line, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return run_command("python -m jaxhsi.evaluate", EvaluateConfig, evaluate, arguments)


if __name__ == "__main__":
    sys.exit(main())
