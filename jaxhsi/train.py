"""``jaxhsi train dgc`` and ``gmcr``: from files to a folder of results, no labels."""

import sys
from collections.abc import Sequence
from pathlib import Path

from jaxhsi.closest_name import closest_name
from jaxhsi.command_line import Command
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.files import whole_config_file
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.config.parser import option_value
from jaxhsi.training.run_folder import CONFIG_FILE

USAGE = """usage: jaxhsi train METHOD [--config FILE] [--option VALUE ...]

  dgc    segment hyperspectral cubes without labels
  gmcr   find the components of mixed spectra, their number and their concentrations

jaxhsi train METHOD --help lists the options; without any, a command makes data with known truth
and scores what it finds.
"""

FLAGS = {
    "resume": "go on with the run in --out, with its options",
    "overwrite": "delete the run in --out first",
    "profile": "trace a few steps into the folder profile, for Perfetto or XProf",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors of the user are one line, without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]].run(arguments[1:])
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if arguments:
        closest = closest_name(arguments[0], tuple(COMMANDS))
        hint = f"; did you mean {closest}?" if closest else ""
        print(f"error: there is no method {arguments[0]!r}{hint}", file=sys.stderr)
    print(USAGE, file=sys.stderr)
    return 2


def _saved_options(arguments: Sequence[str]) -> list[str]:
    """The options of the run that is resumed; others given now come after them."""
    folder = option_value(arguments, "out")
    if "--resume" in arguments and folder and (Path(folder) / CONFIG_FILE).is_file():
        return ["--config", str(whole_config_file(Path(folder)))]
    return []


COMMANDS = {
    "dgc": Command(
        name="train dgc",
        config=DGCConfig,
        action="jaxhsi.workflows.dgc_run:run_dgc",
        is_shared=True,
        keeps_memory=True,
        flags=FLAGS,
        leading_arguments=_saved_options,
        way_on="add --resume to the command to go on from what is saved",
    ),
    "gmcr": Command(
        name="train gmcr",
        config=GMCRConfig,
        action="jaxhsi.workflows.gmcr_run:run_gmcr",
        is_shared=True,
        flags=FLAGS,
        leading_arguments=_saved_options,
        way_on="add --resume to the command to go on from what is saved",
    ),
}

if __name__ == "__main__":
    sys.exit(main())
