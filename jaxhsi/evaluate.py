"""``jaxhsi evaluate FOLDER --labels PATH``: score label maps against true classes."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.parts import MERGE_HELP
from jaxhsi.config.predict import EvaluateConfig

COMMAND = Command(
    name="evaluate",
    config=EvaluateConfig,
    action="jaxhsi.workflows.evaluate_run:evaluate_label_maps",
    flags={
        "ignore_groups": "score the clusters, whatever groups are saved with the run",
        "merge_parts": MERGE_HELP,
    },
    way_on="run the command again",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
