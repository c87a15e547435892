"""``python -m jaxhsi.predict RUN CUBE ...``: label cubes with a trained run of dgc."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import run_command
from jaxhsi.config.predict import PredictConfig
from jaxhsi.workflows.predict_run import predict_cubes

COMMAND_FLAGS = {
    "ignore_groups": "the clusters themselves, whatever groups are saved with the run",
    "envi": "write ENVI classification files too",
    "geotiff": "write GeoTIFF files of all cubes, not only of those with a coordinate system",
    "overwrite": "delete the predictions in --out first",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors that a user can mend are told in a line, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prog = "python -m jaxhsi.predict"
    # Little is compiled here, and much unpacked.
    return run_command(
        prog, PredictConfig, predict_cubes, arguments, flags=COMMAND_FLAGS, malloc_arenas=1
    )


if __name__ == "__main__":
    sys.exit(main())
