"""Which reader a file or folder of tables goes to."""

from pathlib import Path

from jaxhsi.data.tables.array_file import DATA_KEYS, read_named_table, read_npy_table
from jaxhsi.data.tables.instrument_files import instrument_reader
from jaxhsi.data.tables.missing_values import treat_missing
from jaxhsi.data.tables.spectra_folder import read_folder
from jaxhsi.data.tables.stored_table import StoredTable, with_plain_names
from jaxhsi.data.tables.table_layout import interpret_table
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tables.text_table import read_text_table
from jaxhsi.data.tables.workbook import WORKBOOK_SUFFIXES, read_workbook

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".dat", ".asc", ".prn", ".dpt", ".xy", ".xyz", "")
"""Text tables have many more suffixes; these are looked for in folders."""

ARRAY_SUFFIXES = (".npy", ".npz", ".mat")
INSTRUMENT_SUFFIXES = (".jdx", ".dx", ".jcm", ".jcamp", ".spc", ".wdf", ".sli", ".0", ".1", ".001")
_NOT_TABLES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pdf", ".json", ".yaml", ".py", ".zip")


def read_table(
    path: Path, options: TableOptions, default_keys: tuple[str, ...] = DATA_KEYS
) -> StoredTable:
    """Read a table without judging its values, but for missing ones.

    Args:
        path: file, or folder of files with a spectrum each.
        options: what the user says of it.
        default_keys: names of arrays to look for in .npz and .mat files.

    Raises:
        FileNotFoundError: no such file.
        ImportError: a package that reads the file is not installed.
        ValueError: not a table, or one that cannot be told without an option, which is named.
    """
    if path.is_dir():
        folder_table = read_folder(path, table_files(path), lambda file: read_table(file, options))
        return with_plain_names(folder_table)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    suffix = path.suffix.lower()
    has_key = suffix in (".npz", ".mat", *WORKBOOK_SUFFIXES)
    if options.key is not None and not has_key:
        raise ValueError(f"{path} holds one table without a name; drop --key {options.key}")
    stored = with_plain_names(_read_file(path, suffix, options, default_keys))
    return treat_missing(stored, options.missing, str(path))


def _read_file(
    path: Path, suffix: str, options: TableOptions, default_keys: tuple[str, ...]
) -> StoredTable:
    if suffix == ".npy":
        return read_npy_table(path, options)
    if suffix in (".npz", ".mat"):
        return read_named_table(path, options, default_keys)
    if suffix in WORKBOOK_SUFFIXES:
        return interpret_table(read_workbook(path, options), options)
    if suffix in _NOT_TABLES:
        raise ValueError(
            f"{path}: tables are read from text, files of instruments and "
            f"{', '.join(ARRAY_SUFFIXES + WORKBOOK_SUFFIXES)}, not from {suffix}"
        )
    reader = instrument_reader(path)
    if reader is not None:
        return reader(path)
    return interpret_table(read_text_table(path, options), options)


def table_files(folder: Path) -> list[Path]:
    """The files of a folder that hold tables by their suffix, without hidden ones."""
    suffixes = (*TEXT_SUFFIXES, *WORKBOOK_SUFFIXES, *INSTRUMENT_SUFFIXES)
    return [
        entry
        for entry in folder.iterdir()
        if entry.is_file() and not entry.name.startswith((".", "~")) and _suffix_is(entry, suffixes)
    ]


def _suffix_is(path: Path, suffixes: tuple[str, ...]) -> bool:
    suffix = path.suffix.lower()
    return suffix in suffixes or suffix[1:].isdigit()  # OPUS counts .0, .1, ...
