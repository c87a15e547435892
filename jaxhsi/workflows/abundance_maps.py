"""Concentrations of all pixels of cubes: stores, tables, pictures and what they add up to."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float32

from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.read_ahead import read_ahead
from jaxhsi.data.tiles import Tile, tiles
from jaxhsi.data.windows import Window, read_window
from jaxhsi.data.zarr_writer import create_cube
from jaxhsi.gmcr.metrics import FitSums, fit_sums, r2
from jaxhsi.report.abundance_maps import SIDE, draw_abundances
from jaxhsi.report.csv_files import MOST_ROWS, write_table
from jaxhsi.report.label_pictures import FalseColourPicture, SubsampledMap
from jaxhsi.workflows.unmixing_model import Explain, Explained, Unmix, blocks

TILE = 64  # pixels; side of the tiles that cubes are unmixed by, and of the blocks of their stores
FOLDER = "concentrations"
_TWICE = 2.0  # times the expected variance that a residual is beyond noise by
_SURE = 5.0  # and by so many deviations of a variance measured in so many bands
_sums = jax.jit(fit_sums)


class Tool(NamedTuple):
    """What cubes are unmixed with.

    Attributes:
        names: of the components.
        sizes: their lengths, by which concentrations are compared with one another.
        unmix: concentrations of spectra.
        explain: compares both.
    """

    names: tuple[str, ...]
    sizes: Float32[np.ndarray, " k"]
    unmix: Unmix
    explain: Explain


class Counts(NamedTuple):
    """Sums over spectra; those of parts add up.

    Attributes:
        fit: squares of residual and data.
        beyond: spectra whose residual is more than noise.
        used: spectra that hold each component.
        amounts: sum of the sizes of each component's contributions.
        valid: spectra that were unmixed.
        invalid: those that were not.
    """

    fit: FitSums
    beyond: int
    used: Float[np.ndarray, " k"]
    amounts: Float[np.ndarray, " k"]
    valid: int
    invalid: int

    def __add__(self, other: "Counts") -> "Counts":
        """Of both parts."""
        rest = (one + two for one, two in zip(self[1:], other[1:], strict=True))
        return Counts(FitSums(*map(np.add, self.fit, other.fit)), *rest)

    @property
    def shares(self) -> Float[np.ndarray, " k"]:
        """Of each component in all that was found."""
        return self.amounts / max(self.amounts.sum(), 1e-30)


def no_counts(count: int, bands: int) -> Counts:
    """Of no spectrum."""
    zero = np.zeros(count)
    return Counts(FitSums(0.0, 0.0, np.zeros(bands), 0.0), 0, zero, zero, 0, 0)


def counted(
    explained: Explained, concentrations: Float32[np.ndarray, "n k"], sizes: np.ndarray
) -> Counts:
    """Counts of spectra and their concentrations.

    A residual is beyond noise where its variance is more than twice that expected, and more than
    five of the deviations that a variance has by chance.
    """
    used = concentrations != 0
    freedom = np.maximum(explained.spectra.shape[1] - used.sum(1), 1)
    limit = np.maximum(_TWICE, 1 + _SURE * np.sqrt(2 / freedom))
    return Counts(
        _fit(explained),
        int((explained.misfit > limit).sum()),
        used.sum(0).astype(float),
        np.abs(concentrations).sum(0, dtype=np.float64) * sizes,
        len(used),
        0,
    )


def _fit(explained: Explained) -> FitSums:
    """Sums in double precision, of blocks of few lengths; their rows of zeros add nothing."""
    total = [np.float64(0)] * len(FitSums._fields)
    for block in zip(blocks(explained.spectra), blocks(explained.reconstruction), strict=True):
        total = list(map(np.add, total, jax.device_get(_sums(*block))))
    return FitSums(*total)._replace(count=np.float64(len(explained.spectra)))


def scores_of(counts: Counts, seconds: float, unit: str = "pixels") -> dict[str, Any]:
    """What ``scores.json`` holds of a cube or table.

    Args:
        counts: its own.
        seconds: that it took.
        unit: what its spectra are called.
    """
    count = max(counts.valid, 1)
    return {
        "r2": float(r2(counts.fit)) if counts.valid else None,
        "beyond_noise": counts.beyond / count,
        "mean_components": float(counts.used.sum()) / count,
        "share": counts.shares.tolist(),
        unit: counts.valid,
        f"invalid_{unit}": counts.invalid,
        "seconds": seconds,
        f"{unit}_per_second": counts.valid / max(seconds, 1e-9),
    }


# Cubes --------------------------------------------------------------------------------------------


def unmix_cubes(
    folder: Path, cubes: Sequence[Cube], tool: Tool, notes: Sequence[str] = (), tile: int = TILE
) -> tuple[str, dict[str, dict[str, Any]]]:
    """A store of concentrations and a picture of each cube, and a table if it is short.

    Stores (H, W, k), NaN where not valid, take the place of earlier ones when all are whole.

    Args:
        folder: of the run.
        cubes: to unmix.
        tool: that does.
        notes: for the history of the stores.
        tile: side in pixels of the parts that are in memory at once.

    Returns:
        Where the concentrations are, in words; and the scores of each cube.
    """
    partial = folder / f"{FOLDER}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    listed = "; ".join(f"{i} {name}" for i, name in enumerate(tool.names))
    history, scores = (*notes, f"bands are concentrations of the components: {listed}"), {}
    for cube in cubes:
        began = time.perf_counter()
        counts, picture = _unmix_cube(partial, cube, tool, history, tile)
        scores[cube.name] = scores_of(counts, time.perf_counter() - began)
        picture(folder / "pictures" / f"{cube.name}.png", counts.shares)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    partial.rename(folder / FOLDER)
    pixels = sum(cube.shape[0] * cube.shape[1] for cube in cubes)
    if pixels > MOST_ROWS:
        more = f"({pixels:,} pixels, more than the {MOST_ROWS:,} of a table)"
        return f"{FOLDER}/*.zarr {more}", scores
    rows = _rows(folder / FOLDER, cubes)
    write_table(folder / f"{FOLDER}.csv", ["sample", *tool.names], rows)
    return f"{FOLDER}.csv, and as maps in {FOLDER}/*.zarr", scores


Picture = Callable[[Path, Float[np.ndarray, " k"]], None]


def _unmix_cube(
    folder: Path, cube: Cube, tool: Tool, notes: Sequence[str], tile: int
) -> tuple[Counts, Picture]:
    """Write the store of a cube; gives its counts and what draws it, both gathered on the way."""
    count, colours = len(tool.names), FalseColourPicture(cube, 2 * SIDE)
    total = no_counts(count, cube.shape[2])
    shown = SubsampledMap(cube.shape, np.full(count + 1, np.nan, np.float32), SIDE)
    shape = (*cube.shape[:2], count)
    kept = {"history": (*cube.history, *notes), "georeference": cube.georeference}
    with create_cube(folder / f"{cube.name}.zarr", shape, np.float32, **kept) as store:
        for place, values, valid in _windows(cube, colours, tile):
            block = np.full((*valid.shape, count + 1), np.nan, np.float32)
            if valid.any():
                spectra = values[valid]
                concentrations = tool.unmix(spectra)
                explained = tool.explain(spectra, concentrations)
                total += counted(explained, concentrations, tool.sizes)
                block[valid, :count] = concentrations
                block[valid, count] = np.sqrt(explained.misfit)
            total = total._replace(invalid=total.invalid + int((~valid).sum()))
            store[place.slices].write(block[..., :count]).result()
            shown.add(place.slices, block)

    def picture(path: Path, shares: Float[np.ndarray, " k"]) -> None:
        *maps, residual = np.moveaxis(shown.values, -1, 0)
        draw_abundances(path, colours.picture(), maps, residual, tool.names, shares)

    return total, picture


def _windows(
    cube: Cube, colours: FalseColourPicture, tile: int
) -> Iterator[tuple[Tile, np.ndarray, np.ndarray]]:
    """Tiles of a cube, the next one being read meanwhile."""
    read = colours.recording_reader(read_window)

    def window(place: Tile) -> tuple[Tile, Window]:
        return place, read(cube, *place)

    for place, (values, valid) in read_ahead(window, tiles(cube.shape[:2], (tile, tile))):
        yield place, values, valid


def _rows(
    folder: Path, cubes: Sequence[Cube]
) -> Iterator[tuple[list[str], Float32[np.ndarray, "m k"]]]:
    for cube in cubes:
        store = open_cube(folder / f"{cube.name}.zarr").array
        for top in range(0, cube.shape[0], TILE):
            for y, row in enumerate(
                store[top : min(top + TILE, cube.shape[0])].read().result(), top
            ):
                valid = np.flatnonzero(np.isfinite(row).all(axis=1))
                yield [f"{cube.name} y{y} x{x}" for x in valid], row[valid]
