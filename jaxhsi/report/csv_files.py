"""Tables of results: components, and concentrations of samples."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from jaxhsi.data.tables.table import SpectraTable

MAX_CSV_ROWS = 100_000
"""Rows of a CSV; more go into .npy files. Set by hand: spreadsheets open about a million."""

Rows = Iterable[tuple[Sequence[str], Float32[np.ndarray, "m k"]]]
"""Blocks of names of samples and their concentrations."""


def numbered_names(count: int, names: Sequence[str] | None = None) -> list[str]:
    """Names for the columns and rows of tables: given ones, or numbers from 1."""
    return [names[i] if names else f"component {i + 1}" for i in range(count)]


def write_components(
    path: Path, components: Float32[np.ndarray, "k c"], table: SpectraTable, names: Sequence[str]
) -> None:
    """A row a component; the first row holds the axis, or numbers of the bands from 1."""
    axis = np.arange(1, components.shape[1] + 1) if table.axis is None else table.axis
    header = ["component", *(f"{value:.10g}" for value in axis)]
    write_csv(path, header, [(names, components)])


def write_concentrations(
    stem: Path,
    table: SpectraTable,
    concentrations: Float32[np.ndarray, "n k"],
    names: Sequence[str],
) -> str:
    """A row a sample, under its name or the number of its row in the file; says where.

    Args:
        stem: path without .csv; .npy where there are too many rows.
        table: of the samples.
        concentrations: theirs.
        names: of the components.
    """
    if len(concentrations) > MAX_CSV_ROWS:
        np.save(f"{stem}.npy", concentrations)
        return f"{stem.name}.npy (more than {MAX_CSV_ROWS:,} rows)"
    samples = table.sample_names or [str(row + 1) for row in table.row_indices]
    write_csv(Path(f"{stem}.csv"), ["sample", *names], [(samples, concentrations)])
    return f"{stem.name}.csv"


def write_csv(path: Path, header: Sequence[str], rows: Rows) -> None:
    """A CSV file of rows under their names."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for names, block in rows:
            writer.writerows([name, *_cells(row)] for name, row in zip(names, block, strict=True))


def _cells(row: Float[np.ndarray, " m"]) -> list[str]:
    return [f"{value:.9g}" for value in row]  # nine digits give a float32 back
