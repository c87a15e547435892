"""The header of a table with spectra in rows: which row holds the axis, which columns are bands."""

import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from jaxhsi.data.tables.cell_table import CellTable
from jaxhsi.data.tables.header_words import is_unit, label_kind

MIN_AXIS_LENGTH = 8
"""So many rising or falling numbers are an axis, not a spectrum that happens to. Set by hand."""

MAX_HEADER_ROWS = 6
FAMILY_SHARE = 0.8
"""Share of the names of columns that are alike but for a number ("wl1", "wl2", ...), from which the
others are no bands. Set by hand."""

_NUMBERED_NAME = re.compile(r"(.*?)([+-]?\d+(?:[.,]\d+)?)(?!\d)(\D*)")


class Header(NamedTuple):
    """What the first rows say of the columns.

    Attributes:
        num_rows: rows above the first spectrum.
        names: of the columns, empty where there are none.
        is_text: columns of text.
        is_band: columns of bands.
        axis: number of each band, or None.
        axis_row: row that holds it as numbers, or None.
        is_certain: the axis is set off by words or an empty corner, not by its values alone.
        family: what numbered names have before and after the number, or None.
        unit: of the axis, where a row of units holds it.
    """

    num_rows: int
    names: tuple[str, ...]
    is_text: np.ndarray
    is_band: np.ndarray
    axis: np.ndarray | None = None
    axis_row: int | None = None
    is_certain: bool = False
    family: tuple[str, str] | None = None
    unit: str = ""


def is_monotonic(numbers: np.ndarray) -> bool:
    """Whether finite numbers all rise, or all fall."""
    steps = np.diff(numbers)
    return bool(len(numbers) > 1 and ((steps > 0).all() or (steps < 0).all()))


def is_counting(numbers: np.ndarray) -> bool:
    """Whether numbers count from 0 or 1."""
    return bool(numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())


def is_regular(numbers: np.ndarray) -> bool:
    """Whether rising or falling numbers have steps that change little from one to the next."""
    if len(numbers) < MIN_AXIS_LENGTH or not is_monotonic(numbers):
        return False
    steps = np.abs(np.diff(numbers))
    return bool(np.median(np.abs(np.diff(steps))) <= 0.2 * np.median(steps))


def find_header(
    table: CellTable, references: tuple[str, ...] | None = None, min_length: int = MIN_AXIS_LENGTH
) -> Header:
    """Read the first rows of a table with spectra in rows.

    Args:
        table: its cells.
        references: names or numbers of columns that are no bands; None to decide by their names.
        min_length: numbers that rise or fall in a row without any words to be an axis.
    """
    text_mask = table.text_mask()
    is_text = _text_columns(table, text_mask)
    num_rows, name_rows, unit_rows, axis_row, is_certain = 0, [], [], None, False
    for row in range(min(MAX_HEADER_ROWS, len(table.numbers) - 1)):
        has_header = bool(name_rows) or axis_row is not None
        kind = _row_kind(table, text_mask, row, is_text, min_length, has_header)
        if kind is None or (kind.startswith("axis") and axis_row is not None):
            break
        num_rows = row + 1
        if kind == "units":
            unit_rows.append(row)
        elif kind == "names":
            name_rows.append(row)
        else:
            axis_row, is_certain = row, kind != "axis by values"
    names = _column_names(table, name_rows, axis_row)
    is_numeric = ~is_text & np.isfinite(table.numbers[num_rows:]).any(0)
    header = Header(num_rows, names, is_text, is_numeric)
    if axis_row is not None:
        is_band = is_numeric & np.isfinite(table.numbers[axis_row])
        header = header._replace(
            is_band=is_band, axis=table.numbers[axis_row], axis_row=axis_row, is_certain=is_certain
        )
    elif name_rows:
        header = _bands_by_name(header)
    header = _apply_references(table, header, is_numeric, references)
    unit = next(
        (table.text(row, int(j)) for row in unit_rows for j in np.flatnonzero(header.is_band)[:1]),
        "",
    )
    axis = None if header.axis is None else header.axis[header.is_band]
    return header._replace(axis=axis, unit=unit)


