"""Long tables: a row for every value, with its sample and its place on the axis."""

from typing import NamedTuple

import numpy as np

from jaxhsi.data.tables.cell_table import CellTable
from jaxhsi.data.tables.header_words import is_value_label, label_kind
from jaxhsi.data.tables.stored_table import Reference, StoredTable

MAX_COLUMNS = 8
MIN_BANDS, MIN_SAMPLES = 3, 2
MIN_COMPLETE = 0.9
"""Share of the values of all samples and bands that must be there. Set by hand."""


class LongColumns(NamedTuple):
    """Which column of a long table is what: axis, values, and those that name the sample."""

    axis: int
    values: int
    keys: tuple[int, ...]


def find_long_columns(table: CellTable, is_asked: bool = False) -> LongColumns | None:
    """Tell a long table by an axis column that repeats once for each sample, or return None.

    Args:
        table: its cells.
        is_asked: the user says that it is long; a clear axis word is not needed.
    """
    num_rows, num_columns = table.numbers.shape
    if not 2 <= num_columns <= MAX_COLUMNS or num_rows < MIN_BANDS * MIN_SAMPLES:
        return None
    first = _first_row(table)
    labels = [table.text(0, j) if first else "" for j in range(num_columns)]
    body = table.numbers[first:]
    numeric = [j for j in range(num_columns) if np.isfinite(body[:, j]).all()]
    values = _value_column(labels, numeric)
    if values is None:
        return None
    candidates = [
        LongColumns(j, values, tuple(i for i in range(num_columns) if i not in (j, values)))
        for j in numeric
        if j != values
    ]
    matches = [columns for columns in candidates if _is_complete(table, first, columns)]
    worded = [match for match in matches if label_kind(labels[match.axis]) == "band"]
    not_order = [
        match
        for match in matches
        if label_kind(labels[match.axis]) not in ("order", "sample", "reference")
    ]
    matches = worded or not_order or (matches if is_asked else [])
    # A spectrum is written as a whole: its axis changes from one row to the next.
    return max(matches, key=lambda match: _num_changes(body[:, match.axis]), default=None)


def _num_changes(column: np.ndarray) -> int:
    return int((np.diff(column) != 0).sum())


def _first_row(table: CellTable) -> int:
    """1 where the first row is a header."""
    body = np.isfinite(table.numbers[1:]).any(0)
    return int(any((0, j) in table.texts for j in np.flatnonzero(body)))


def _value_column(labels: list[str], numeric: list[int]) -> int | None:
    worded = [j for j in numeric if is_value_label(labels[j]) and label_kind(labels[j]) != "band"]
    return worded[-1] if worded else (numeric[-1] if numeric else None)


def _is_complete(table: CellTable, first: int, columns: LongColumns) -> bool:
    """Each sample has each band once, or nearly all of them."""
    places, samples, _ = _grid(table, first, columns)
    num_bands, num_samples = int(places.max()) + 1, int(samples.max()) + 1
    if num_bands < MIN_BANDS or num_samples < MIN_SAMPLES:
        return False
    cells = samples * num_bands + places
    is_unique = len(np.unique(cells)) == len(cells)
    return is_unique and len(cells) >= MIN_COMPLETE * num_bands * num_samples


def _grid(
    table: CellTable, first: int, columns: LongColumns
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Band and sample of every row, and the first row of each sample in order of appearance."""
    axis = table.numbers[first:, columns.axis]
    _, places = np.unique(axis, return_inverse=True)
    if not columns.keys:
        samples = np.cumsum(np.r_[False, axis[1:] == axis[0]])
        return places, samples, np.unique(samples, return_index=True)[1]
    codes = np.zeros(len(axis), np.int64)
    for column in columns.keys:
        labels = [table.label(first + i, column) for i in range(len(axis))]
        code = np.unique(labels, return_inverse=True)[1]
        codes = np.unique(codes * (int(code.max()) + 1) + code, return_inverse=True)[1]
    _, first_rows, samples = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first_rows)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return places, ranks[samples], first_rows[order]


def read_long_table(table: CellTable, columns: LongColumns) -> StoredTable:
    """The spectra of a long table: a row for each sample in order of appearance."""
    first = _first_row(table)
    places, samples, first_rows = _grid(table, first, columns)
    axis = np.unique(table.numbers[first:, columns.axis])
    values = np.full((len(first_rows), len(axis)), np.nan)
    values[samples, places] = table.numbers[first:, columns.values]
    first_axis = table.numbers[first:, columns.axis]
    if first_axis[0] > first_axis[1] and columns.axis == max(
        (columns.axis, *columns.keys), key=lambda j: _num_changes(table.numbers[first:, j])
    ):
        axis, values = axis[::-1], values[:, ::-1]  # as the file has them
    labels = [table.text(0, j) if first else "" for j in range(table.numbers.shape[1])]
    names = [labels[j] or f"column {table.column_numbers[j]}" for j in range(len(labels))]
    axis_name = labels[columns.axis].lstrip("#") or table.axis_hint
    note = (
        f"a long table: values in {names[columns.values]!r}, axis in {names[columns.axis]!r}, "
        f"samples by {', '.join(repr(names[j]) for j in columns.keys) or 'their order'}"
    )
    stored = StoredTable(values, axis, axis_name, None, (note,))
    return _with_keys(stored, table, first + first_rows, columns.keys, names)


def _with_keys(
    stored: StoredTable,
    table: CellTable,
    rows: np.ndarray,
    keys: tuple[int, ...],
    names: list[str],
) -> StoredTable:
    """Names of the samples by the only key, or each key as a reference."""
    references = []
    for column in keys:
        numbers = table.numbers[rows, column]
        if np.isfinite(numbers).all():
            references.append(Reference(names[column], tuple(numbers.tolist())))
        else:
            labels = tuple(table.label(int(row), column) for row in rows)
            references.append(Reference(names[column], labels))
    if len(references) != 1:
        return stored._replace(references=tuple(references))
    labels = tuple(table.label(int(row), keys[0]) for row in rows)
    numbers = table.numbers[rows, keys[0]]
    if label_kind(names[keys[0]]) == "order" and np.isfinite(numbers).all():
        return stored._replace(
            sample_names=labels, sample_axis=numbers, sample_axis_name=names[keys[0]]
        )
    return stored._replace(sample_names=labels)
