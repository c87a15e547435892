"""Tables of pairs of columns: the axis and the values of one spectrum after the other."""

import numpy as np

from jaxhsi.data.tables.cell_table import CellTable
from jaxhsi.data.tables.common_axis import Spectrum, to_common_axis
from jaxhsi.data.tables.header import is_monotonic
from jaxhsi.data.tables.header_words import is_unit, is_value_label, label_kind
from jaxhsi.data.tables.stored_table import StoredTable

MAX_END_DIFFERENCE = 0.2
"""Share of its range by which the ends of an axis may lie off those of the first. Set by hand."""


def has_pairs(table: CellTable) -> bool:
    """Whether every other column is an axis, much like the first, and those between are not."""
    num_rows = _num_header_rows(table)
    values = table.numbers[num_rows:]
    if values.shape[1] < 4 or values.shape[1] % 2 or len(values) < 3:
        return False
    axes = [_finite(column) for column in values.T[::2]]
    others = [_finite(column) for column in values.T[1::2]]
    if any(len(axis) < 3 or not is_monotonic(axis) for axis in axes):
        return False
    if any(len(axis) != len(other) for axis, other in zip(axes, others, strict=True)):
        return False
    span = abs(axes[0][-1] - axes[0][0])
    ends = np.array([sorted((axis[0], axis[-1])) for axis in axes])
    is_alike = (np.abs(ends - ends[0]) <= MAX_END_DIFFERENCE * span).all()
    return bool(is_alike) and sum(map(is_monotonic, others)) <= len(others) // 2


def read_pairs(table: CellTable) -> StoredTable:
    """The spectra of pairs of columns, on the axis of the first.

    Raises:
        ValueError: columns that are not pairs of axis and values, or axes too far apart.
    """
    num_rows = _num_header_rows(table)
    num_columns = table.numbers.shape[1]
    if num_columns % 2:
        raise ValueError(
            f"{table.source_name} has {num_columns} columns; pairs of axis and values are an even "
            "number"
        )
    spectra, names = [], []
    for j in range(0, num_columns, 2):
        is_present = np.isfinite(table.numbers[num_rows:, j])
        axis, values = table.numbers[num_rows:, j : j + 2][is_present].T
        if not is_monotonic(axis):
            raise ValueError(
                f"{table.source_name}: column {table.column_numbers[j]} does not rise or fall "
                "steadily, as the axis of a pair does"
            )
        names.append(_pair_name(table, num_rows, j) or str(j // 2 + 1))
        spectra.append(Spectrum(names[-1], axis, values))
    common = to_common_axis(spectra, table.source_name)
    words = [table.text(i, 0) for i in range(num_rows)]
    axis_name = next((word for word in words if label_kind(word) == "band"), table.axis_hint)
    has_names = len(set(names)) == len(names) and names != [str(i + 1) for i in range(len(names))]
    notes = (f"{len(spectra)} pairs of columns of axis and values", *common.notes)
    return StoredTable(
        common.values, common.axis, axis_name, tuple(names) if has_names else None, notes
    )


def _num_header_rows(table: CellTable) -> int:
    """Rows at the top that hold text above the numbers."""
    rows_with_text = {row for row, _ in table.texts}
    num_rows = 0
    while num_rows in rows_with_text and num_rows < len(table.numbers):
        num_rows += 1
    return num_rows


def _pair_name(table: CellTable, num_rows: int, column: int) -> str:
    """The name of a spectrum: the words above its pair that are not of an axis, value or unit."""
    labels = [table.text(i, j) for i in range(num_rows) for j in (column, column + 1)]
    names = [
        label
        for label in labels
        if label
        and label_kind(label) != "band"
        and not is_unit(label)
        and not is_value_label(label)
    ]
    return names[0] if names else ""


def _finite(column: np.ndarray) -> np.ndarray:
    return column[np.isfinite(column)]
