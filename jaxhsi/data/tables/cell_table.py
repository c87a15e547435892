"""The cells of a table, whatever file they came from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

Cell = tuple[int, int]


class CellTable(NamedTuple):
    """Numbers, and the text between them.

    Attributes:
        numbers: NaN where a cell holds no number.
        texts: cells that hold text.
        labels: numbers of the first row and column as they are written, where "001" is not 1.
        row_numbers: line of the file, or row of the array, of each row, from 1.
        column_numbers: of each column, from 1.
        source_name: file, for messages.
        axis_hint: name or unit of the axis that stands above the table, or empty.
        notes: what was passed over on the way.
    """

    numbers: Float64[np.ndarray, "r m"]
    texts: dict[Cell, str]
    labels: dict[Cell, str]
    row_numbers: Int[np.ndarray, " r"]
    column_numbers: Int[np.ndarray, " m"]
    source_name: str
    axis_hint: str = ""
    notes: tuple[str, ...] = ()

    def text(self, row: int, column: int) -> str:
        """Text of a cell, empty where it holds a number or nothing."""
        return self.texts.get((row, column), "")

    def label(self, row: int, column: int) -> str:
        """What a cell holds, as a name."""
        cell = (row, column)
        if cell in self.texts or cell in self.labels:
            return self.texts.get(cell) or self.labels[cell]
        number = self.numbers[cell]
        return "" if np.isnan(number) else f"{number:.10g}"

    def transposed(self) -> "CellTable":
        """Rows and columns exchanged."""
        return self._replace(
            numbers=self.numbers.T,
            texts={cell[::-1]: text for cell, text in self.texts.items()},
            labels={cell[::-1]: text for cell, text in self.labels.items()},
            row_numbers=self.column_numbers,
            column_numbers=self.row_numbers,
        )

    def text_mask(self) -> np.ndarray:
        """Which cells hold text."""
        mask = np.zeros(self.numbers.shape, bool)
        if self.texts:
            mask[tuple(np.array(list(self.texts)).T)] = True
        return mask


def table_of_array(values: np.ndarray, source_name: str) -> CellTable:
    """An array of numbers as a table without text."""
    rows, columns = (np.arange(1, length + 1) for length in values.shape)
    return CellTable(values.astype(np.float64), {}, {}, rows, columns, source_name)


def table_of_rows(
    rows: Sequence[Sequence[str | float | None]], source_name: str, first_row: int = 1
) -> CellTable:
    """Rows of numbers, text and nothing, padded to equal lengths; empty edges are left out."""
    num_columns = max((len(row) for row in rows), default=0)
    numbers, texts = np.full((len(rows), num_columns), np.nan), {}
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if isinstance(cell, str):
                if cell.strip():
                    texts[i, j] = cell.strip()
            elif cell is not None:
                numbers[i, j] = cell
    row_numbers = np.arange(first_row, first_row + len(rows))
    column_numbers = np.arange(1, num_columns + 1)
    return drop_empty(CellTable(numbers, texts, {}, row_numbers, column_numbers, source_name))


def select_cells(table: CellTable, rows: np.ndarray, columns: np.ndarray) -> CellTable:
    """The table of some rows and columns, by their indices in rising order."""
    row_places = {int(row): i for i, row in enumerate(rows)}
    column_places = {int(column): j for j, column in enumerate(columns)}

    def moved(cells: dict[Cell, str]) -> dict[Cell, str]:
        return {
            (row_places[i], column_places[j]): text
            for (i, j), text in cells.items()
            if i in row_places and j in column_places
        }

    return table._replace(
        numbers=table.numbers[np.ix_(rows, columns)],
        texts=moved(table.texts),
        labels=moved(table.labels),
        row_numbers=table.row_numbers[rows],
        column_numbers=table.column_numbers[columns],
    )


def drop_empty(table: CellTable) -> CellTable:
    """Leave out rows and columns without any cell, such as separators at the ends of lines make."""
    has_content = ~np.isnan(table.numbers) | table.text_mask()
    rows, columns = np.flatnonzero(has_content.any(1)), np.flatnonzero(has_content.any(0))
    if (len(rows), len(columns)) == table.numbers.shape:
        return table
    return select_cells(table, rows, columns)
