"""Labels of whole cubes, tile by tile in constant memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorstore as ts
from jaxtyping import Float, Float32, Int, Integer

from jaxhsi.data.cube import Cube
from jaxhsi.data.prefetch import prefetch
from jaxhsi.data.tiles import Tile, split_into_tiles, tile_with_halo
from jaxhsi.data.windows import Window, WindowReader, read_window
from jaxhsi.data.zarr_writer import continue_cube, create_cube
from jaxhsi.sharding import pad_rows
from jaxhsi.storage.checksums import list_file, unlist_file
from jaxhsi.storage.replacement import partial_path
from jaxhsi.training.plane_file import PlaneFile
from jaxhsi.training.tile_journal import TileJournal

LABEL_BLOCK_SIZE = 256
"""Side of the blocks of a label store: a block of 64 x 64 pixels of one band fills no file. Set by
hand."""
Predict = Callable[[Any, Any, Any], tuple[Any, Any]]
Relabel = Callable[[Integer[np.ndarray, "h w"]], Integer[np.ndarray, "h w"]]


class LabelledTile(NamedTuple):
    """A labelled tile.

    Attributes:
        tile: where.
        labels: cluster of each pixel, -1 where it is not valid.
        confidence: probability of that cluster, 0 where not valid.
        spectra: as they were read, 0 where a value is missing; None where they were not read.
    """

    tile: Tile
    labels: Int[np.ndarray, "h w"]
    confidence: Float[np.ndarray, "h w"]
    spectra: Float32[np.ndarray, "h w c"] | None = None

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where the tile lies in the label map."""
        return self.tile.slices


@dataclass(frozen=True, eq=False)
class LabelStores:
    """Stores of the label map of a cube, while they are written.

    Attributes:
        labels: of int16, (H, W, 1).
        confidence: of float16, (H, W, 1).
        labels_file: the labels once more, as a NumPy file.
        cube_name: name of the cube.
        num_written: tiles that are in the stores already, in the order of `label_tiles`.
        journal: told of each tile that is in the stores.
    """

    labels: ts.TensorStore
    confidence: ts.TensorStore
    labels_file: PlaneFile
    cube_name: str
    num_written: int
    journal: TileJournal | None

    def read(self, tile: Tile) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
        """Labels and confidence of a tile that is on disk."""
        labels, confidence = (
            store[tile.slices].read().result()[..., 0] for store in (self.labels, self.confidence)
        )
        return labels.astype(np.int32), confidence

    def write(self, part: LabelledTile, number: int) -> None:
        """Write the tile of a number, from 0; into the stores unless it is there already."""
        self.labels_file.write(part.tile, part.labels)
        if number < self.num_written:
            return
        for store, values in ((self.labels, part.labels), (self.confidence, part.confidence)):
            store[part.slices].write(values[..., None].astype(store.dtype.numpy_dtype)).result()
        if self.journal is not None:
            self.journal.record(self.cube_name, number + 1)


