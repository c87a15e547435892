"""``python -m jaxhsi.train dgc``: train on spectra without labels."""

import logging
import os
import sys
from collections.abc import Sequence

from jaxhsi.config import dgc_config, dgc_parser
from jaxhsi.runtime.folder import CONFIG
from jaxhsi.segmentation import segment

USAGE = """usage: python -m jaxhsi.train dgc [--config FILE] [--option VALUE ...]

  dgc   segment hyperspectral cubes without labels

python -m jaxhsi.train dgc --help lists the options; without any, it makes leaf scenes with
known truth, trains on some and segments the others.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors that a user can mend are told in a line, without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("jaxhsi").setLevel(logging.INFO)
    if arguments[:1] != ["dgc"]:
        asked = arguments[:1] in (["-h"], ["--help"])
        print(USAGE, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    return train_dgc(arguments[1:])


def train_dgc(arguments: Sequence[str]) -> int:
    """``python -m jaxhsi.train dgc``."""
    parser = dgc_parser(prog="python -m jaxhsi.train dgc")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out, with its options"
    )
    parser.add_argument("--overwrite", action="store_true", help="delete the run in --out first")
    flags = parser.parse_args(list(arguments))
    if flags.resume and flags.out is not None and (saved := flags.out / CONFIG).is_file():
        flags = parser.parse_args(["--config", str(saved), *arguments])
    try:
        config = dgc_config(parser, flags)
        segment(config, resume=flags.resume, overwrite=flags.overwrite)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        if os.environ.get("JAXHSI_TRACEBACK"):
            raise
        print(f"error: {error}\n(JAXHSI_TRACEBACK=1 shows where)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
