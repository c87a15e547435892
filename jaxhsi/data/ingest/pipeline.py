"""From a file to a store: one pass, in memory that does not grow with the cube."""

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.formats import file_format
from jaxhsi.data.formats.volume import Volume, read_image_part, resolve_layout
from jaxhsi.data.ingest.plan import IngestOptions, IngestPlan, make_ingest_plan
from jaxhsi.data.ingest.references import read_reference, source_header
from jaxhsi.data.ingest.reflectance import to_float32
from jaxhsi.data.ingest.resumable_writer import (
    ResumableCube,
    check_destination,
    write_resumable_cube,
)
from jaxhsi.data.prefetch import prefetch
from jaxhsi.data.statistics import RunningStatistics
from jaxhsi.data.tiles import Tile
from jaxhsi.data.zarr_writer import cube_metadata, default_chunk_shape, default_shard_shape

MIN_SHARDED_BYTES = 2**30  # bytes of a cube above which many blocks share a file
ROWS_PER_TASK = 8  # of a slab that one thread prepares at a time
NUM_THREADS = min(4, os.cpu_count() or 1)

OnBytesDone = Callable[[int, int], None]
"""Called with the bytes of the file that are done and with all of them."""


def plan_ingest(
    source: Path,
    destination: Path,
    *,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    options: IngestOptions | None = None,
    overwrite: bool = False,
) -> IngestPlan:
    """What `ingest` would do, without writing; arguments and errors as there."""
    check_destination(destination, overwrite)
    with _opened_with_plan(source, key, layout, size, options or IngestOptions()) as (_, plan):
        return plan


def ingest(
    source: Path,
    destination: Path,
    *,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    options: IngestOptions | None = None,
    overwrite: bool = False,
    on_progress: OnBytesDone = lambda done, total: None,
) -> Cube:
    """Copy the cube in a file into a new Zarr v3 store.

    The next slab is read while the one before is written, so that two are in memory. Statistics
    of the valid pixels are gathered on the way. A call that was interrupted is gone on with by the
    same call, and leads to the same store byte for byte.

    Args:
        source: file to read, see `formats.FORMATS_BY_SUFFIX`.
        destination: folder to make.
        key: name of the array inside of the file; guessed where there is no choice.
        layout: "hwc" or "chw" where `volume.guess_layout` errs or gives up.
        size: (H, W) of an array (C, H * W), whose pixels run down the columns.
        options: to the values; none by default: they keep their type, NaN and infinities too,
            which are masked when windows are read.
        overwrite: replace the store at `destination`, once the new one is whole.
        on_progress: told of every slab.

    Returns:
        The opened store, bands last; its history says every step.

    Raises:
        FileNotFoundError: no such file.
        FileExistsError: something is at `destination`.
        OSError: the disk is full; the same call later goes on.
        ValueError: unreadable file, unknown key, array that is no cube, unclear layout, changes
            that do not fit the file.
        ImportError: the format needs a package that is not installed.
    """
    options = options or IngestOptions()
    check_destination(destination, overwrite)
    with _opened_with_plan(source, key, layout, size, options) as (volume, plan):
        logging.getLogger(__name__).info("%s: %s", source, "; ".join(plan.history))
        inputs = (_file_states(source, volume.path, options), key, plan.layout, size, options)
        writer = write_resumable_cube(
            destination,
            _store_metadata(plan),
            repr(inputs),
            bytes_per_pixel=plan.bytes_per_pixel,
            overwrite=overwrite,
        )
        with writer as cube:
            running_statistics = _copy_slabs(volume, plan, cube, on_progress)
            num_pixels = plan.shape[0] * plan.shape[1]
            cube.finish({"statistics": running_statistics.result(num_pixels).to_json()})
    return open_cube(destination)


@contextmanager
def _opened_with_plan(
    source: Path,
    key: str | None,
    layout: str | None,
    size: tuple[int, int] | None,
    options: IngestOptions,
) -> Iterator[tuple[Volume, IngestPlan]]:
    if options.dark is not None and options.white is None:
        raise ValueError(f"--dark {options.dark} needs --white too; without it there is no scale")
    with file_format(source).open_volume(source, key=key, size=size) as volume:
        reference = None
        if options.white is not None:
            known_layout, cube_shape = resolve_layout(volume, layout)
            reference = read_reference(
                options.white, options.dark, source, cube_shape, known_layout
            )
        yield volume, make_ingest_plan(volume, layout, options, reference)


