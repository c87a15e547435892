"""From a file to a store: one pass, in memory that does not grow with the cube."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.cache import fingerprint
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.formats import file_format
from jaxhsi.data.formats.reference_files import find_references
from jaxhsi.data.formats.volume import Volume, choose_axis_order, resolve_layout
from jaxhsi.data.ingest.band_selection import format_band_list
from jaxhsi.data.ingest.copy_slabs import OnBytesDone, copy_slabs
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.plan import IngestPlan, make_ingest_plan
from jaxhsi.data.ingest.references import choose_references, read_reference, source_header
from jaxhsi.data.ingest.resumable_writer import (
    check_destination,
    write_resumable_cube,
)
from jaxhsi.data.ingest.value_counts import ValueCounts
from jaxhsi.data.statistics import BandStatistics
from jaxhsi.data.store_group import DEFAULT_ARRAY
from jaxhsi.data.zarr_writer import cube_metadata, default_chunk_shape, default_shard_shape

INPUTS_KEY = "inputs"
"""Attribute of a store: the fingerprint of the files and options that it was made of."""
MIN_SHARDED_BYTES = 2**30  # bytes of a cube above which many blocks share a file


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
    with opened_with_plan(source, key, layout, size, options or IngestOptions()) as (_, plan):
        return plan


def holds_ingest(
    source: Path,
    destination: Path,
    *,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    options: IngestOptions | None = None,
) -> bool:
    """Whether the store that `ingest` would make is there; arguments and errors as there."""
    if not destination.exists():
        return False
    options = options or IngestOptions()
    with opened_with_plan(source, key, layout, size, options) as (volume, plan):
        inputs = _inputs_of(source, volume, key, plan, size, options)
    metadata = open_cube(destination).array.spec().to_json()["metadata"]
    return metadata.get("attributes", {}).get("jaxhsi", {}).get(INPUTS_KEY) == fingerprint(inputs)


def planned_shape(
    source: Path,
    *,
    key: str | None = None,
    layout: str | None = None,
    size: tuple[int, int] | None = None,
    options: IngestOptions | None = None,
) -> tuple[int, int, int]:
    """(H, W, C) of the store that `ingest` would make; arguments and errors as there."""
    with opened_with_plan(source, key, layout, size, options or IngestOptions()) as (_, plan):
        return plan.shape


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
        layout: order of the axes such as "hwc", where `axis_order` errs or gives up.
        size: (H, W) of an array (C, H * W), whose pixels run down the columns.
        options: to the values. By default scale and offset that the file states are applied;
            without these values keep their type, NaN and infinities too, which are masked when
            windows are read.
        overwrite: replace the store at `destination`, once the new one is whole.
        on_progress: told of every slab.

    Returns:
        The opened store, bands last; its history says every step.

    Raises:
        FileNotFoundError: no such file.
        FileExistsError: something is at `destination`.
        OSError: the disk is full; the same call later goes on.
        ValueError: unreadable file, unknown key, array that is no cube, unclear layout, changes
            that do not fit the file, or not one valid pixel.
        ImportError: the format needs a package that is not installed.
    """
    options = options or IngestOptions()
    arguments = (source, destination, key, layout, size, options, overwrite, on_progress)
    try:
        _copy_cube(*arguments, None)
    except _EmptyBandsError as error:  # the sample had missed them
        _copy_cube(*arguments, error.empty_bands)
    return open_cube(destination)


class _EmptyBandsError(ValueError):
    """Bands that hold no measurements were copied; the copy is to be made without them."""

    def __init__(self, empty_bands: np.ndarray):
        bands = format_band_list(np.flatnonzero(empty_bands))
        super().__init__(
            f"bands {bands} hold no measurements; drop them with --bad_bands '{bands}'"
        )
        self.empty_bands = empty_bands


def _copy_cube(
    source: Path,
    destination: Path,
    key: str | None,
    layout: str | None,
    size: tuple[int, int] | None,
    options: IngestOptions,
    overwrite: bool,
    on_progress: OnBytesDone,
    empty_bands: np.ndarray | None,
) -> None:
    """One pass of `ingest`, whose arguments these are but for the bands known to be empty."""
    logger = logging.getLogger(__name__)
    check_destination(destination, overwrite)
    opened = opened_with_plan(source, key, layout, size, options, empty_bands)
    with opened as (volume, plan):
        logger.info("%s:\n  %s", source, "\n  ".join((*plan.history, *plan.hints)))
        inputs = _inputs_of(source, volume, key, plan, size, options)
        writer = write_resumable_cube(
            destination,
            _store_metadata(plan),
            inputs,
            bytes_per_pixel=plan.bytes_per_pixel,
            block_shape=plan.block_shape,
            overwrite=overwrite,
        )
        with writer as cube:
            summary = copy_slabs(volume, plan, cube, on_progress)
            statistics = summary.statistics.result(plan.shape[0] * plan.shape[1])
            notes = _check_summary(source, plan, statistics, summary.counts, options)
            attributes: dict[str, Any] = {
                "statistics": statistics.to_json(),
                INPUTS_KEY: fingerprint(inputs),
            }
            if notes:
                attributes |= {"history": [*plan.history, *notes], "warnings": list(notes)}
            cube.finish(attributes)
        for note in notes:
            logger.warning("%s: %s", source, note)


