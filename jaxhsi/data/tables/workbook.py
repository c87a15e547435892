"""Sheets of workbooks (.xlsx, .xls, .xlsb, .ods), read by python-calamine."""

from pathlib import Path
from typing import Any

from jaxhsi.data.formats.file_errors import import_reader_package, reading_errors
from jaxhsi.data.tables.cell_table import CellTable
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tables.text_table import table_of_lines

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
_MIN_NUMBERS = 6  # fewer are notes, not a table


def read_workbook(path: Path, options: TableOptions) -> CellTable:
    """The cells of the sheet called ``options.key``, or of the only one with a table.

    Raises:
        ImportError: python-calamine is not installed.
        ValueError: unreadable, no such sheet, or several that hold numbers.
    """
    calamine = import_reader_package("python_calamine", path, "a workbook", extra="spectra")
    with reading_errors(path, "a workbook"):
        workbook = calamine.load_workbook(str(path))
        sheets = {
            name: workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
            for name in workbook.sheet_names
        }
    name = options.key or _only_sheet(path, sheets)
    if name not in sheets:
        raise ValueError(f"{path} has no sheet {name!r}; there are {', '.join(sheets)}")
    rows = [[_cell_text(cell) for cell in row] for row in sheets[name]]
    table = table_of_lines(path, rows, options)
    note = f"the sheet {name!r} of {len(sheets)}"
    return table._replace(notes=(note, *table.notes)) if len(sheets) > 1 else table


def _only_sheet(path: Path, sheets: dict[str, list[list[Any]]]) -> str:
    with_numbers = [
        name
        for name, rows in sheets.items()
        if sum(isinstance(cell, int | float) for row in rows for cell in row) >= _MIN_NUMBERS
    ]
    if len(with_numbers) > 1:
        raise ValueError(
            f"{path} holds numbers in several sheets; name one with --key: "
            f"{', '.join(with_numbers)}"
        )
    return with_numbers[0] if with_numbers else next(iter(sheets))


def _cell_text(cell: Any) -> str:
    """A cell as text that gives the same number back."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell).strip()
