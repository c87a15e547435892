"""Values copied slab by slab, each while the next is read, and what is gathered on the way."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np

from jaxhsi.data.formats.volume import Volume, read_image_part
from jaxhsi.data.ingest.plan import IngestPlan
from jaxhsi.data.ingest.reflectance import to_float32
from jaxhsi.data.ingest.resumable_writer import ResumableCube
from jaxhsi.data.ingest.value_counts import ValueCounts
from jaxhsi.data.prefetch import prefetch
from jaxhsi.data.statistics import RunningStatistics
from jaxhsi.data.tiles import Tile

ROWS_PER_TASK = 8  # of a slab that one thread prepares at a time
NUM_THREADS = min(4, os.cpu_count() or 1)

OnBytesDone = Callable[[int, int], None]
"""Called with the bytes of the file that are done and with all of them."""


class CopySummary:
    """What is gathered of the values while they are copied."""

    def __init__(self, num_bands: int, state: dict[str, Any] | None = None):
        """Begin, or go on from a state."""
        self.statistics = RunningStatistics(num_bands)
        self.counts = ValueCounts(num_bands)
        if state is not None:
            self.statistics = RunningStatistics.from_state_json(state["statistics"])
            self.counts = ValueCounts.from_json(state["counts"])

    def merge(self, other: "CopySummary") -> None:
        """Take in what was gathered of other pixels."""
        self.statistics.merge(other.statistics)
        self.counts.merge(other.counts)

    def state_to_json(self) -> dict[str, Any]:
        """All that was gathered, for a file of JSON; exact."""
        return {
            "statistics": self.statistics.state_to_json(),
            "counts": self.counts.to_json(),
        }

    def add(self, source_values: np.ndarray, stored_values: np.ndarray, plan: IngestPlan) -> None:
        """Take in part of a cube, (h, w, c), as read and as stored."""
        self.counts.add_uniform(source_values, plan.conversion.no_data)
        values = stored_values.reshape(-1, stored_values.shape[-1])
        no_data = plan.conversion.stored_no_data
        if values.dtype.kind in "iu" and no_data is None:
            self.statistics.add(values)
            return
        is_present = np.isfinite(to_float32(values, no_data))
        is_valid = is_present.all(axis=-1)
        if is_valid.all():
            self.statistics.add(values)
        else:
            self.counts.add_missing(is_present[~is_valid])
            self.statistics.add(values[is_valid])


def copy_slabs(
    volume: Volume, plan: IngestPlan, cube: ResumableCube, on_progress: OnBytesDone
) -> CopySummary:
    """Write the slabs that are missing, each while the next is read."""
    height, width, bands = plan.source_shape
    line_bytes = bands * plan.source_dtype.itemsize
    summary = CopySummary(plan.shape[2], cube.resume_state)
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
            slab, part_summaries = next(slabs)
            for part in part_summaries:
                summary.merge(part)
            cube.write_slab(slab, summary.state_to_json())
            del slab
            pixels_done += place.height * place.width
            on_progress(pixels_done * line_bytes, height * width * line_bytes)
    return summary


def _read_slab(
    volume: Volume, plan: IngestPlan, slab_tile: Tile, workers: ThreadPoolExecutor
) -> tuple[np.ndarray, list[CopySummary]]:
    """A slab as it is stored, and what was gathered of its parts in their order."""
    rows, columns = slab_tile.slices
    source_values = read_image_part(volume, plan.layout, rows, columns, plan.conversion.band_slice)
    valid_mask = None if volume.read_mask is None else volume.read_mask(rows, columns)
    slab = np.empty(
        (slab_tile.height, slab_tile.width, plan.conversion.num_bands), plan.conversion.dtype
    )

    def prepare(top: int) -> CopySummary:
        part = CopySummary(plan.conversion.num_bands)
        for row in range(
            top, min(top + ROWS_PER_TASK, slab_tile.height)
        ):  # a row stays in the cache
            line = slab[row : row + 1]
            source_row = source_values[row : row + 1]
            line[...] = plan.conversion.apply(source_row, columns)
            if valid_mask is not None:
                line[0, ~valid_mask[row]] = plan.conversion.invalid_value
                source_row = source_row[:, valid_mask[row]]  # the others are known to be invalid
            part.add(source_row, line, plan)
        return part

    return slab, list(workers.map(prepare, range(0, slab_tile.height, ROWS_PER_TASK)))