def _text_columns(table: CellTable, text_mask: np.ndarray) -> np.ndarray:
    """Columns with more text than numbers below what may be the header."""
    first = min(MAX_HEADER_ROWS, len(table.numbers) // 2)
    num_texts = text_mask[first:].sum(0)
    return num_texts > np.isfinite(table.numbers[first:]).sum(0)


def _row_kind(
    table: CellTable,
    text_mask: np.ndarray,
    row: int,
    is_text: np.ndarray,
    min_length: int,
    has_header: bool,
) -> str | None:
    """What a row above the spectra is, or None for the first of them."""
    numeric = np.flatnonzero(~is_text)
    num_texts, numbers = text_mask[row, numeric].sum(), table.numbers[row, numeric]
    is_number = np.isfinite(numbers)
    if num_texts > is_number.sum():
        cells = [table.text(row, int(j)) for j in numeric]
        return "units" if has_header and all(map(is_unit, cells)) else "names"
    if is_number.sum() < 2 or not is_monotonic(numbers[is_number]):
        return None
    side_cells = [table.text(row, int(j)) for j in np.flatnonzero(is_text)]
    # Single letters below the first row are names of samples rather than of an axis.
    labels = [cell for cell in side_cells if row == 0 or len(cell) > 1]
    has_label = any(label_kind(cell) is not None for cell in labels)
    has_blank_corner = bool(side_cells) and not any(side_cells)
    beside = ~is_number & np.isfinite(table.numbers[row + 1 :][:3, numeric]).any(0)
    if has_label or has_blank_corner or beside.any() or num_texts:
        return "axis by words"
    below = table.numbers[row + 1 : row + 4][:, numeric[is_number]]
    others = [values for values in below if np.isfinite(values).all()]
    needed = 3 if side_cells else min_length
    if is_number.sum() >= needed and _stands_out(numbers[is_number], others, len(table.numbers)):
        return "axis by values"
    return None


def _stands_out(numbers: np.ndarray, others: list[np.ndarray], num_rows: int) -> bool:
    """Whether numbers that rise or fall are an axis and not a spectrum among such."""
    if num_rows == 2 or not any(map(is_monotonic, others)):
        return True  # a single spectrum beside its axis may rise itself
    return is_regular(numbers) and not any(map(is_regular, others))


def _column_names(table: CellTable, name_rows: list[int], axis_row: int | None) -> tuple[str, ...]:
    """The label of each column: the first that is there in its header cells."""
    rows = [*name_rows, *([] if axis_row is None else [axis_row])]
    return tuple(
        next((table.text(row, j) for row in rows if table.text(row, j)), "")
        for j in range(table.numbers.shape[1])
    )


def _bands_by_name(header: Header) -> Header:
    """Bands are the columns whose names differ by a number alone; else all but those with words."""
    parsed = {
        j: match.groups()
        for j in np.flatnonzero(header.is_band)
        if (match := _NUMBERED_NAME.fullmatch(header.names[j]))
    }
    families = Counter((before.strip(), after.strip()) for before, _, after in parsed.values())
    num_columns = int(header.is_band.sum())
    family, size = families.most_common(1)[0] if families else (None, 0)
    if family is None or size < FAMILY_SHARE * (num_columns - 1) or size < 2:
        return header._replace(is_band=header.is_band & ~_references_at_ends(header.names))
    is_band = np.zeros_like(header.is_band)
    axis = np.full(len(is_band), np.nan)
    for j, (before, number, after) in parsed.items():
        if (before.strip(), after.strip()) == family:
            is_band[j], axis[j] = True, float(number.replace(",", "."))
    values = axis[is_band]
    has_axis = is_monotonic(values) and not is_counting(values)
    return header._replace(is_band=is_band, axis=axis if has_axis else None, family=family)


def _references_at_ends(names: tuple[str, ...]) -> np.ndarray:
    """Columns before and behind the bands whose names are of samples or references.

    Single letters are names of bands, as is any word between other bands; so is the name of a
    substance in a table of a few columns, which may be amounts.
    """
    kinds = (
        ("sample", "order", "reference") if len(names) > MIN_AXIS_LENGTH else ("sample", "order")
    )
    is_reference = np.array([len(name) > 1 and label_kind(name) in kinds for name in names])
    others = np.flatnonzero(~is_reference)
    if len(others):
        is_reference[others[0] : others[-1]] = False
    return is_reference


def _apply_references(
    table: CellTable, header: Header, is_numeric: np.ndarray, references: tuple[str, ...] | None
) -> Header:
    if references is None:
        return header
    is_band = is_numeric & (header.is_band | (header.axis is None))
    for reference in references:
        columns = [j for j, name in enumerate(header.names) if name == reference]
        if not columns and reference.isdigit():
            columns = np.flatnonzero(table.column_numbers == int(reference)).tolist()
        if not columns:
            named = [name for name in header.names if name]
            raise ValueError(
                f"{table.source_name}: --references names {reference!r}, which is no column; there "
                f"are {', '.join(named[:8]) or 'no names, give numbers from 1'}"
            )
        is_band[columns] = False
    return header._replace(is_band=is_band)
