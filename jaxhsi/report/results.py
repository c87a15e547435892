"""Tables of results: components, and concentrations of samples or of all pixels of cubes."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from jaxhsi.data.store import Cube
from jaxhsi.data.tables import Table
from jaxhsi.data.tiles import tiles
from jaxhsi.data.windows import read_window

MOST_ROWS = 100_000  # of a CSV; more go into .npy files
TILE = 64  # pixels; side of the tiles that cubes are unmixed by

Unmix = Callable[[Float32[np.ndarray, "m c"]], Float32[np.ndarray, "m k"]]
"""Concentrations of new spectra, in the units of their file."""

Rows = Iterable[tuple[Sequence[str], Float32[np.ndarray, "m k"]]]
"""Blocks of names of samples and their concentrations."""


def component_names(count: int, names: Sequence[str] | None = None) -> list[str]:
    """Names for the columns and rows of tables: given ones, or numbers from 1."""
    return [names[i] if names else f"component {i + 1}" for i in range(count)]


def write_components(
    path: Path, components: Float32[np.ndarray, "k c"], table: Table, names: Sequence[str]
) -> None:
    """A row a component; the first row holds the axis, or numbers of the bands from 1."""
    axis = np.arange(1, components.shape[1] + 1) if table.axis is None else table.axis
    header = ["component", *(f"{value:.10g}" for value in axis)]
    _write(path, header, [(names, components)])


def write_samples(
    folder: Path, table: Table, concentrations: Float32[np.ndarray, "n k"], names: Sequence[str]
) -> str:
    """A row a sample, under its name or the number of its row in the file; says where."""
    if len(concentrations) > MOST_ROWS:
        np.save(folder / "concentrations.npy", concentrations)
        return f"concentrations.npy (more than {MOST_ROWS:,} rows)"
    samples = table.names or [str(row + 1) for row in table.rows]
    _write(folder / "concentrations.csv", ["sample", *names], [(samples, concentrations)])
    return "concentrations.csv"


def write_pixels(folder: Path, cubes: Sequence[Cube], unmix: Unmix, names: Sequence[str]) -> str:
    """A map (H, W, k) of each cube, NaN where not valid, and a table if it is short; says where.

    Cubes are read tile by tile, in memory that does not grow with them.
    """
    (folder / "concentrations").mkdir(exist_ok=True)
    maps = [_write_map(folder / "concentrations", cube, unmix, len(names)) for cube in cubes]
    pixels = sum(cube.shape[0] * cube.shape[1] for cube in cubes)
    if pixels > MOST_ROWS:
        return f"concentrations/*.npy ({pixels:,} pixels, more than the {MOST_ROWS:,} of a table)"
    _write(folder / "concentrations.csv", ["sample", *names], _pixel_rows(cubes, maps))
    return "concentrations.csv, and as maps in concentrations/*.npy"


def _write_map(folder: Path, cube: Cube, unmix: Unmix, count: int) -> np.memmap:
    shape = (*cube.shape[:2], count)
    written = np.lib.format.open_memmap(folder / f"{cube.name}.npy", "w+", np.float32, shape)
    for y, x, height, width in tiles(cube.shape[:2], (TILE, TILE)):
        values, valid = read_window(cube, y, x, height, width)
        block = np.full((height, width, count), np.nan, np.float32)
        if valid.any():
            block[valid] = unmix(values[valid])
        written[y : y + height, x : x + width] = block
    written.flush()
    return written


def _pixel_rows(
    cubes: Sequence[Cube], maps: Sequence[np.ndarray]
) -> Iterator[tuple[list[str], Float32[np.ndarray, "m k"]]]:
    for cube, values in zip(cubes, maps, strict=True):
        for y, row in enumerate(values):
            valid = np.flatnonzero(np.isfinite(row).all(axis=1))
            yield [f"{cube.name} y{y} x{x}" for x in valid], np.asarray(row[valid])


def _write(path: Path, header: Sequence[str], rows: Rows) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for names, block in rows:
            writer.writerows([name, *_cells(row)] for name, row in zip(names, block, strict=True))


def _cells(row: Float[np.ndarray, " m"]) -> list[str]:
    return [f"{value:.9g}" for value in row]  # nine digits give a float32 back
