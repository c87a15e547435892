"""``python -m jaxhsi.unmix RUN DATA ...``: unmix new spectra with a finished run of gmcr."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import run_command
from jaxhsi.config.unmix import UnmixConfig
from jaxhsi.workflows.unmix_run import unmix_new_data

FLAGS = {"overwrite": "delete the concentrations in --out first"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors of a user are one line, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prog = "python -m jaxhsi.unmix"
    # Little is compiled here, and much unpacked.
    return run_command(prog, UnmixConfig, unmix_new_data, arguments, flags=FLAGS, malloc_arenas=1)


if __name__ == "__main__":
    sys.exit(main())
