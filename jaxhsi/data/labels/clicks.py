"""Pixels that somebody has clicked on and named, from a CSV file."""

import csv
from pathlib import Path
from typing import NamedTuple

from jaxhsi.plain_text import plain_name

CLICK_COLUMNS = ("cube", "row", "column", "name")


class Click(NamedTuple):
    """A named pixel; `file_line` tells the line of the file, for messages."""

    file_line: str
    cube: str
    row: int
    column: int
    name: str


def read_clicks(path: Path) -> list[Click]:
    """Read lines of cube, row, column and name; rows and columns are counted from 0.

    A first line with these words is passed over, and so are empty lines.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not text, a line of another form, or no line at all.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file of clicks at {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            numbered_rows = [
                (reader.line_num, row) for reader in [csv.reader(file)] for row in reader
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as CSV; save it again ({error})") from error
    numbered_rows = [(number, [cell.strip() for cell in row]) for number, row in numbered_rows]
    numbered_rows = [(number, row) for number, row in numbered_rows if any(row)]
    if numbered_rows and tuple(cell.casefold() for cell in numbered_rows[0][1]) == CLICK_COLUMNS:
        del numbered_rows[0]
    if not numbered_rows:
        raise ValueError(
            f"{path} holds no line {','.join(CLICK_COLUMNS)} such as leaf-6,12,40,lesion"
        )
    return [_parse_click(f"{path}: line {number}", row) for number, row in numbered_rows]


def _parse_click(file_line: str, row: list[str]) -> Click:
    is_complete = (
        len(row) == len(CLICK_COLUMNS) and all(row) and row[1].isdecimal() and row[2].isdecimal()
    )
    if not is_complete:
        raise ValueError(
            f"{file_line} is {','.join(row)!r}; it should be {','.join(CLICK_COLUMNS)}, rows and "
            "columns "
            "counted from 0, such as leaf-6,12,40,lesion"
        )
    return Click(file_line, plain_name(row[0]), int(row[1]), int(row[2]), plain_name(row[3]))
