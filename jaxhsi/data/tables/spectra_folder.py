"""Folders of files with a spectrum or a few each, stacked to one table."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxhsi.data.tables.common_axis import Spectrum, to_common_axis
from jaxhsi.data.tables.stored_table import StoredTable

MAX_NAMES = 5


def natural_order(path: Path) -> list[int | str]:
    """Key by which s2 comes before s10.

    >>> sorted(map(Path, ("s10.txt", "s2.txt")), key=natural_order)[0].name
    's2.txt'
    """
    parts = re.split(r"(\d+)", path.name.lower())
    return [int(part) if part.isdigit() else part for part in parts]


def read_folder(
    folder: Path, files: list[Path], read_file: Callable[[Path], StoredTable]
) -> StoredTable:
    """The spectra of all files, named by the files, on a common axis.

    Args:
        folder: for messages.
        files: to read.
        read_file: reads one of them.

    Raises:
        ValueError: no file with a spectrum, spectra with and without an axis, or axes that differ
            too much.
    """
    tables, not_read = {}, []
    for file in sorted(files, key=natural_order):
        try:
            tables[file] = read_file(file)
        except ValueError as error:
            if "holds no rows" not in str(error):
                raise
            not_read.append(file.name)
    if not tables:
        raise ValueError(f"{folder} holds no file with a spectrum: {_listed(not_read)}")
    with_axis = {file: table.axis is not None for file, table in tables.items()}
    if len(set(with_axis.values())) > 1:
        lacking = next(file for file, has_axis in with_axis.items() if not has_axis)
        raise ValueError(f"{folder}: {lacking.name} has no axis and others have; give all one")
    spectra = [spectrum for file, table in tables.items() for spectrum in _spectra_of(file, table)]
    first = next(iter(tables.values()))
    notes = [f"{len(spectra)} spectra of {len(tables)} files in {folder}"]
    if not_read:
        notes.append(f"no spectrum is in {_listed(not_read)}")
    common = to_common_axis(spectra, str(folder))
    axis = common.axis if all(with_axis.values()) else None
    axis_name = next((table.axis_name for table in tables.values() if table.axis_name), "")
    return StoredTable(
        common.values,
        axis,
        axis_name or first.axis_name,
        tuple(spectrum.name for spectrum in spectra),
        (*notes, *common.notes),
    )


def _spectra_of(file: Path, table: StoredTable) -> list[Spectrum]:
    axis = np.arange(table.values.shape[1], dtype=float) if table.axis is None else table.axis
    names = table.sample_names or tuple(str(i + 1) for i in range(len(table.values)))
    if len(table.values) == 1:
        return [Spectrum(file.stem, axis, table.values[0])]
    return [
        Spectrum(f"{file.stem} {name}", axis, values)
        for name, values in zip(names, table.values, strict=True)
    ]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
