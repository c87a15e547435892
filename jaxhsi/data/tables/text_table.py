"""Text files to cells: numbers by numpy.loadtxt where it can, and cell by cell where it cannot."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from jaxhsi.data.tables.cell_table import Cell, CellTable, drop_empty
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tables.table_span import (
    TableSpan,
    TextLine,
    axis_hint,
    locate_table,
    passed_over,
)
from jaxhsi.data.tables.text_dialect import TextDialect, parse_number, split_cells
from jaxhsi.data.tables.text_encoding import detect_encoding

HEAD_LINES = 400
"""Lines that the dialect and the beginning of the table are looked for in at first."""

_COMMENT = re.compile(r"\s*(#|%|//|!|\*|;(?=\s*\D)|@)")


def read_text_table(path: Path, options: TableOptions) -> CellTable:
    """Read the table of a text file of any dialect.

    A preamble, comments, and what stands below the table are passed over and said. The numbers of
    plain tables are read by numpy.loadtxt; whatever it refuses is read cell by cell.

    Raises:
        ValueError: no table, rows of unequal length, or cells that can be read in two ways.
    """
    encoding = detect_encoding(path)
    head = list(islice(_lines(path, encoding), HEAD_LINES))
    if not head:
        raise ValueError(f"{path} holds no rows; give a table with a spectrum in each row")
    dialect, span = locate_table(path, head, options)
    if len(head) == HEAD_LINES:
        if span is not None and span.last == head[-1].number:
            table = _load_long_file(path, encoding, head, dialect, span)
            if table is not None:
                return table
        head = list(_lines(path, encoding))
        dialect, span = locate_table(path, head, options)
    return _read_lines(path, head, dialect, span)


def table_of_lines(path: Path, rows: list[list[str]], options: TableOptions) -> CellTable:
    """The table in the rows of a sheet, found as in text.

    Raises:
        ValueError: as `read_text_table`.
    """
    texts = ["\t".join(cell.replace("\t", " ") for cell in row) for row in rows]
    lines = [TextLine(i, text, False) for i, text in enumerate(texts, 1) if text.strip()]
    if not lines:
        raise ValueError(f"{path} holds no rows; give a table with a spectrum in each row")
    dialect, span = locate_table(path, lines, replace(options, separator="tab"))
    return _read_lines(path, lines, dialect, span)


def _lines(path: Path, encoding: str) -> Iterator[TextLine]:
    """Lines that are not empty; ``sep=;`` is one for the spreadsheet alone."""
    with path.open(encoding=encoding, newline=None) as file:
        for number, line in enumerate(file, 1):
            text = line.rstrip("\n")
            if not text.strip(" ,;\t|\x00\x1a") or (number == 1 and _sep_field(text)):
                continue
            yield TextLine(number, text, bool(_COMMENT.match(text)))


def _sep_field(line: str) -> bool:
    return bool(re.fullmatch(r'"?sep=(.|\\t)"?[;,\s]*', line.strip(), re.I))


def _read_lines(
    path: Path, lines: list[TextLine], dialect: TextDialect, span: TableSpan | None
) -> CellTable:
    """Cells of the lines, one by one."""
    if span is None:
        raise ValueError(
            f"{path} holds no rows of numbers; give a table with a spectrum in each row"
        )
    body = [line for line in lines if span.first <= line.number <= span.last]
    rows = [
        (line.number, split_cells(line.text, dialect.separator))
        for line in body
        if not line.is_comment
    ]
    _check_lengths(path, rows, span.num_cells)
    all_rows = [*span.header, *rows]
    numbers = np.full((len(all_rows), span.num_cells), np.nan)
    texts: dict[Cell, str] = {}
    labels: dict[Cell, str] = {}
    for i, (_, cells) in enumerate(all_rows):
        values = array("d")
        for j, cell in enumerate(cells):
            number = parse_number(cell, dialect) if cell else np.nan
            values.append(np.nan if number is None else number)
            if number is None:
                texts[i, j] = cell
            elif cell and (i < len(span.header) + 1 or j == 0):
                labels[i, j] = cell
        numbers[i, : len(values)] = values
    return _finished(path, lines, span, numbers, texts, labels, [row[0] for row in all_rows])


def _check_lengths(path: Path, rows: list[tuple[int, list[str]]], num_cells: int) -> None:
    """Refuse rows that are short, unless all after the first of them are, as in x, y pairs."""
    short = [index for index, (_, cells) in enumerate(rows) if len(cells) < num_cells]
    if not short or (
        num_cells % 2 == 0
        and num_cells > 2
        and short == list(range(short[0], len(rows)))
        and short[0] > len(rows) // 2
    ):
        return
    number, cells = rows[short[0]]
    longest = next(number for number, cells in rows if len(cells) == num_cells)
    raise ValueError(
        f"{path}: line {number} has {len(cells)} cells, line {longest} has {num_cells}; every row "
        "needs the same number"
    )


def _load_long_file(
    path: Path, encoding: str, head: list[TextLine], dialect: TextDialect, span: TableSpan
) -> CellTable | None:
    """The table by numpy.loadtxt, which holds little but the numbers; None where it refuses."""
    text_columns = _text_columns(head, dialect, span)
    if text_columns is None or dialect.grouping:
        return None
    row_numbers: list[int] = []
    columns: list[list[str]] = [[] for _ in range(max(text_columns, 1))]

    def numeric_lines() -> Iterator[str]:
        for line in _lines(path, encoding):
            if line.number < span.first or line.is_comment:
                continue
            text = line.text.replace('"', "") if '"' in line.text else line.text
            parts = text.split(dialect.separator, max(text_columns, 1))
            for column, part in zip(columns, parts, strict=False):
                column.append(part.strip())
            row_numbers.append(line.number)
            text = parts[-1] if text_columns else text
            text = text.rstrip(f" {dialect.separator or ''}")
            yield text.replace(",", ".") if dialect.decimal == "," else text

    try:
        values = np.loadtxt(numeric_lines(), delimiter=dialect.separator, comments=None, ndmin=2)
    except ValueError:
        return None
    if values.shape[1] + text_columns > span.num_cells:
        return None
    return _with_header(path, head, dialect, span, values, columns[:text_columns], row_numbers)


def _text_columns(head: list[TextLine], dialect: TextDialect, span: TableSpan) -> int | None:
    """How many leading columns hold text; None where text stands elsewhere, or cells are empty."""
    body = [line for line in head if line.number >= span.first and not line.is_comment]
    rows = [split_cells(line.text, dialect.separator) for line in body[1:]]
    is_text = np.zeros(span.num_cells, bool)
    for row in rows:
        filled = len(row) if row[-1] else len(row) - 1
        for j, cell in enumerate(row[:filled]):
            is_text[j] |= parse_number(cell, dialect) is None
    num_text = int(is_text.sum())
    plain = all(
        line.text.count('"') % 2 == 0 and _is_simple_quoting(line.text, dialect) for line in body
    )
    return num_text if plain and is_text[:num_text].all() else None


def _is_simple_quoting(text: str, dialect: TextDialect) -> bool:
    """Whether quotes can be left out: none of them encloses a separator."""
    if '"' not in text or dialect.separator is None:
        return '"' not in text
    return len(split_cells(text, dialect.separator)) == text.count(dialect.separator) + 1


def _with_header(path, head, dialect, span, values, columns, row_numbers) -> CellTable:
    """Numbers, the columns of text beside them, and the header above them."""
    num_text, num_header = len(columns), len(span.header)
    width = max([num_text + values.shape[1], *(len(cells) for _, cells in span.header)])
    numbers = np.full((num_header + len(values), width), np.nan)
    numbers[num_header:, num_text : num_text + values.shape[1]] = values
    texts, labels = {}, {}
    for i, (_, cells) in enumerate(span.header):
        for j, cell in enumerate(cells):
            number = parse_number(cell, dialect) if cell else np.nan
            if number is None:
                texts[i, j] = cell
            else:
                numbers[i, j] = number
                labels[i, j] = cell
    for j, column in enumerate(columns):
        texts |= {(num_header + i, j): cell for i, cell in enumerate(column) if cell}
    numbers_of_rows = [number for number, _ in span.header] + row_numbers
    return _finished(path, head, span, numbers, texts, labels, numbers_of_rows)


def _finished(path, lines, span, numbers, texts, labels, row_numbers) -> CellTable:
    labels = {cell: label for cell, label in labels.items() if label}
    column_numbers = np.arange(1, numbers.shape[1] + 1)
    hint, notes = axis_hint(lines, span), passed_over(lines, span)
    return drop_empty(
        CellTable(
            numbers, texts, labels, np.array(row_numbers), column_numbers, str(path), hint, notes
        )
    )
