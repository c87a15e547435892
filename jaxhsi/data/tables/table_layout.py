"""From the cells of a table to its spectra: the layout, the axis, and what stands beside them."""

import numpy as np

from jaxhsi.data.tables.cell_table import CellTable, select_cells
from jaxhsi.data.tables.header import (
    MIN_AXIS_LENGTH,
    Header,
    find_header,
    is_counting,
    is_monotonic,
    is_regular,
)
from jaxhsi.data.tables.header_words import corner_labels, label_kind
from jaxhsi.data.tables.long_table import find_long_columns, read_long_table
from jaxhsi.data.tables.missing_values import treat_missing
from jaxhsi.data.tables.orientation import SMOOTH, decide_orientation, roughness
from jaxhsi.data.tables.pair_columns import has_pairs, read_pairs
from jaxhsi.data.tables.side_columns import unit_columns, with_side_columns
from jaxhsi.data.tables.stored_table import StoredTable
from jaxhsi.data.tables.table_options import TableOptions

END_STEP_RATIO = 3.0
"""How much farther the first or last column lies from its neighbour than any two others, on
average over the spectra, to be doubted. Set by hand."""

MISSING_WORDS = (
    "",
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "-",
    "--",
    "#n/a",
    "#div/0!",
    "n.d.",
    "nd",
    "?",
)


def interpret_table(
    table: CellTable, options: TableOptions, *, has_words: bool = True
) -> StoredTable:
    """The spectra of a table, in rows.

    Args:
        table: its cells.
        options: what the user says of it.
        has_words: the file could say in words that its first column is an axis; where it could
            not, as in an array, a few rising numbers are none.

    Raises:
        ValueError: no spectra, text among the numbers, or a layout that cannot be told.
    """
    table = _without_counter(_without_corner_number(table))
    if options.spectra == "long" or options.spectra is None:
        long_columns = find_long_columns(table, is_asked=options.spectra == "long")
        if long_columns is not None:
            return _noted(read_long_table(table, long_columns), table)
        if options.spectra == "long":
            raise ValueError(
                f"{table.source_name}: no column repeats the same values for each sample, as the "
                "axis of a long table does; leave --spectra long out"
            )
    if options.spectra == "pairs" or (options.spectra is None and has_pairs(table)):
        return _noted(read_pairs(table), table)
    if options.spectra is None and has_pairs(table.transposed()):
        return _noted(read_pairs(table.transposed()), table)
    orientation, reason = options.spectra, "as asked"
    if orientation is None:
        orientation, reason = decide_orientation(table)
    view = table.transposed() if orientation == "columns" else table
    return _noted(_read_matrix(view, options, orientation, reason, has_words), table)


def _noted(stored: StoredTable, table: CellTable) -> StoredTable:
    return stored._replace(notes=(*table.notes, *stored.notes))


def _without_corner_number(table: CellTable) -> CellTable:
    """A number in the corner between two axes stands for nothing."""
    numbers = table.numbers
    if min(numbers.shape) < 4 or np.isnan(numbers[0, 0]):
        return table
    if not (is_regular(numbers[0, 1:]) and is_regular(numbers[1:, 0])):
        return table
    if any(is_monotonic(row) for row in numbers[1:4, 1:]):
        return table
    numbers = numbers.copy()
    numbers[0, 0] = np.nan
    return table._replace(numbers=numbers)


def _without_counter(table: CellTable) -> CellTable:
    """Leave out a first column without a name that counts, as pandas writes it beside an axis."""
    numbers = table.numbers
    if min(numbers.shape) < 3 or table.label(0, 0) or label_kind(table.text(0, 1)) != "band":
        return table
    if not np.isfinite(numbers[1:, :2]).all() or not is_counting(numbers[1:, 0]):
        return table
    if not is_monotonic(numbers[1:, 1]):
        return table
    return select_cells(table, np.arange(numbers.shape[0]), np.arange(1, numbers.shape[1]))


def _read_matrix(
    view: CellTable, options: TableOptions, orientation: str, reason: str, has_words: bool
) -> StoredTable:
    """Spectra in rows of the view, which is the table or its transpose."""
    min_length = 3 if has_words and options.spectra == "columns" else MIN_AXIS_LENGTH
    header = find_header(view, options.references, min_length)
    if not header.is_band.any():
        raise ValueError(f"{view.source_name}: there are no numbers beside the first column")
    if header.num_rows == len(view.numbers):
        raise ValueError(f"{view.source_name} holds a header and no spectra below it")
    view, other_axes = _without_other_axes(view, header)
    header = _without_sample_axis(view, find_header(view, options.references, min_length), options)
    _check_text(view, header, orientation == "columns")
    values = view.numbers[header.num_rows :, header.is_band]
    stored = StoredTable(values, header.axis, _axis_name(view, header))
    side_word = "row" if orientation == "columns" else "column"
    stored = with_side_columns(stored, view, header, side_word)
    _check_continuity(stored, view, header, options, side_word)
    notes = _layout_notes(stored, orientation, reason)
    if other_axes:
        notes = (*notes, f"other axes are left out: {', '.join(other_axes)}")
    stored = stored._replace(notes=notes)
    places = _missing_places(view, header, orientation == "columns")
    return treat_missing(stored, options.missing, view.source_name, places)


def _without_other_axes(view: CellTable, header: Header) -> tuple[CellTable, list[str]]:
    """Leave out a second axis beside the first, such as wavelengths beside wavenumbers."""
    if header.axis is None:
        return view, []
    others = {}
    for i in range(header.num_rows, len(view.numbers)):
        name = next((view.text(i, int(j)) for j in np.flatnonzero(header.is_text)), "")
        is_axis = len(name) > 1 and label_kind(name) == "band"
        if is_axis and is_monotonic(view.numbers[i, header.is_band]):
            others[i] = name
    if not others or len(others) == len(view.numbers) - header.num_rows:
        return view, []
    rows = [i for i in range(len(view.numbers)) if i not in others]
    view = select_cells(view, np.array(rows), np.arange(view.numbers.shape[1]))
    return view, list(others.values())