def label_tiles(
    predict: Predict,
    state: Any,
    cube: Cube,
    *,
    halo: int,
    full_rows: bool,
    tile_size: int = 128,
    read: WindowReader = read_window,
    ahead: int = 1,
    tiles_per_call: int = 1,
    relabel: Relabel | None = None,
    stored: LabelStores | None = None,
) -> Iterator[LabelledTile]:
    """Label a cube tile by tile; the labels do not depend on how it is cut.

    Confidence is rounded to the float16 of the stores, so that a tile that is read back is the
    same as one that is computed. While some tiles are on the devices and those before them are
    written, a thread reads the next.

    Args:
        predict: jitted ``predict`` of the method, ``(state, x, valid) -> (labels, confidence)``;
            it compiles once a tile shape, so pass the same one for every cube.
        state: of the method.
        cube: to label.
        halo: margin that the method asks for.
        full_rows: tiles must span the full width; they then have fewer rows, for as many pixels.
        tile_size: side of the tiles in pixels, at least 1.
        read: how windows are read.
        ahead: calls whose tiles are read before they are needed; each tile takes memory.
        tiles_per_call: tiles that ``predict`` is given at once, a device each; the last call of a
            cube is filled up by copies of its last tile.
        relabel: applied to the labels of the method, such as a grouping of its clusters.
        stored: the first tiles are taken from there as far as they are on disk.

    Raises:
        ValueError: a tile without pixels.
    """
    if tile_size < 1:
        raise ValueError(f"a tile needs at least 1 pixel a side, got {tile_size}")
    plane = cube.shape[:2]
    size = (
        (min(tile_size, max(1, tile_size**2 // plane[1])), plane[1])
        if full_rows
        else (tile_size, tile_size)
    )

    def window(place: Tile) -> tuple[Tile, Tile, Window]:
        outer = tile_with_halo(place, plane, size, halo)
        return place, outer, read(cube, *outer)

    tiles = prefetch(window, split_into_tiles(plane, size), ahead * tiles_per_call)
    for place, outer, (values, _) in islice(tiles, 0 if stored is None else stored.num_written):
        labels, confidence = stored.read(place)
        yield LabelledTile(place, labels, confidence, values[place.within(outer)])
    pending: tuple[list, tuple] | None = None
    while read_tiles := list(islice(tiles, tiles_per_call)):
        windows = [window for _, _, window in read_tiles]
        x, valid = (_stacked(part, tiles_per_call) for part in zip(*windows, strict=True))
        following = read_tiles, predict(state, x, valid)
        if pending is not None:
            yield from _cut_out(*pending, relabel)
        pending = following
    if pending is not None:
        yield from _cut_out(*pending, relabel)


def _stacked(images: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Images as one batch, the last one repeated up to the count; one alone is not copied."""
    return images[0][None] if count == 1 else pad_rows(np.stack(images), count)


def _cut_out(read_tiles: list, result: tuple, relabel: Relabel | None) -> Iterator[LabelledTile]:
    """The tiles of a call without their halos."""
    labels, confidence = (np.asarray(part) for part in result)
    for number, (place, outer, (values, _)) in enumerate(read_tiles):
        rows, columns = place.within(outer)
        own_labels = labels[number, rows, columns]
        yield LabelledTile(
            place,
            own_labels if relabel is None else relabel(own_labels),
            confidence[number, rows, columns].astype(np.float16),
            values[rows, columns],
        )


@contextmanager
def label_writer(
    folder: Path, cube: Cube, history_notes: Sequence[str], journal: TileJournal | None = None
) -> Iterator[LabelStores]:
    """Write a label map as ``<name>.npy``, ``<name>.zarr`` and ``<name>-confidence.zarr``.

    int16 labels, -1 where not valid; float16 confidence. All appear when they are whole. The
    stores are cubes of one band, so that whatever opens a cube opens them.

    Args:
        folder: where to; made if it is not there.
        cube: that is labelled.
        history_notes: what was done, added to the history of the cube.
        journal: of the tiles that are on disk, to go on after an interruption; without it, what is
            not finished is deleted.

    Yields:
        The stores, to be filled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    height, width = cube.shape[:2]
    options = {
        "history": (*cube.history, *history_notes),
        "georeference": cube.georeference,
        "chunk_shape": (min(LABEL_BLOCK_SIZE, height), min(LABEL_BLOCK_SIZE, width), 1),
    }
    array_path = folder / f"{cube.name}.npy"
    partial_file = partial_path(array_path)
    kinds = (("label", "", np.int16), ("confidence", "-confidence", np.float16))
    with ExitStack() as stack:
        stores, is_new = [], False
        for array, suffix, dtype in kinds:
            path, arguments = folder / f"{cube.name}{suffix}.zarr", options | {"array": array}
            shape = (height, width, 1)
            if journal is None:
                store = stack.enter_context(create_cube(path, shape, dtype, **arguments))
            else:
                store, began = stack.enter_context(continue_cube(path, shape, dtype, **arguments))
                is_new |= began
            stores.append(store)
        labels_file = stack.enter_context(PlaneFile(partial_file, cube.shape[:2], np.int16))
        num_written = 0 if is_new or journal is None else journal.num_written(cube.name)
        yield LabelStores(*stores, labels_file, cube.name, num_written, journal)
        labels_file.close()
        unlist_file(array_path)
        partial_file.replace(array_path)
        list_file(array_path)