def _check_summary(
    source: Path,
    plan: IngestPlan,
    statistics: BandStatistics,
    counts: ValueCounts,
    options: IngestOptions,
) -> tuple[str, ...]:
    """What a user should know of the values that were copied.

    Raises:
        ValueError: no pixel is valid, or bands are empty that are not to be kept.
    """
    conversion = plan.conversion
    is_single = conversion.bin_starts is None
    empty = counts.empty_bands(statistics.num_pixels)
    if empty.any() and not empty.all() and is_single and not options.keep_bands:
        empty_bands = plan.empty_bands.copy()
        empty_bands[conversion.band_indices[empty]] = True
        raise _EmptyBandsError(empty_bands)
    notes = counts.warnings(statistics, conversion.band_indices if is_single else None)
    if statistics.num_valid == 0:
        reason = "; ".join(notes) or "every pixel holds the no-data value, NaN or an infinity"
        remedy = "drop --keep_bands" if empty.any() and options.keep_bands else "check --no_data"
        raise ValueError(f"{source}: no pixel has a value in every band: {reason}; {remedy}")
    return notes


@contextmanager
def opened_with_plan(
    source: Path,
    key: str | None,
    layout: str | None,
    size: tuple[int, int] | None,
    options: IngestOptions,
    empty_bands: np.ndarray | None = None,
) -> Iterator[tuple[Volume, IngestPlan]]:
    """An open file and what an ingest of it would do; arguments and errors as `ingest`.

    Args:
        source: file to read.
        key: name of the array inside of it.
        layout: order of the axes.
        size: of a table.
        options: to the values.
        empty_bands: bands that are known to hold no measurements; looked for if None.
    """
    if options.dark is not None and options.white is None:
        raise ValueError(f"--dark {options.dark} needs --white too; without it there is no scale")
    with file_format(source).open_volume(source, key=key, size=size) as volume:
        if options.orthorectify:
            volume = _on_map(volume, layout, options)
        references, notes, hints = choose_references(source, volume, options)
        reference = None
        if references.white is not None:
            known_layout, cube_shape = resolve_layout(volume, layout)
            white, dark, white_dark = references
            reference = read_reference(white, dark, source, cube_shape, known_layout, white_dark)
        volume = replace(volume, notes=(*volume.notes, *notes))
        plan = make_ingest_plan(volume, layout, options, reference, empty_bands)
        yield volume, plan._replace(hints=hints)


def _on_map(volume: Volume, layout: str | None, options: IngestOptions) -> Volume:
    """The volume on the map of its geolocation table.

    Raises:
        ValueError: it has none.
    """
    if volume.orthorectify is None:
        raise ValueError(
            f"{volume.path} has no geolocation table; drop --orthorectify (it serves EMIT products)"
        )
    if options.no_data is not None:
        volume = replace(volume, no_data=options.no_data)
    return volume.orthorectify(volume, choose_axis_order(volume, layout).layout)


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
        array="radiance" if "radiance" in (plan.value_units or "").lower() else DEFAULT_ARRAY,
        chunk_shape=chunk_shape,
        shard_shape=default_shard_shape(shape, chunk_shape, plan.bytes_per_pixel, plan.block_shape)
        if is_large
        else None,
    )


def _inputs_of(
    source: Path,
    volume: Volume,
    key: str | None,
    plan: IngestPlan,
    size: tuple[int, int] | None,
    options: IngestOptions,
) -> str:
    """All that the values of a store depend on beside its metadata, as text."""
    return repr((_file_states(source, volume.path, options), key, plan.layout, size, options))


def _file_states(
    source_path: Path, data_path: Path, options: IngestOptions
) -> list[tuple[str, int, int]]:
    """Path, length and time of change of every file that the values depend on."""
    if source_path.is_dir():
        input_paths = (*sorted(source_path.iterdir()), options.white, options.dark)
    else:
        header, (own, _) = source_header(source_path), find_references(source_path)
        input_paths = (source_path, data_path, header, options.white, options.dark, *own)
    states = [(path, path.stat()) for path in input_paths if path is not None]
    return [(str(path.resolve()), state.st_size, state.st_mtime_ns) for path, state in states]
