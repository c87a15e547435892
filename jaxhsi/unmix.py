"""``jaxhsi unmix RUN DATA ...``: unmix new spectra with a finished run of gmcr."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.parts import MERGE_HELP
from jaxhsi.config.unmix import UnmixConfig

COMMAND = Command(
    name="unmix",
    config=UnmixConfig,
    action="jaxhsi.workflows.unmix_run:unmix_new_data",
    flags={
        "merge_parts": MERGE_HELP,
        "overwrite": "delete the concentrations in --out first",
        "profile": "trace a few tiles into the folder profile, for Perfetto or XProf",
    },
    malloc_arenas=1,  # little is compiled here, and much unpacked
    way_on="the same command goes on",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
