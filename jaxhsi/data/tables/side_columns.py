"""What stands beside the bands: names of samples, their axis, and reference values."""

import numpy as np

from jaxhsi.data.tables.cell_table import CellTable
from jaxhsi.data.tables.header import Header, is_counting, is_monotonic
from jaxhsi.data.tables.header_words import corner_kinds, corner_labels, is_unit, label_kind
from jaxhsi.data.tables.stored_table import Reference, StoredTable


def unit_columns(view: CellTable, header: Header) -> list[int]:
    """Columns of text that repeat one unit."""
    columns = []
    for j in np.flatnonzero(header.is_text):
        texts = {view.text(i, int(j)) for i in range(header.num_rows, len(view.numbers))}
        if len(texts) == 1 and is_unit(next(iter(texts))) and len(view.numbers) > 3:
            columns.append(int(j))
    return columns


def with_side_columns(
    stored: StoredTable, view: CellTable, header: Header, side_word: str
) -> StoredTable:
    """Names of the samples, their axis, and references, from the columns that are no bands."""
    rows = range(header.num_rows, len(view.numbers))
    units = unit_columns(view, header)
    side = [
        int(j)
        for j in np.flatnonzero(~header.is_band)
        if int(j) not in units and any(view.label(i, int(j)) for i in rows)
    ]
    name_column, order_column = _name_column(view, header, side), _order_column(view, header, side)
    references = []
    for j in side:
        labels = tuple(view.label(i, j) for i in rows)
        numbers = view.numbers[header.num_rows :, j]
        if j == name_column:
            stored = stored._replace(sample_names=labels)
        elif j == order_column:
            stored = stored._replace(
                sample_axis=numbers, sample_axis_name=_side_name(header.names[j])
            )
        else:
            name = _side_name(header.names[j]) or f"{side_word} {view.column_numbers[j]}"
            values = labels if header.is_text[j] else tuple(numbers.tolist())
            references.append(Reference(name, values))
    if stored.sample_names is None and order_column is not None:
        labels = tuple(view.label(i, order_column) for i in rows)
        stored = stored._replace(sample_names=labels)
    return stored._replace(references=tuple(references))


def _side_name(label: str) -> str:
    """The name of a column beside the bands; a corner cell may name the axis of the bands alone."""
    parts = [part.strip(" #") for part in corner_labels(label)]
    return next((part for part in parts if label_kind(part) != "band" or part.lower() in "xyz"), "")


def _name_column(view: CellTable, header: Header, side: list[int]) -> int | None:
    """The column with names of samples: by its heading, else the first of distinct words."""
    rows = range(header.num_rows, len(view.numbers))
    for j in side:
        numbers = view.numbers[header.num_rows :, j]
        is_distinct = header.is_text[j] or len(np.unique(numbers)) == len(numbers)
        if corner_kinds(header.names[j])[0] == "sample" and is_distinct:
            return j
    for j in side:
        labels = [view.label(i, j) for i in rows]
        kind = label_kind(header.names[j])
        is_free = kind not in ("reference", "order")
        is_distinct = 2 * len(set(labels)) > len(labels) or len(side) == 1
        if header.is_text[j] and is_free and is_distinct:
            return j
    for j in side:
        numbers = view.numbers[header.num_rows :, j]
        is_unnamed = not _side_name(header.names[j])
        if is_unnamed and np.isfinite(numbers).all() and is_counting(numbers):
            return j
    return None


def _order_column(view: CellTable, header: Header, side: list[int]) -> int | None:
    """The column with the axis of the samples, such as time."""
    numeric = [
        j
        for j in side
        if not header.is_text[j] and np.isfinite(view.numbers[header.num_rows :, j]).all()
    ]
    for j in numeric:
        if corner_kinds(header.names[j])[0] == "order":
            return j
    for j in numeric:
        numbers = view.numbers[header.num_rows :, j]
        if label_kind(header.names[j]) in (None, "band") and is_monotonic(numbers):
            return None if is_counting(numbers) else j
    return None