def _without_sample_axis(view: CellTable, header: Header, options: TableOptions) -> Header:
    """Take a first column that rises or falls for the axis of the samples, where it has no name."""
    if options.references is not None or not header.is_band[0] or header.axis_row is not None:
        return header
    column = view.numbers[header.num_rows :, 0]
    other = view.numbers[header.num_rows :, 1:4].T
    is_axis = is_regular(column) and not any(is_monotonic(values) for values in other)
    if not is_axis or header.names[0]:
        return header
    is_band = header.is_band.copy()
    is_band[0] = False
    axis = None if header.axis is None else header.axis[is_band[header.is_band]]
    return header._replace(is_band=is_band, axis=axis)


def _check_text(view: CellTable, header: Header, is_transposed: bool) -> None:
    """Refuse text among the numbers; words for what is missing are missing values."""
    wrong_cells = [
        (i, j, text)
        for (i, j), text in view.texts.items()
        if i >= header.num_rows and header.is_band[j] and text.lower() not in MISSING_WORDS
    ]
    if not wrong_cells:
        return
    messages = []
    for i, j, text in sorted(wrong_cells)[:3]:
        place = (view.row_numbers[i], view.column_numbers[j])
        row, column = place[::-1] if is_transposed else place
        messages.append(f"row {row}, column {column} holds {text!r}")
    raise ValueError(
        f"{view.source_name}: {len(wrong_cells)} cell(s) hold no number: {'; '.join(messages)}"
        f"{'; ...' if len(wrong_cells) > 3 else ''}. Fill or empty them, or name their "
        f"{'rows' if is_transposed else 'columns'} with --references"
    )


def _missing_places(view: CellTable, header: Header, is_transposed: bool) -> str:
    """Where the first missing values stand in the file."""
    cells = np.argwhere(np.isnan(view.numbers[header.num_rows :]) & header.is_band)[:3]
    places = []
    for i, j in cells:
        place = (view.row_numbers[i + header.num_rows], view.column_numbers[j])
        row, column = place[::-1] if is_transposed else place
        places.append(f"row {row}, column {column}")
    return f" ({'; '.join(places)})"


def _check_continuity(
    stored: StoredTable, view: CellTable, header: Header, options: TableOptions, side_word: str
) -> None:
    """Refuse a first or last band that does not go on from its neighbour, as a class would stand.

    Only where no name and no axis says that it is a band, and spectra are smooth otherwise.
    """
    bands = np.flatnonzero(header.is_band)
    if options.references is not None or stored.axis is not None or len(bands) < 10:
        return
    steps = np.abs(np.diff(stored.values, axis=1))[:, [0, *range(2, len(bands) - 3), -1]].mean(0)
    inner = stored.values[:, 1:-1]
    if np.isnan(steps).any() or roughness(inner, 1) > SMOOTH:
        return
    for end, band in ((0, bands[0]), (-1, bands[-1])):
        if not header.names[band] and steps[end] > END_STEP_RATIO * steps[1:-1].max():
            number = view.column_numbers[band]
            raise ValueError(
                f"{view.source_name}: {side_word} {number} does not go on from its neighbour as "
                f"the bands of these spectra do: it may be a class or a reference value. Say "
                f"--references {number} if it is, or --references none if it is a band"
            )


def _axis_name(view: CellTable, header: Header) -> str:
    """Words for the axis: the corner of its row, a unit, or what stands above the table."""
    if header.axis is None:
        return ""
    name = ""
    if header.axis_row is not None:
        side = np.flatnonzero(~header.is_band)
        labels = [
            label for j in side for label in corner_labels(view.text(header.axis_row, int(j)))
        ]
        is_place = (~header.is_text[side]).sum() > 1  # columns x and y of a map
        labels = [label for label in labels if not (is_place and label.lower() == "x")]
        name = next((label for label in labels if label_kind(label) == "band"), "")
    elif header.family is not None:
        name = header.family[1].strip(" ._-()[]")
    name = name.strip(" #")
    units = [unit for unit in (_unit_beside_axis(view, header), header.unit) if unit]
    if units and units[0] not in name:
        name = f"{name} ({units[0]})" if name else units[0]
    return name or view.axis_hint


def _unit_beside_axis(view: CellTable, header: Header) -> str:
    """The unit in the axis row where a column of units stands beside the names."""
    if header.axis_row is None:
        return ""
    for j in unit_columns(view, header):
        return view.text(header.axis_row, j)
    return ""


def _layout_notes(stored: StoredTable, orientation: str, reason: str) -> tuple[str, ...]:
    """What was decided, in a few lines."""
    num_spectra, num_bands = stored.values.shape
    spectra = "spectrum" if num_spectra == 1 else "spectra"
    notes = [f"{num_spectra} {spectra} in {orientation} ({reason}), {num_bands} bands"]
    if stored.axis is not None:
        name = stored.axis_name or "without a name"
        notes[0] += f", axis {name} from {stored.axis[0]:g} to {stored.axis[-1]:g}"
        if not is_monotonic(stored.axis):
            notes.append("the axis neither rises nor falls throughout")
    else:
        notes[0] += ", no axis"
    side = [reference.name for reference in stored.references]
    if stored.sample_axis is not None:
        side.insert(0, f"{stored.sample_axis_name or 'the axis of the samples'} (of the samples)")
    if side:
        notes.append(f"set aside, not bands: {', '.join(side)}")
    return tuple(notes)
