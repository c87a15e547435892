"""``python -m jaxhsi.predict RUN CUBE ...``: label cubes with a trained run of dgc."""

import sys
from collections.abc import Sequence

from jaxhsi.command_line import run_command
from jaxhsi.config.predict import PredictConfig
from jaxhsi.workflows.predict_run import predict_cubes

COMMAND_FLAGS = {
    "ignore_groups": "label by clusters, whatever groups are saved with the run",
    "envi": "write ENVI classification files too",
    "geotiff": "write GeoTIFF files of all cubes, not only of those with a coordinate system",
    "overwrite": "delete the predictions in --out first",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        0, or 1 after an error that the user can correct, printed without a traceback.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    prog = "python -m jaxhsi.predict"
    # One arena keeps the memory small: little is compiled here, and many blocks are decompressed.
    return run_command(
        prog, PredictConfig, predict_cubes, arguments, flags=COMMAND_FLAGS, malloc_arenas=1
    )


if __name__ == "__main__":
    sys.exit(main())
