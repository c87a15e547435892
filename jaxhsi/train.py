"""``python -m jaxhsi.train dgc`` and ``gmcr``: from files to a folder of results, no labels."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.files import config_parser, parsed_config
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.runtime.folder import CONFIG
from jaxhsi.segmentation import segment
from jaxhsi.unmixing import unmix_table

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


COMMANDS = {"dgc": Command(DGCConfig, segment), "gmcr": Command(GMCRConfig, unmix_table)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors that a user can mend are told in a line, without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("jaxhsi").setLevel(logging.INFO)
    if not arguments or arguments[0] not in COMMANDS:
        asked = arguments[:1] in (["-h"], ["--help"])
        print(USAGE, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    return train(arguments[0], arguments[1:])


def train(name: str, arguments: Sequence[str]) -> int:
    """``python -m jaxhsi.train NAME``."""
    command = COMMANDS[name]
    parser = config_parser(command.config, prog=f"python -m jaxhsi.train {name}")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out, with its options"
    )
    parser.add_argument("--overwrite", action="store_true", help="delete the run in --out first")
    flags = parser.parse_args(list(arguments))
    if flags.resume and flags.out is not None and (saved := flags.out / CONFIG).is_file():
        flags = parser.parse_args(["--config", str(saved), *arguments])
    try:
        config = parsed_config(command.config, parser, flags)
        command.run(config, resume=flags.resume, overwrite=flags.overwrite)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        if os.environ.get("JAXHSI_TRACEBACK"):
            raise
        print(f"error: {error}\n(JAXHSI_TRACEBACK=1 shows where)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
