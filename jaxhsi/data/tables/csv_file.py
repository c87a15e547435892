"""Tables of spectra in text files: where the numbers begin, and what the other cells mean.

Spectra are rows. The first row may hold the axis (numbers) or names of the bands, the first column
names of the samples. Where spectra are columns the same holds with rows and columns exchanged.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

AXIS_WORDS = re.compile(r"wave|shift|freq|cm-?1|cm\^-1|\bnm\b|lambda|energy|axis|\bppm\b", re.I)
SAMPLE_WORDS = re.compile(r"^(#|id|no\.?|name|sample|spectrum|index|component|unnamed.*)s?$", re.I)
MIN_AXIS_LENGTH = 8  # so many rising or falling numbers are an axis, not a spectrum that happens to

Grid = list[list[str]]


class CsvTable(NamedTuple):
    """What a text file holds.

    Attributes:
        values: one row per spectrum, float64; NaN and infinities as written.
        axis: number of each band, or None.
        axis_name: as the file has it, or empty.
        sample_names: of the spectra, or None.
        orientation_note: how the table was taken, where the file does not say so itself.
    """

    values: np.ndarray
    axis: np.ndarray | None
    axis_name: str
    sample_names: tuple[str, ...] | None
    orientation_note: str | None


def read_csv(path: Path, spectra: str | None = None) -> CsvTable:
    """Read a table of spectra from text with commas, semicolons or tabs.

    Args:
        path: the file, UTF-8; empty lines and lines that begin with # are passed over.
        spectra: "rows" or "columns"; told from the file if None, which only works where it holds
            text that says so, or where the first column cannot be an axis.

    Raises:
        ValueError: text or missing cells among the numbers, rows of unequal length, no numbers, or
            an orientation that the file does not tell; rows and columns are named.
    """
    grid = _read_grid(path)
    if spectra is None:
        spectra = _orientation(path, grid)
    if spectra == "columns":
        grid = [list(row) for row in zip(*grid, strict=True)]
    return _parse(path, grid, turned=spectra == "columns")


def _read_grid(path: Path) -> Grid:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); save it as CSV again") from error
    lines = [line for line in lines if line.strip(" ,;\t") and not line.startswith("#")]
    if not lines:
        raise ValueError(f"{path} holds no rows; give a table with a spectrum in each row")
    delimiter = max(",;\t", key=lines[0].count)
    grid = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    for number, row in enumerate(grid, 1):
        if len(row) != len(grid[0]):
            raise ValueError(
                f"{path}: row {number} has {len(row)} cells, row 1 has {len(grid[0])}; "
                "every row needs the same number"
            )
    return grid


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _is_axis(cells: list[str], least: int = MIN_AXIS_LENGTH) -> bool:
    """Enough numbers, all rising or all falling."""
    numbers = [_number(cell) for cell in cells]
    if len(numbers) < least or None in numbers:
        return False
    steps = np.diff(numbers)
    return bool((steps > 0).all() or (steps < 0).all())


def _orientation(path: Path, grid: Grid) -> str:
    """What the file says of itself: rows or columns; an error where it could be both."""
    corner, column = grid[0][0], [row[0] for row in grid[1:]]
    if AXIS_WORDS.search(corner) and _is_axis(column, 2):
        return "columns"
    header_is_axis = _number(corner) is None and _is_axis(grid[0][1:], 2)
    if header_is_axis or SAMPLE_WORDS.match(corner) or not _is_axis(column):
        return "rows"
    raise ValueError(
        f"{path}: the first column rises or falls steadily from {column[0]} to {column[-1]}, so it "
        "may be the axis of spectra in columns, or one band of spectra in rows; say which with "
        "--spectra columns or --spectra rows"
    )


def _parse(path: Path, grid: Grid, *, turned: bool) -> CsvTable:
    """Take a grid apart whose rows are spectra; ``turned`` says the file has them as columns."""
    corner, named = grid[0][0], _named(grid)
    names = tuple(row[0] for row in grid) if named else None
    grid = [row[1:] for row in grid] if named else grid
    if not grid[0]:
        raise ValueError(f"{path}: there are no numbers beside the first column")
    axis, skipped, note = None, 0, None
    if any(_number(cell) is None and cell for cell in grid[0]):
        axis, skipped = _numbered(grid[0]), 1
    elif (named and _number(corner) is None and _all_numbers(grid[0])) or _lone_axis(grid, turned):
        axis, skipped = np.array(grid[0], float), 1
        if not named:
            note = f"the first {'column' if turned else 'row'} was taken as the axis"
    if len(grid) == skipped:
        raise ValueError(f"{path} holds a header and no spectra below it")
    values = _values(path, grid[skipped:], (skipped, int(named)), turned)
    is_word = axis is not None and AXIS_WORDS.search(corner)
    return CsvTable(values, axis, corner if is_word else "", names and names[skipped:], note)


def _named(grid: Grid) -> bool:
    """Whether the first column holds names: text in most cells, or a corner that says so."""
    column = [row[0] for row in grid[1:]]
    text = sum(_number(cell) is None and cell != "" for cell in column)
    labelled = _number(grid[0][0]) is None and len(grid[0]) > 1 and _all_numbers(grid[0][1:])
    return 2 * text > len(column) or labelled or bool(SAMPLE_WORDS.match(grid[0][0]))


def _all_numbers(cells: list[str]) -> bool:
    return all(_number(cell) is not None for cell in cells)


def _lone_axis(grid: Grid, turned: bool) -> bool:
    """A first row of numbers that is an axis: it alone rises or falls steadily."""
    least = 3 if turned else MIN_AXIS_LENGTH  # a column that was called the axis need not be long
    return _is_axis(grid[0], least) and not any(_is_axis(row, least) for row in grid[1:4])


def _numbered(header: list[str]) -> np.ndarray | None:
    """Numbers in names such as X1600 or 400.5 nm, where they rise or fall and do not just count."""
    found = [re.findall(r"\d+(?:\.\d+)?", cell) for cell in header]
    if any(len(numbers) != 1 for numbers in found):
        return None
    cells = [numbers[0] for numbers in found]
    counted = [float(cell) - float(cells[0]) for cell in cells] == list(range(len(cells)))
    if not _is_axis(cells, 2) or (counted and float(cells[0]) in (0, 1)):
        return None
    return np.array(cells, float)


def _values(path: Path, grid: Grid, shift: tuple[int, int], turned: bool) -> np.ndarray:
    try:
        return np.array(grid, dtype=str).astype(np.float64)
    except ValueError:
        pass
    wrong = [
        (i, j, cell)
        for i, row in enumerate(grid)
        for j, cell in enumerate(row)
        if _number(cell) is None
    ]
    told = []
    for i, j, cell in wrong[:3]:
        place = (i + 1 + shift[0], j + 1 + shift[1])
        row, column = place[::-1] if turned else place
        told.append(f"row {row}, column {column} {f'holds {cell!r}' if cell else 'is empty'}")
    raise ValueError(
        f"{path}: {len(wrong)} cell(s) hold no number: {'; '.join(told)}"
        f"{'; ...' if len(wrong) > 3 else ''}. Fill or remove them (decimals are written with a "
        "point)"
    )
