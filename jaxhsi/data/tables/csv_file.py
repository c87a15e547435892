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


def read_csv(path: Path, orientation: str | None = None) -> CsvTable:
    """Read a table of spectra from text with commas, semicolons or tabs.

    Args:
        path: the file, UTF-8; empty lines and lines that begin with # are passed over.
        orientation: "rows" or "columns"; told from the file if None, which only works where it
            holds text that says so, or where the first column cannot be an axis.

    Raises:
        ValueError: text or missing cells among the numbers, rows of unequal length, no numbers, or
            an orientation that the file does not tell; rows and columns are named.
    """
    grid = _read_grid(path)
    if orientation is None:
        orientation = _detect_orientation(path, grid)
    if orientation == "columns":
        grid = [list(row) for row in zip(*grid, strict=True)]
    return _parse_grid(path, grid, is_transposed=orientation == "columns")


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
    for row_number, row in enumerate(grid, 1):
        if len(row) != len(grid[0]):
            raise ValueError(
                f"{path}: row {row_number} has {len(row)} cells, row 1 has {len(grid[0])}; "
                "every row needs the same number"
            )
    return grid


def _parse_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _is_axis(cells: list[str], min_length: int = MIN_AXIS_LENGTH) -> bool:
    """Enough numbers, all rising or all falling."""
    numbers = [_parse_number(cell) for cell in cells]
    if len(numbers) < min_length or None in numbers:
        return False
    axis_steps = np.diff(numbers)
    return bool((axis_steps > 0).all() or (axis_steps < 0).all())


def _detect_orientation(path: Path, grid: Grid) -> str:
    """What the file says of itself: rows or columns; an error where it could be both."""
    corner_cell, first_column = grid[0][0], [row[0] for row in grid[1:]]
    if AXIS_WORDS.search(corner_cell) and _is_axis(first_column, 2):
        return "columns"
    header_is_axis = _parse_number(corner_cell) is None and _is_axis(grid[0][1:], 2)
    if header_is_axis or SAMPLE_WORDS.match(corner_cell) or not _is_axis(first_column):
        return "rows"
    raise ValueError(
        f"{path}: the first column rises or falls steadily from {first_column[0]} to "
        f"{first_column[-1]}, so it "
        "may be the axis of spectra in columns, or one band of spectra in rows; say which with "
        "--spectra columns or --spectra rows"
    )


def _parse_grid(path: Path, grid: Grid, *, is_transposed: bool) -> CsvTable:
    """Parse a grid whose rows are spectra; ``is_transposed``: the file has them as columns."""
    corner_cell, has_names = grid[0][0], _has_sample_names(grid)
    sample_names = tuple(row[0] for row in grid) if has_names else None
    grid = [row[1:] for row in grid] if has_names else grid
    if not grid[0]:
        raise ValueError(f"{path}: there are no numbers beside the first column")
    axis, header_rows, orientation_note = None, 0, None
    if any(_parse_number(cell) is None and cell for cell in grid[0]):
        axis, header_rows = _axis_in_band_names(grid[0]), 1
    elif (
        has_names and _parse_number(corner_cell) is None and _all_numbers(grid[0])
    ) or _is_only_axis(grid, is_transposed):
        axis, header_rows = np.array(grid[0], float), 1
        if not has_names:
            orientation_note = (
                f"the first {'column' if is_transposed else 'row'} was taken as the axis"
            )
    if len(grid) == header_rows:
        raise ValueError(f"{path} holds a header and no spectra below it")
    values = _parse_values(path, grid[header_rows:], (header_rows, int(has_names)), is_transposed)
    is_word = axis is not None and AXIS_WORDS.search(corner_cell)
    return CsvTable(
        values,
        axis,
        corner_cell if is_word else "",
        sample_names and sample_names[header_rows:],
        orientation_note,
    )


def _has_sample_names(grid: Grid) -> bool:
    """Whether the first column holds names: text in most cells, or a corner that says so."""
    first_column = [row[0] for row in grid[1:]]
    num_text = sum(_parse_number(cell) is None and cell != "" for cell in first_column)
    has_labelled_corner = (
        _parse_number(grid[0][0]) is None and len(grid[0]) > 1 and _all_numbers(grid[0][1:])
    )
    return (
        2 * num_text > len(first_column)
        or has_labelled_corner
        or bool(SAMPLE_WORDS.match(grid[0][0]))
    )


def _all_numbers(cells: list[str]) -> bool:
    return all(_parse_number(cell) is not None for cell in cells)


def _is_only_axis(grid: Grid, is_transposed: bool) -> bool:
    """A first row of numbers that is an axis: it alone rises or falls steadily."""
    min_length = (
        3 if is_transposed else MIN_AXIS_LENGTH
    )  # a column that was called the axis need not be long
    return _is_axis(grid[0], min_length) and not any(_is_axis(row, min_length) for row in grid[1:4])


def _axis_in_band_names(header: list[str]) -> np.ndarray | None:
    """Numbers in names such as X1600 or 400.5 nm, where they rise or fall and do not just count."""
    numbers_in_cells = [re.findall(r"\d+(?:\.\d+)?", cell) for cell in header]
    if any(len(numbers) != 1 for numbers in numbers_in_cells):
        return None
    cells = [numbers[0] for numbers in numbers_in_cells]
    are_counts = [float(cell) - float(cells[0]) for cell in cells] == list(range(len(cells)))
    if not _is_axis(cells, 2) or (are_counts and float(cells[0]) in (0, 1)):
        return None
    return np.array(cells, float)


def _parse_values(
    path: Path, grid: Grid, grid_offset: tuple[int, int], is_transposed: bool
) -> np.ndarray:
    try:
        return np.array(grid, dtype=str).astype(np.float64)
    except ValueError:
        pass
    wrong_cells = [
        (i, j, cell)
        for i, row in enumerate(grid)
        for j, cell in enumerate(row)
        if _parse_number(cell) is None
    ]
    cell_messages = []
    for i, j, cell in wrong_cells[:3]:
        place = (i + 1 + grid_offset[0], j + 1 + grid_offset[1])
        row, column = place[::-1] if is_transposed else place
        cell_messages.append(
            f"row {row}, column {column} {f'holds {cell!r}' if cell else 'is empty'}"
        )
    raise ValueError(
        f"{path}: {len(wrong_cells)} cell(s) hold no number: {'; '.join(cell_messages)}"
        f"{'; ...' if len(wrong_cells) > 3 else ''}. Fill or remove them (decimals are written "
        "with a "
        "point)"
    )
