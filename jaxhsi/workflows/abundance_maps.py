"""Concentrations of all pixels of cubes: stores, tables, pictures and what they add up to."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorstore as ts
from jaxtyping import Float32

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.prefetch import prefetch
from jaxhsi.data.tiles import Tile, split_into_tiles
from jaxhsi.data.windows import Window, WindowReader, read_window
from jaxhsi.data.zarr_writer import continue_cube, create_cube
from jaxhsi.report.abundance_maps import MAX_MAP_SIDE, draw_abundance_maps
from jaxhsi.report.csv_files import MAX_CSV_ROWS, write_csv
from jaxhsi.report.label_pictures import FalseColourPicture, SubsampledMap
from jaxhsi.training.tile_journal import TileJournal
from jaxhsi.workflows.fit_counts import FitCounts, count_scores, count_spectra, empty_counts
from jaxhsi.workflows.unmixing_model import FitEvaluation

TILE_SIDE = 64
"""Side in pixels of the tiles that cubes are unmixed by, and of the blocks of their stores. Set by
hand: 64 x 64 spectra of 200 bands are 3 MB; the result does not depend on it."""

CONCENTRATIONS = "concentrations"
"""Folder of the stores and stem of the table."""


class Unmixer(NamedTuple):
    """What cubes are unmixed with.

    Attributes:
        component_names: names of the components.
        component_sizes: their lengths, which make concentrations comparable with one another.
        transform: ``transform(spectra) -> concentrations``.
        evaluate: ``evaluate(spectra, concentrations) -> FitEvaluation``.
        window_reader: how windows of cubes are read.
    """

    component_names: tuple[str, ...]
    component_sizes: Float32[np.ndarray, " k"]
    transform: Callable[[np.ndarray], np.ndarray]
    evaluate: Callable[[np.ndarray, np.ndarray], FitEvaluation]
    window_reader: WindowReader = read_window


def unmix_cubes(
    folder: Path,
    cubes: Sequence[Cube],
    unmixer: Unmixer,
    history: Sequence[str] = (),
    tile_side: int = TILE_SIDE,
    on_progress: OnProgress = ignore_progress,
    journal: TileJournal | None = None,
) -> tuple[str, dict[str, dict[str, Any]]]:
    """A store of concentrations and a picture of each cube, and a table if it is short.

    Stores (H, W, k), NaN where not valid, take the place of earlier ones when all are complete.

    Args:
        folder: of the run.
        cubes: to unmix.
        unmixer: components, and functions that unmix and evaluate.
        history: lines for the history of the stores.
        tile_side: side in pixels of the parts that are in memory at once.
        on_progress: called after each part.
        journal: of the parts that are on disk, to go on after an interruption.

    Returns:
        Where the concentrations are, in words; and the scores of each cube.
    """
    partial_folder = folder / f"{CONCENTRATIONS}.partial"
    if journal is None:
        shutil.rmtree(partial_folder, ignore_errors=True)
    elif (folder / CONCENTRATIONS).is_dir():  # whole, and what follows it is not
        (folder / CONCENTRATIONS).rename(partial_folder)
    partial_folder.mkdir(parents=True, exist_ok=True)
    numbered = "; ".join(f"{i} {name}" for i, name in enumerate(unmixer.component_names))
    history = (*history, f"bands are concentrations of the components: {numbered}")
    scores = {}
    for cube in cubes:
        start_time = time.perf_counter()
        counts, picture = _unmix_cube(
            partial_folder, cube, unmixer, history, tile_side, on_progress, journal
        )
        scores[cube.name] = count_scores(counts, time.perf_counter() - start_time)
        picture.draw(folder / "pictures" / f"{cube.name}.png", unmixer, counts)
    shutil.rmtree(folder / CONCENTRATIONS, ignore_errors=True)
    partial_folder.rename(folder / CONCENTRATIONS)
    names = [cube.name for cube in cubes]
    return write_concentration_table(folder, names, unmixer.component_names), scores


def write_concentration_table(
    folder: Path, cube_names: Sequence[str], component_names: Sequence[str]
) -> str:
    """Write ``concentrations.csv`` from the stores of cubes, unless it would be long.

    Args:
        folder: of the run.
        cube_names: names of the cubes, in the order of the table.
        component_names: names of the components.

    Returns:
        Where the concentrations are, in words.
    """
    stores, num_pixels = {}, 0
    for name in cube_names:
        stores[name] = open_cube(folder / CONCENTRATIONS / f"{name}.zarr")
        num_pixels += stores[name].shape[0] * stores[name].shape[1]
        if num_pixels > MAX_CSV_ROWS:
            return f"{CONCENTRATIONS}/*.zarr (more than the {MAX_CSV_ROWS:,} pixels of a table)"
    write_csv(folder / f"{CONCENTRATIONS}.csv", ["sample", *component_names], _csv_rows(stores))
    return f"{CONCENTRATIONS}.csv, and as maps in {CONCENTRATIONS}/*.zarr"


class MapPicture(NamedTuple):
    """A reduced cube and its maps, gathered while tiles are unmixed.

    Attributes:
        false_colour: of the cube.
        reduced_maps: concentrations and, last, the residual over the noise deviation.
    """

    false_colour: FalseColourPicture
    reduced_maps: SubsampledMap

    def draw(self, path: Path, unmixer: Unmixer, counts: FitCounts) -> None:
        """Write the picture."""
        *maps, residual = np.moveaxis(self.reduced_maps.values, -1, 0)
        colours, names = self.false_colour.picture(), unmixer.component_names
        draw_abundance_maps(path, colours, maps, residual, names, counts.signal_shares)


def _unmix_cube(
    folder: Path,
    cube: Cube,
    unmixer: Unmixer,
    history: Sequence[str],
    tile_side: int,
    on_progress: OnProgress,
    journal: TileJournal | None,
) -> tuple[FitCounts, MapPicture]:
    """Write the store of a cube, tile by tile; concentrations on disk are taken from there."""
    count = len(unmixer.component_names)
    counts = empty_counts(count, cube.shape[2])
    empty_pixel = np.full(count + 1, np.nan, np.float32)
    picture = MapPicture(
        FalseColourPicture(cube, 2 * MAX_MAP_SIDE),
        SubsampledMap(cube.shape, empty_pixel, MAX_MAP_SIDE),
    )
    shape = (*cube.shape[:2], count)
    metadata = {"history": (*cube.history, *history), "georeference": cube.georeference}
    with _open_store(folder / f"{cube.name}.zarr", shape, metadata, journal) as (
        store,
        num_written,
    ):
        read = picture.false_colour.recording_reader(unmixer.window_reader)
        tiles = _read_tiles(cube, read, tile_side)
        for number, (tile, values, valid) in enumerate(tiles):
            block = np.full((*valid.shape, count + 1), np.nan, np.float32)
            if valid.any():
                if number < num_written:
                    concentrations = store[tile.slices].read().result()[valid]
                else:
                    concentrations = unmixer.transform(values[valid])
                evaluation = unmixer.evaluate(values[valid], concentrations)
                counts += count_spectra(evaluation, concentrations, unmixer.component_sizes)
                block[valid, :count] = concentrations
                block[valid, count] = np.sqrt(evaluation.reduced_chi2)
            invalid_spectra = counts.invalid_spectra + int((~valid).sum())
            counts = counts._replace(invalid_spectra=invalid_spectra)
            if number >= num_written:
                store[tile.slices].write(block[..., :count]).result()
                if journal is not None:
                    journal.record(cube.name, number + 1)
            picture.reduced_maps.add(tile.slices, block)
            num_done = counts.valid_spectra + counts.invalid_spectra
            on_progress(f"unmixing {cube.name}, pixels", num_done, shape[0] * shape[1])
    return counts, picture


@contextmanager
def _open_store(
    path: Path, shape: tuple[int, int, int], metadata: dict[str, Any], journal: TileJournal | None
) -> Iterator[tuple[ts.TensorStore, int]]:
    """The store to be filled, and how many of its tiles are on disk."""
    options = metadata | {"array": "concentration"}
    if journal is None:
        with create_cube(path, shape, np.float32, **options) as store:
            yield store, 0
    else:
        with continue_cube(path, shape, np.float32, **options) as (store, is_new):
            yield store, 0 if is_new else journal.num_written(path.stem)


def _read_tiles(
    cube: Cube, read: WindowReader, tile_side: int
) -> Iterator[tuple[Tile, np.ndarray, np.ndarray]]:
    """Tiles of a cube, their values and which pixels are valid; the next one is read meanwhile."""

    def read_tile(tile: Tile) -> tuple[Tile, Window]:
        return tile, read(cube, *tile)

    for tile, (values, valid) in prefetch(
        read_tile, split_into_tiles(cube.shape[:2], (tile_side,) * 2)
    ):
        yield tile, values, valid


def _csv_rows(
    stores: Mapping[str, Cube],
) -> Iterator[tuple[list[str], Float32[np.ndarray, "m k"]]]:
    """Names and concentrations of valid pixels, a row of the image at a time."""
    for name, store in stores.items():
        for top in range(0, store.shape[0], TILE_SIDE):
            strip = store.array[top : min(top + TILE_SIDE, store.shape[0])].read().result()
            for y, row in enumerate(strip, top):
                valid = np.flatnonzero(np.isfinite(row).all(axis=1))
                yield [f"{name} y{y} x{x}" for x in valid], row[valid]
