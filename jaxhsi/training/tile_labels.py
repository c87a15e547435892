"""Labels of whole cubes, tile by tile in constant memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from jaxhsi.data.cube import Cube
from jaxhsi.data.prefetch import prefetch
from jaxhsi.data.tiles import Tile, split_into_tiles, tile_with_halo
from jaxhsi.data.windows import Window, WindowReader, read_window
from jaxhsi.data.zarr_writer import create_cube
from jaxhsi.training.array_file import ArrayFile

LABEL_BLOCK_SIZE = 256
"""Side of the blocks of a label store: a block of 64 x 64 pixels of one band fills no file. Set by
hand."""
Predict = Callable[[Any, Any, Any], tuple[Any, Any]]


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
) -> Iterator[LabelledTile]:
    """Label a cube tile by tile; the labels do not depend on how it is cut.

    While one tile is on the device and the one before it is written, a thread reads the next.

    Args:
        predict: jitted ``predict`` of the method, ``(state, x, valid) -> (labels, confidence)``;
            it compiles once a tile shape, so pass the same one for every cube.
        state: of the method.
        cube: to label.
        halo: margin that the method asks for.
        full_rows: tiles must span the full width; they then have fewer rows, for as many pixels.
        tile_size: side of the tiles in pixels, at least 1.
        read: how windows are read.
        ahead: tiles that are read before they are needed; each takes memory.

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

    pending: tuple | None = None
    for place, outer, (values, valid) in prefetch(window, split_into_tiles(plane, size), ahead):
        following = (place, outer, values, predict(state, values[None], valid[None]))
        if pending is not None:
            yield _cut_out(*pending)
        pending = following
    if pending is not None:
        yield _cut_out(*pending)


def _cut_out(place: Tile, outer: Tile, values: np.ndarray, result: tuple) -> LabelledTile:
    rows, columns = place.within(outer)
    labels, confidence = (np.asarray(part)[0, rows, columns] for part in result)
    return LabelledTile(place, labels, confidence, values[rows, columns])


@contextmanager
def label_writer(
    folder: Path, cube: Cube, history_notes: Sequence[str]
) -> Iterator[Callable[[LabelledTile], None]]:
    """Write a label map as ``<name>.npy``, ``<name>.zarr`` and ``<name>-confidence.zarr``.

    int16 labels, -1 where not valid; float16 confidence. All appear when they are whole. The
    stores are cubes of one band, so that whatever opens a cube opens them.

    Args:
        folder: where to; made if it is not there.
        cube: that is labelled.
        history_notes: what was done, added to the history of the cube.
    """
    folder.mkdir(parents=True, exist_ok=True)
    height, width = cube.shape[:2]
    shape = (height, width, 1)
    store_options = {
        "history": (*cube.history, *history_notes),
        "georeference": cube.georeference,
        "chunk_shape": (min(LABEL_BLOCK_SIZE, height), min(LABEL_BLOCK_SIZE, width), 1),
    }
    partial_file = folder / f"{cube.name}.npy.partial"
    with ExitStack() as stack:
        labels = stack.enter_context(
            create_cube(
                folder / f"{cube.name}.zarr", shape, np.int16, array="label", **store_options
            )
        )
        confidence = stack.enter_context(
            create_cube(
                folder / f"{cube.name}-confidence.zarr",
                shape,
                np.float16,
                array="confidence",
                **store_options,
            )
        )
        labels_file = stack.enter_context(ArrayFile(partial_file, shape[:2], np.int16))

        def write(part: LabelledTile) -> None:
            labels_file.write(part.tile, part.labels)
            for store, values in ((labels, part.labels), (confidence, part.confidence)):
                store[part.slices].write(values[..., None].astype(store.dtype.numpy_dtype)).result()

        yield write
        labels_file.close()
        partial_file.rename(folder / f"{cube.name}.npy")
