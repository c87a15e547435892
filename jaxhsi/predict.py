"""``jaxhsi predict RUN CUBE ...``: label cubes with a trained run of dgc."""

import sys

from jaxhsi.command_line import Command
from jaxhsi.config.parts import MERGE_HELP
from jaxhsi.config.predict import PredictConfig

COMMAND = Command(
    name="predict",
    config=PredictConfig,
    action="jaxhsi.workflows.predict_run:predict_cubes",
    flags={
        "ignore_groups": "label by clusters, whatever groups are saved with the run",
        "envi": "write ENVI classification files too",
        "geotiff": "write GeoTIFF files of all cubes, not only of those with a coordinate system",
        "merge_parts": MERGE_HELP,
        "overwrite": "delete the predictions in --out first",
        "profile": "trace a few tiles into the folder profile, for Perfetto or XProf",
    },
    # One arena keeps the memory small: little is compiled here, and many blocks are decompressed.
    malloc_arenas=1,
    way_on="the same command goes on",
)

main = COMMAND.run

if __name__ == "__main__":
    sys.exit(main())