def _store_metadata(plan: IngestPlan) -> dict[str, Any]:
    """Of the store, sharded where it is large."""
    shape, dtype = plan.shape, plan.conversion.dtype
    chunk_shape = default_chunk_shape(shape, dtype.itemsize)
    is_large = np.prod(shape, dtype=np.int64) * dtype.itemsize > MIN_SHARDED_BYTES
    return cube_metadata(
        shape,
        dtype,
        wavelengths=plan.wavelengths,
        no_data=plan.conversion.stored_no_data,
        history=plan.history,
        georeference=plan.georeference,
        units=plan.value_units,
        chunk_shape=chunk_shape,
        shard_shape=default_shard_shape(shape, chunk_shape, plan.bytes_per_pixel)
        if is_large
        else None,
    )


def _file_states(
    source_path: Path, data_path: Path, options: IngestOptions
) -> list[tuple[str, int, int]]:
    """Path, length and time of change of every file that the values depend on."""
    if source_path.is_dir():
        input_paths = (*sorted(source_path.iterdir()), options.white, options.dark)
    else:
        header = source_header(source_path)
        input_paths = (source_path, data_path, header, options.white, options.dark)
    states = [(path, path.stat()) for path in input_paths if path is not None]
    return [(str(path.resolve()), state.st_size, state.st_mtime_ns) for path, state in states]


def _copy_slabs(
    volume: Volume, plan: IngestPlan, cube: ResumableCube, on_progress: OnBytesDone
) -> RunningStatistics:
    """Write the slabs that are missing, each while the next is read."""
    height, width, bands = plan.source_shape
    line_bytes = bands * plan.source_dtype.itemsize
    running_statistics = (
        RunningStatistics(plan.shape[2])
        if cube.resume_state is None
        else RunningStatistics.from_state_json(cube.resume_state)
    )
    missing_tiles = cube.slab_tiles[cube.num_done :]
    pixels_done = sum(place.height * place.width for place in cube.slab_tiles[: cube.num_done])
    on_progress(pixels_done * line_bytes, height * width * line_bytes)
    with (
        ThreadPoolExecutor(NUM_THREADS) as workers,
        closing(
            prefetch(lambda place: _read_slab(volume, plan, place, workers), missing_tiles)
        ) as slabs,
    ):
        for place in missing_tiles:
            slab, part_statistics = next(slabs)
            for part in part_statistics:
                running_statistics.merge(part)
            cube.write_slab(slab, running_statistics.state_to_json())
            del slab
            pixels_done += place.height * place.width
            on_progress(pixels_done * line_bytes, height * width * line_bytes)
    return running_statistics


def _read_slab(
    volume: Volume, plan: IngestPlan, slab_tile: Tile, workers: ThreadPoolExecutor
) -> tuple[np.ndarray, list[RunningStatistics]]:
    """A slab as it is stored, and the statistics of its parts in their order."""
    rows, columns = slab_tile.slices
    source_values = read_image_part(volume, plan.layout, rows, columns, plan.conversion.band_slice)
    valid_mask = None if volume.read_mask is None else volume.read_mask(rows, columns)
    slab = np.empty(
        (slab_tile.height, slab_tile.width, plan.conversion.num_bands), plan.conversion.dtype
    )

    def prepare(top: int) -> RunningStatistics:
        seen = RunningStatistics(plan.conversion.num_bands)
        for row in range(
            top, min(top + ROWS_PER_TASK, slab_tile.height)
        ):  # a row stays in the cache
            line = slab[row : row + 1]
            line[...] = plan.conversion.apply(source_values[row : row + 1], columns)
            if valid_mask is not None:
                line[0, ~valid_mask[row]] = plan.conversion.invalid_value
            seen.add(_valid_spectra(line, plan.conversion.stored_no_data))
        return seen

    return slab, list(workers.map(prepare, range(0, slab_tile.height, ROWS_PER_TASK)))


def _valid_spectra(values: np.ndarray, no_data_value: float | None) -> np.ndarray:
    """Spectra (n, c) of (h, w, c) that miss no band, as when windows are read."""
    if values.dtype.kind in "iu" and no_data_value is None:
        return values.reshape(-1, values.shape[-1])
    return values[np.isfinite(to_float32(values, no_data_value)).all(axis=-1)]
