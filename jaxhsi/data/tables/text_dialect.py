"""How a text file writes numbers and separates them, by what makes most of its cells numbers."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from jaxhsi.data.tables.table_options import TableOptions

SEPARATORS = ("\t", ";", ",", "|", None)
"""In order of preference where they do equally well; None is any number of blanks."""

_SAMPLE_CHARACTERS = 100_000
_GROUPED = {
    ",": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?([eE][+-]?\d+)?"),
    ".": re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?([eE][+-]?\d+)?"),
}
_THREE_DIGITS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")


class TextDialect(NamedTuple):
    """How numbers are written.

    Attributes:
        separator: between cells, None for blanks.
        decimal: "." or ",".
        grouping: between thousands, or empty.
    """

    separator: str | None
    decimal: str = "."
    grouping: str = ""


def split_cells(line: str, separator: str | None) -> list[str]:
    """The cells of a line without blanks and quotes around them.

    >>> split_cells('"a, b", 1.5 ,', ",")
    ['a, b', '1.5', '']
    """
    if separator is None or separator == " ":
        if '"' in line:
            return [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', line)]
        return line.split()
    if '"' in line:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    else:
        cells = line.split(separator)
    return [cell.strip(" \t\u00a0'") for cell in cells]


def parse_number(cell: str, dialect: TextDialect) -> float | None:
    """The number that a cell holds, or None.

    >>> parse_number("1.234,5", TextDialect(";", ",", "."))
    1234.5
    """
    if dialect.grouping and _GROUPED[dialect.grouping].fullmatch(cell):
        cell = cell.replace(dialect.grouping, "")
    if dialect.decimal == ",":
        if "." in cell or cell.startswith(",") or cell.endswith(","):
            return None
        cell = cell.replace(",", ".", 1)
    try:
        return None if "_" in cell else float(cell.replace("\u2212", "-"))
    except ValueError:
        return None


def detect_dialect(lines: Sequence[str], options: TableOptions, source_name: str) -> TextDialect:
    """The dialect in which most cells of most lines are numbers.

    Args:
        lines: of the file, without comments and empty lines.
        options: separator and decimal character where they are given.
        source_name: for messages.

    Raises:
        ValueError: numbers such as 1,234 alone, which may have three decimals or thousands.
    """
    sample = _sample_lines(lines)
    separator = options.separator_character
    separators = SEPARATORS if separator is None else (None if separator == " " else separator,)
    decimals = (".", ",") if options.decimal is None else (options.decimal,)
    candidates = [
        TextDialect(separator, decimal, grouping)
        for grouping, separator, decimal in product(("", "group"), separators, decimals)
        if separator != decimal or any('"' in line for line in sample)
        for grouping in [grouping and (",", ".")[decimal == ","]]
        if not grouping or grouping != separator != decimal
    ]
    best = max(candidates, key=lambda dialect: _count_numbers(sample, dialect))
    if options.decimal is None:
        _check_decimal_comma(sample, best, source_name)
    return best


def _sample_lines(lines: Sequence[str]) -> list[str]:
    """Lines from all over, later ones first: preambles stand at the beginning."""
    mean_length = 1 + sum(map(len, lines)) // max(len(lines), 1)
    num_lines = max(4, min(200, _SAMPLE_CHARACTERS // mean_length))
    stride = max(1, len(lines) // num_lines)
    return list(lines[::-1][::stride][:num_lines])


def _count_numbers(lines: Sequence[str], dialect: TextDialect) -> tuple[float, float]:
    """Numbers in lines of the commonest number of cells, less the text beside them."""
    rows = [split_cells(line, dialect.separator) for line in lines]
    lengths = Counter(len(row) for row in rows if len(row) > 1)
    if not lengths:
        return (0.0, 0.0)
    num_cells = max(lengths, key=lambda length: length * lengths[length])
    numbers, texts = 0.0, 0
    for row in rows:
        if len(row) == num_cells:
            parsed = [parse_number(cell, dialect) is not None for cell in row]
            numbers += sum(parsed)
            texts += sum(
                bool(cell) and not number for cell, number in zip(row, parsed, strict=True)
            )
    return (numbers - 0.5 * texts, -float(texts))


def _check_decimal_comma(lines: Sequence[str], dialect: TextDialect, source_name: str) -> None:
    """Refuse commas that may stand for decimals and for thousands alike."""
    if dialect.decimal != ",":
        return
    cells = [cell for line in lines for cell in split_cells(line, dialect.separator)]
    with_comma = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    if with_comma and all(_THREE_DIGITS.fullmatch(cell) for cell in with_comma):
        raise ValueError(
            f"{source_name}: numbers such as {with_comma[0]} may have decimals or thousands; say "
            "which with --decimal , or --decimal ."
        )
