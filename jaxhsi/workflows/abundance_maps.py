"""Concentrations of all pixels of cubes: stores, tables, pictures and what they add up to."""

import operator
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float32

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.prefetch import prefetch
from jaxhsi.data.tiles import Tile, split_into_tiles
from jaxhsi.data.windows import Window, read_window
from jaxhsi.data.zarr_writer import create_cube
from jaxhsi.gmcr.metrics import FitSums, fit_sums, r2
from jaxhsi.report.abundance_maps import MAX_MAP_SIDE, draw_abundance_maps
from jaxhsi.report.csv_files import MAX_CSV_ROWS, write_csv
from jaxhsi.report.label_pictures import FalseColourPicture, SubsampledMap
from jaxhsi.workflows.unmixing_model import FitEvaluation, padded_blocks

TILE_SIDE = 64
"""Side in pixels of the tiles that cubes are unmixed by, and of the blocks of their stores. Set by
hand: 64 x 64 spectra of 200 bands are 3 MB; the result does not depend on it."""

CONCENTRATIONS = "concentrations"
"""Folder of the stores and stem of the table."""

_MAX_REDUCED_CHI2 = 2.0
"""A residual is more than noise above twice its expected variance. Set by hand; and"""
_VARIANCE_DEVIATIONS = 5.0
"""above so many standard deviations of a variance that is measured in few bands (normal noise:
fewer than one spectrum in a million)."""

_fit_sums = jax.jit(fit_sums)


class Unmixer(NamedTuple):
    """What cubes are unmixed with.

    Attributes:
        component_names: names of the components.
        component_sizes: their lengths, which make concentrations comparable with one another.
        transform: ``transform(spectra) -> concentrations``.
        evaluate: ``evaluate(spectra, concentrations) -> FitEvaluation``.
    """

    component_names: tuple[str, ...]
    component_sizes: Float32[np.ndarray, " k"]
    transform: Callable[[np.ndarray], np.ndarray]
    evaluate: Callable[[np.ndarray, np.ndarray], FitEvaluation]


class FitCounts(NamedTuple):
    """Sums over spectra; those of parts add up.

    Attributes:
        squared_sums: squares of residual and data.
        poorly_explained: spectra whose residual is more than noise.
        component_usage: spectra that hold each component.
        component_signal: sum of the sizes of each component's contributions.
        valid_spectra: spectra that were unmixed.
        invalid_spectra: those that were not.
    """

    squared_sums: FitSums
    poorly_explained: int
    component_usage: Float[np.ndarray, " k"]
    component_signal: Float[np.ndarray, " k"]
    valid_spectra: int
    invalid_spectra: int

    def __add__(self, other: "FitCounts") -> "FitCounts":
        """Sums of both parts."""
        squared_sums = FitSums(*map(np.add, self.squared_sums, other.squared_sums))
        return FitCounts(squared_sums, *map(operator.add, self[1:], other[1:]))

    @property
    def signal_shares(self) -> Float[np.ndarray, " k"]:
        """Share of each component in the signal of all."""
        return self.component_signal / max(self.component_signal.sum(), 1e-30)


def empty_counts(num_components: int, num_bands: int) -> FitCounts:
    """Counts of no spectrum.

    >>> empty_counts(2, 5).valid_spectra
    0
    """
    zeros = np.zeros(num_components)
    return FitCounts(FitSums(0.0, 0.0, np.zeros(num_bands), 0.0), 0, zeros, zeros, 0, 0)


def count_spectra(
    evaluation: FitEvaluation,
    concentrations: Float32[np.ndarray, "n k"],
    component_sizes: Float32[np.ndarray, " k"],
) -> FitCounts:
    """Counts of spectra and their concentrations.

    A residual is more than noise where its variance is more than twice that expected, and more than
    five of the standard deviations that a variance of so few bands has.
    """
    in_use = concentrations != 0
    freedom = np.maximum(evaluation.spectra.shape[1] - in_use.sum(1), 1)
    limit = np.maximum(_MAX_REDUCED_CHI2, 1 + _VARIANCE_DEVIATIONS * np.sqrt(2 / freedom))
    return FitCounts(
        _squared_sums(evaluation),
        int((evaluation.reduced_chi2 > limit).sum()),
        in_use.sum(0).astype(float),
        np.abs(concentrations).sum(0, dtype=np.float64) * component_sizes,
        len(in_use),
        0,
    )


def _squared_sums(evaluation: FitEvaluation) -> FitSums:
    """Sums in double precision, of blocks of few shapes; their rows of zeros add nothing."""
    total = [np.float64(0)] * len(FitSums._fields)
    blocks = map(padded_blocks, (evaluation.spectra, evaluation.reconstruction))
    for block in zip(*blocks, strict=True):
        total = list(map(np.add, total, jax.device_get(_fit_sums(*block))))
    return FitSums(*total)._replace(num_spectra=np.float64(len(evaluation.spectra)))


