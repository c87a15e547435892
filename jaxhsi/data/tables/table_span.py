"""Where the table stands among the lines of a text file."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from jaxhsi.data.tables.header_words import label_kind
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tables.text_dialect import (
    TextDialect,
    detect_dialect,
    parse_number,
    split_cells,
)

MAX_HEADER_LINES = 8
_AXIS_FIELD = re.compile(r"^#*\s*x\s*[_-]?\s*(units?|label|axis|title)", re.I)

Run = tuple[int, int, int]
"""Lines of numbers one after the other: the first, the last, and the cells of the longest."""


class TextLine(NamedTuple):
    """A line that is not empty: its number in the file, its text, and whether it is a comment."""

    number: int
    text: str
    is_comment: bool


class TableSpan(NamedTuple):
    """Where the table stands: its header lines, and the first and last of its lines of numbers."""

    header: list[tuple[int, list[str]]]
    first: int
    last: int
    num_cells: int


def locate_table(
    path: Path, lines: list[TextLine], options: TableOptions
) -> tuple[TextDialect, TableSpan | None]:
    """The dialect of a file and the place of its table; no place where no line holds numbers.

    Raises:
        ValueError: a table that a line interrupts, or commas with two meanings.
    """
    plain = [line.text for line in lines if not line.is_comment]
    dialect = detect_dialect(plain or [line.text for line in lines], options, str(path))
    return dialect, _find_table(path, lines, dialect)


def _find_table(path: Path, lines: list[TextLine], dialect: TextDialect) -> TableSpan | None:
    """The longest run of lines of numbers, and the header above it."""
    rows = _split_lines(lines, dialect)
    runs: list[Run] = []
    for index, row in enumerate(rows):
        if row is None or not _has_numbers(row, dialect):
            continue
        if runs and _continues(rows, runs[-1], index):
            first, _, num_cells = runs[-1]
            runs[-1] = (first, index, max(num_cells, len(row)))
        else:
            runs.append((index, index, len(row)))
    if not runs:
        return None
    main = max(runs, key=lambda run: (run[1] - run[0] + 1) * run[2])
    first, last, num_cells = main
    _check_interruptions(path, lines, rows, runs, main, dialect)
    _check_decimal_commas(path, rows[:first], num_cells, dialect)
    header, first = _axis_with_names(lines, rows, first, num_cells) or (
        _header_rows(lines, rows, first, num_cells, dialect),
        first,
    )
    return TableSpan(header, lines[first].number, lines[last].number, num_cells)


def _split_lines(lines: list[TextLine], dialect: TextDialect) -> list[list[str] | None]:
    """Cells of each line, None of comments.

    Names with a blank in them, above numbers separated by blanks, are separated by two or more.
    """
    rows = [
        None if line.is_comment else split_cells(line.text, dialect.separator) for line in lines
    ]
    if dialect.separator is not None:
        return rows
    lengths = Counter(len(row) for row in rows if row)
    usual_length = max(lengths, key=lambda length: (lengths[length], length), default=0)
    for index, (line, row) in enumerate(zip(lines, rows, strict=True)):
        if row is not None and len(row) > usual_length > 1:
            wider = re.split(r"\s{2,}|\t", line.text.strip())
            rows[index] = wider if len(wider) in (usual_length, usual_length - 1) else row
    return rows


def _has_numbers(row: list[str], dialect: TextDialect) -> bool:
    """A number at least, and among a few cells of text three in ten."""
    filled = [cell for cell in row if cell]
    num_numbers = sum(parse_number(cell, dialect) is not None for cell in filled)
    return num_numbers > 0 and num_numbers >= 0.3 * len(filled)


def _continues(rows: list, run: Run, index: int) -> bool:
    """Whether a row of numbers belongs to the run: as many cells or fewer, comments between."""
    _, last, num_cells = run
    is_adjacent = all(row is None for row in rows[last + 1 : index])
    return is_adjacent and 0.5 * num_cells <= len(rows[index]) <= num_cells


def _check_interruptions(
    path: Path, lines: list[TextLine], rows: list, runs: list, main: Run, dialect: TextDialect
) -> None:
    """Refuse a table that one odd line cuts in two."""
    for run in runs:
        first, second = sorted((run, main))
        between = [i for i in range(first[1] + 1, second[0]) if rows[i] is not None]
        is_alike = _number_pattern(rows[first[1]], dialect) == _number_pattern(
            rows[second[0]], dialect
        )
        # Units or names below an axis in the first line are a header.
        is_header = (
            second == main
            and first[1] == first[0]
            and len(between) == 1
            and len(rows[between[0]]) == main[2]
            and not any(_number_pattern(rows[between[0]], dialect))
        )
        if first != second and is_alike and len(between) == 1 and not is_header:
            line = lines[between[0]]
            raise ValueError(
                f"{path}: line {line.number} interrupts the table, it has {len(rows[between[0]])} "
                f"cells beside {main[2]} above and below: {line.text.strip()[:40]!r}; mend or "
                "remove it"
            )


def _number_pattern(row: list[str], dialect: TextDialect) -> list[bool]:
    return [parse_number(cell, dialect) is not None for cell in row]


def _axis_with_names(
    lines: list[TextLine], rows: list, first: int, num_cells: int
) -> tuple[list[tuple[int, list[str]]], int] | None:
    """The axis row of a chromatogram whose times are named in a line of their own.

    The name stands alone between an axis called "Wavelength" and the numbers (Waters), or beside
    that of the axis, above an axis row with an empty corner.

    Returns:
        The axis row with both names in its corner, and the index of the row below it; or None.
    """
    above = [cell for cell in (rows[first - 1] or []) if cell] if first else []
    if len(above) == 1 and first > 1:
        axis, end = first - 2, first
        below, beside = above[0], (rows[axis] or [""])[0]
    elif len(above) == 2 and not rows[first][0]:
        axis, end = first, first + 1
        below, beside = above
    else:
        return None
    cells = rows[axis] or []
    is_named = label_kind(below) in ("order", "sample") and label_kind(beside) == "band"
    if not is_named or len(cells) != num_cells or end >= len(rows) or rows[end] is None:
        return None
    return [(lines[axis].number, [f"{below}|{beside}", *cells[1:]])], end


def _header_rows(
    lines: list[TextLine], rows: list, first: int, num_cells: int, dialect: TextDialect
) -> list[tuple[int, list[str]]]:
    """Rows above the numbers that have about as many cells, comments included."""
    header: list[tuple[int, list[str]]] = []
    most = MAX_HEADER_LINES if num_cells > 2 else 1  # a preamble has two cells in a line as well
    for index in range(first - 1, max(first - 1 - most, -1), -1):
        cells = _header_cells(lines[index], rows[index], num_cells, dialect)
        gap = (header[0][0] if header else lines[first].number) - lines[index].number
        if cells is None or (gap > 1 and (header or num_cells < 3)):
            break
        header.insert(0, (lines[index].number, cells))
    return header


def _header_cells(
    line: TextLine, row: list[str] | None, num_cells: int, dialect: TextDialect
) -> list[str] | None:
    """Cells of a line above the numbers, under which each stands; None if it is no header."""
    if row is None:
        row = split_cells(re.sub(r"^\s*(#|%|//|!|\*|;|@)+\s?", "", line.text), dialect.separator)
    if dialect.separator is None and len(row) not in (num_cells, num_cells - 1):
        row = re.split(r"\s{2,}|\t", line.text.strip(" #%;!"))
    while len(row) > num_cells and not row[-1]:
        row = row[:-1]
    row = [cell.lstrip("#% ") if len(cell) > 1 else cell for cell in row]
    num_filled = sum(bool(cell) for cell in row)
    if len(row) == num_cells - 1 and num_cells > 2:
        row = ["", *row]  # R leaves the corner out
    is_header = len(row) == num_cells and (num_filled > 2 or num_filled >= 0.5 * num_cells)
    return row if is_header else None


def _check_decimal_commas(
    path: Path, rows_above: list, num_cells: int, dialect: TextDialect
) -> None:
    """Refuse commas between cells and before decimals alike, which a header of words gives away."""
    headers = [
        row
        for row in rows_above
        if row and len(row) > 2 and all(parse_number(cell, dialect) is None for cell in row)
    ]
    if dialect.separator != "," or not headers:
        return
    if 1.6 * len(headers[-1]) <= num_cells <= 2 * len(headers[-1]):
        raise ValueError(
            f"{path}: the header has {len(headers[-1])} cells and the rows below it {num_cells}: "
            "commas stand between cells and before decimals alike; export with semicolons or tabs"
        )


def axis_hint(lines: list[TextLine], span: TableSpan) -> str:
    """Unit or name of the axis from a field above the table such as XUNITS."""
    for line in lines:
        if line.number >= span.first:
            break
        if _AXIS_FIELD.match(line.text):
            parts = re.split(r"[\t=:;,]+|\s{2,}", line.text.strip(), maxsplit=1)
            if len(parts) == 2 and parts[1].strip():
                return parts[1].strip(' "\t;,')
    return ""


def passed_over(lines: list[TextLine], span: TableSpan) -> tuple[str, ...]:
    """What is said of lines that do not belong to the table."""
    first = span.header[0][0] if span.header else span.first
    above = [line for line in lines if line.number < first]
    below = [line for line in lines if line.number > span.last and not line.is_comment]
    notes = []
    if above:
        notes.append(f"{len(above)} line(s) above the table are passed over")
    if below and lines[-1].number > span.last:
        notes.append(
            f"{len(below)} line(s) below the table are not read, from line {below[0].number}: "
            f"{below[0].text.strip()[:40]!r}"
        )
    return tuple(notes)
