"""``python -m jaxhsi.ingest SRC... DST``: from files of any format to stores."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from jaxhsi.command_line import run_command
from jaxhsi.config.ingest import READING_FLAGS, IngestConfig
from jaxhsi.data.cache import default_cache_folder
from jaxhsi.data.cube import Cube
from jaxhsi.data.formats.band_files import are_single_bands, write_band_stack
from jaxhsi.data.formats.raster_url import raster_url, write_url_raster
from jaxhsi.data.formats.reference_files import capture_cube
from jaxhsi.data.ingest.pipeline import ingest, plan_ingest
from jaxhsi.data.statistics import stored_statistics

PROGRESS_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    DownloadColumn(),
    TransferSpeedColumn(),
    TextColumn("left"),
    TimeRemainingColumn(),
)


FLAGS = {**READING_FLAGS, "overwrite": "replace stores, each once the new one is whole"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors that a user can mend are told in a line, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prog = "python -m jaxhsi.ingest"
    return run_command(prog, IngestConfig, ingest_all, arguments, flags=FLAGS)


def pair_sources(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Each source with its store: the last path itself if it is one .zarr, else inside of it.

    Several files of one band each make one store, as a virtual raster in the cache folder.

    Raises:
        ValueError: no destination, or sources that would get the same name.
    """
    *sources, destination = paths
    sources = [_local_source(source) for source in sources]
    if not sources:
        raise ValueError(f"only {destination} is given; give SRC... and then DST")
    if destination.suffix == ".zarr":
        if len(sources) == 1:
            return [(sources[0], destination)]
        if not are_single_bands(sources):
            raise ValueError(
                f"{len(sources)} cubes do not fit into one store {destination}; give a folder. "
                "Only files of one band each are stacked into one"
            )
        stack = write_band_stack(sources, default_cache_folder(), destination.stem)
        return [(stack, destination)]
    if destination.is_file():
        raise ValueError(f"{destination} is a file; give a store NAME.zarr or a folder as the last")
    for name, count in Counter(source.stem for source in sources).items():
        if count > 1:
            raise ValueError(
                f"{count} sources are named {name}, and their stores would be too; ingest them one "
                "by one, to different names"
            )
    return [(source, destination / f"{source.stem}.zarr") for source in sources]


def _local_source(source: Path) -> Path:
    """A source as a local file: the cube of a capture folder, or what stands for an address."""
    url = raster_url(str(source))
    if url is not None:
        return write_url_raster(url, default_cache_folder())
    return capture_cube(source) or source


def ingest_all(
    config: IngestConfig,
    *,
    keep_bands: bool = False,
    orthorectify: bool = False,
    raw: bool = False,
    overwrite: bool = False,
) -> None:
    """Check every source, then copy one after the other.

    Args:
        config: options.
        keep_bands: do not drop what the files mark as bad, and bands without measurements.
        orthorectify: bring the pixels to a map by the geolocation tables of the files.
        raw: do not apply scale and offset of the files.
        overwrite: replace stores.

    Raises:
        ValueError, OSError, ImportError: as `ingesting.ingest`.
    """
    source_pairs = pair_sources(config.paths)
    ingest_arguments = {
        "key": config.key,
        "layout": config.layout,
        "size": config.size,
        "options": replace(
            config.ingest_options(), keep_bands=keep_bands, orthorectify=orthorectify, raw=raw
        ),
        "overwrite": overwrite,
    }
    for source, destination in source_pairs:
        plan_ingest(source, destination, **ingest_arguments)
    for source, destination in source_pairs:
        with Progress(*PROGRESS_COLUMNS) as progress_bar:
            bar_task = progress_bar.add_task(source.name, total=None)

            def show(done: int, total: int, bar=progress_bar, task=bar_task) -> None:
                bar.update(task, completed=done, total=total)

            cube = ingest(source, destination, on_progress=show, **ingest_arguments)
        shape = " x ".join(map(str, cube.shape))
        print(f"{destination}: {shape} {cube.array.dtype.name}, {_valid_share(cube)} valid pixels")


def _valid_share(cube: Cube) -> str:
    """Pixels with a value in every band, in per cent; 0 and 100 are exact."""
    statistics = stored_statistics(cube)
    assert statistics is not None  # every ingest keeps them
    share = statistics.valid_share
    return "100 %" if share == 1 else f"{min(max(share, 0.001), 0.999):.1%}".replace("%", " %")


if __name__ == "__main__":
    sys.exit(main())