def count_scores(
    counts: FitCounts, seconds: float, spectrum_word: str = "pixels"
) -> dict[str, Any]:
    """What ``scores.json`` holds of a cube or table.

    Args:
        counts: sums over its spectra.
        seconds: time that it took.
        spectrum_word: what its spectra are called, "pixels" or "spectra".
    """
    count = max(counts.valid_spectra, 1)
    return {
        "r2": float(r2(counts.squared_sums)) if counts.valid_spectra else None,
        "poorly_explained": counts.poorly_explained / count,
        "mean_components": float(counts.component_usage.sum()) / count,
        "signal_shares": counts.signal_shares.tolist(),
        spectrum_word: counts.valid_spectra,
        f"invalid_{spectrum_word}": counts.invalid_spectra,
        "seconds": seconds,
        f"{spectrum_word}_per_second": counts.valid_spectra / max(seconds, 1e-9),
    }


# Cubes --------------------------------------------------------------------------------------------


def unmix_cubes(
    folder: Path,
    cubes: Sequence[Cube],
    unmixer: Unmixer,
    history: Sequence[str] = (),
    tile_side: int = TILE_SIDE,
    on_progress: OnProgress = ignore_progress,
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

    Returns:
        Where the concentrations are, in words; and the scores of each cube.
    """
    partial_folder = folder / f"{CONCENTRATIONS}.partial"
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    numbered = "; ".join(f"{i} {name}" for i, name in enumerate(unmixer.component_names))
    history = (*history, f"bands are concentrations of the components: {numbered}")
    scores = {}
    for cube in cubes:
        start_time = time.perf_counter()
        counts, picture = _unmix_cube(
            partial_folder, cube, unmixer, history, tile_side, on_progress
        )
        scores[cube.name] = count_scores(counts, time.perf_counter() - start_time)
        picture.draw(folder / "pictures" / f"{cube.name}.png", unmixer, counts)
    shutil.rmtree(folder / CONCENTRATIONS, ignore_errors=True)
    partial_folder.rename(folder / CONCENTRATIONS)
    num_pixels = sum(cube.shape[0] * cube.shape[1] for cube in cubes)
    if num_pixels > MAX_CSV_ROWS:
        reason = f"({num_pixels:,} pixels, more than the {MAX_CSV_ROWS:,} of a table)"
        return f"{CONCENTRATIONS}/*.zarr {reason}", scores
    header = ["sample", *unmixer.component_names]
    write_csv(folder / f"{CONCENTRATIONS}.csv", header, _csv_rows(folder / CONCENTRATIONS, cubes))
    return f"{CONCENTRATIONS}.csv, and as maps in {CONCENTRATIONS}/*.zarr", scores


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
) -> tuple[FitCounts, MapPicture]:
    """Write the store of a cube, tile by tile."""
    count = len(unmixer.component_names)
    counts = empty_counts(count, cube.shape[2])
    empty_pixel = np.full(count + 1, np.nan, np.float32)
    picture = MapPicture(
        FalseColourPicture(cube, 2 * MAX_MAP_SIDE),
        SubsampledMap(cube.shape, empty_pixel, MAX_MAP_SIDE),
    )
    shape = (*cube.shape[:2], count)
    metadata = {"history": (*cube.history, *history), "georeference": cube.georeference}
    with create_cube(
        folder / f"{cube.name}.zarr", shape, np.float32, array="concentration", **metadata
    ) as store:
        for tile, values, valid in _read_tiles(cube, picture.false_colour, tile_side):
            block = np.full((*valid.shape, count + 1), np.nan, np.float32)
            if valid.any():
                concentrations = unmixer.transform(values[valid])
                evaluation = unmixer.evaluate(values[valid], concentrations)
                counts += count_spectra(evaluation, concentrations, unmixer.component_sizes)
                block[valid, :count] = concentrations
                block[valid, count] = np.sqrt(evaluation.reduced_chi2)
            invalid_spectra = counts.invalid_spectra + int((~valid).sum())
            counts = counts._replace(invalid_spectra=invalid_spectra)
            store[tile.slices].write(block[..., :count]).result()
            picture.reduced_maps.add(tile.slices, block)
            num_done = counts.valid_spectra + counts.invalid_spectra
            on_progress(f"unmixing {cube.name}, pixels", num_done, shape[0] * shape[1])
    return counts, picture


def _read_tiles(
    cube: Cube, false_colour: FalseColourPicture, tile_side: int
) -> Iterator[tuple[Tile, np.ndarray, np.ndarray]]:
    """Tiles of a cube, their values and which pixels are valid; the next one is read meanwhile."""
    read = false_colour.recording_reader(read_window)

    def read_tile(tile: Tile) -> tuple[Tile, Window]:
        return tile, read(cube, *tile)

    for tile, (values, valid) in prefetch(
        read_tile, split_into_tiles(cube.shape[:2], (tile_side,) * 2)
    ):
        yield tile, values, valid


def _csv_rows(
    folder: Path, cubes: Sequence[Cube]
) -> Iterator[tuple[list[str], Float32[np.ndarray, "m k"]]]:
    """Names and concentrations of valid pixels, a row of the image at a time."""
    for cube in cubes:
        store = open_cube(folder / f"{cube.name}.zarr").array
        for top in range(0, cube.shape[0], TILE_SIDE):
            strip = store[top : min(top + TILE_SIDE, cube.shape[0])].read().result()
            for y, row in enumerate(strip, top):
                valid = np.flatnonzero(np.isfinite(row).all(axis=1))
                yield [f"{cube.name} y{y} x{x}" for x in valid], row[valid]
