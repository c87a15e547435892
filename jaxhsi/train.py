"""``python -m jaxhsi.train dgc`` and ``gmcr``: from files to a folder of results, no labels."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxhsi.command_line import run_command
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.config.parser import option_value
from jaxhsi.training.run_folder import CONFIG_FILE
from jaxhsi.workflows.dgc_run import run_dgc
from jaxhsi.workflows.gmcr_run import run_gmcr

USAGE = """usage: python -m jaxhsi.train COMMAND [--config FILE] [--option VALUE ...]

  dgc    segment hyperspectral cubes without labels
  gmcr   find the components of mixed spectra, their number and their concentrations

python -m jaxhsi.train COMMAND --help lists the options; without any, a command makes data with
known truth and scores what it finds.
"""


class Command(NamedTuple):
    """A run of one kind.

    Attributes:
        config: class of its options.
        run: ``run(config, resume=..., overwrite=...)``.
    """

    config: type
    run: Callable[..., Any]


COMMANDS = {"dgc": Command(DGCConfig, run_dgc), "gmcr": Command(GMCRConfig, run_gmcr)}


FLAGS = {
    "resume": "go on with the run in --out, with its options",
    "overwrite": "delete the run in --out first",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors of the user are one line, without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        asked = arguments[:1] in (["-h"], ["--help"])
        print(USAGE, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    name = arguments[0]
    return run_command(
        f"python -m jaxhsi.train {name}",
        COMMANDS[name].config,
        COMMANDS[name].run,
        arguments[1:],
        flags=FLAGS,
        leading_arguments=_saved_options,
    )


def _saved_options(arguments: Sequence[str]) -> list[str]:
    """The options of the run that is resumed; others given now come after them."""
    folder = option_value(arguments, "out")
    if "--resume" in arguments and folder and (saved := Path(folder) / CONFIG_FILE).is_file():
        return ["--config", str(saved)]
    return []


if __name__ == "__main__":
    sys.exit(main())
