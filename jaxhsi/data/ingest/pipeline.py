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
    with _planned(source, key, layout, size, options or IngestOptions()) as (_, plan):
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
        source: file to read, see `formats.FORMATS`.
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
    with _planned(source, key, layout, size, options) as (volume, plan):
        logging.getLogger(__name__).info("%s: %s", source, "; ".join(plan.history))
        facts = (_states(source, volume.path, options), key, plan.layout, size, options)
        opened = write_resumable_cube(
            destination,
            _metadata(plan),
            repr(facts),
            bytes_per_pixel=plan.bytes_per_pixel,
            overwrite=overwrite,
        )
        with opened as cube:
            running = _copy(volume, plan, cube, on_progress)
            pixels = plan.shape[0] * plan.shape[1]
            cube.finish({"statistics": running.result(pixels).to_json()})
    return open_cube(destination)


@contextmanager
def _planned(
    source: Path,
    key: str | None,
    layout: str | None,
    size: tuple[int, int] | None,
    changes: IngestOptions,
) -> Iterator[tuple[Volume, IngestPlan]]:
    if changes.dark is not None and changes.white is None:
        raise ValueError(f"--dark {changes.dark} needs --white too; without it there is no scale")
    with file_format(source).open_volume(source, key=key, size=size) as volume:
        reference = None
        if changes.white is not None:
            known, shape = resolve_layout(volume, layout)
            reference = read_reference(changes.white, changes.dark, source, shape, known)
        yield volume, make_ingest_plan(volume, layout, changes, reference)


def _metadata(plan: IngestPlan) -> dict[str, Any]:
    """Of the store, sharded where it is large."""
    shape, dtype = plan.shape, plan.conversion.dtype
    block = default_chunk_shape(shape, dtype.itemsize)
    large = np.prod(shape, dtype=np.int64) * dtype.itemsize > MIN_SHARDED_BYTES
    return cube_metadata(
        shape,
        dtype,
        wavelengths=plan.wavelengths,
        no_data=plan.conversion.stored_no_data,
        history=plan.history,
        georeference=plan.georeference,
        units=plan.value_units,
        chunk_shape=block,
        shard_shape=default_shard_shape(shape, block, plan.bytes_per_pixel) if large else None,
    )


def _states(source: Path, data: Path, changes: IngestOptions) -> list[tuple[str, int, int]]:
    """Path, length and time of change of every file that the values depend on."""
    given = (source, data, source_header(source), changes.white, changes.dark)
    states = [(path, path.stat()) for path in given if path is not None]
    return [(str(path.resolve()), state.st_size, state.st_mtime_ns) for path, state in states]


def _copy(
    volume: Volume, plan: IngestPlan, cube: ResumableCube, progress: OnBytesDone
) -> RunningStatistics:
    """Write the slabs that are missing, each while the next is read."""
    height, width, bands = plan.source_shape
    line = bands * plan.source_dtype.itemsize
    running = (
        RunningStatistics(plan.shape[2])
        if cube.resume_state is None
        else RunningStatistics.from_state_json(cube.resume_state)
    )
    places = cube.slab_tiles[cube.num_done :]
    done = sum(place.height * place.width for place in cube.slab_tiles[: cube.num_done])
    progress(done * line, height * width * line)
    with (
        ThreadPoolExecutor(NUM_THREADS) as workers,
        closing(prefetch(lambda place: _slab(volume, plan, place, workers), places)) as slabs,
    ):
        for place in places:
            slab, seen = next(slabs)
            for part in seen:
                running.merge(part)
            cube.write_slab(slab, running.state_to_json())
            del slab
            done += place.height * place.width
            progress(done * line, height * width * line)
    return running


def _slab(
    volume: Volume, plan: IngestPlan, place: Tile, workers: ThreadPoolExecutor
) -> tuple[np.ndarray, list[RunningStatistics]]:
    """A slab as it is stored, and the statistics of its parts in their order."""
    rows, columns = place.slices
    values = read_image_part(volume, plan.layout, rows, columns, plan.conversion.band_slice)
    slab = np.empty((place.height, place.width, plan.conversion.num_bands), plan.conversion.dtype)

    def prepare(top: int) -> RunningStatistics:
        seen = RunningStatistics(plan.conversion.num_bands)
        for row in range(top, min(top + ROWS_PER_TASK, place.height)):  # a row stays in the cache
            line = slab[row : row + 1]
            line[...] = plan.conversion.apply(values[row : row + 1], columns)
            seen.add(_valid(line, plan.conversion.stored_no_data))
        return seen

    return slab, list(workers.map(prepare, range(0, place.height, ROWS_PER_TASK)))


def _valid(values: np.ndarray, no_data: float | None) -> np.ndarray:
    """Spectra (n, c) of (h, w, c) that miss no band, as when windows are read."""
    if values.dtype.kind in "iu" and no_data is None:
        return values.reshape(-1, values.shape[-1])
    return values[np.isfinite(to_float32(values, no_data)).all(axis=-1)]
