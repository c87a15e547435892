"""What a user knows of single components, read from files: spectra, absences, concentrations."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from jaxhsi.data.tables.cell_table import CellTable
from jaxhsi.data.tables.pretreatment import Step, treat_pure_spectra
from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tables.text_table import read_text_table
from jaxhsi.data.tables.truth import load_component_spectra
from jaxhsi.data.tables.workbook import WORKBOOK_SUFFIXES, read_workbook
from jaxhsi.plain_text import plain_name

_TRUE_WORDS = ("1", "x", "true", "yes", "absent")
_FALSE_WORDS = ("0", "", "false", "no", "present", "-")


class KnownComponents(NamedTuple):
    """Constraints on the first components of a result, as `jaxhsi.unmix` takes them.

    Attributes:
        names: of these components.
        spectra: NaN in the rows of those whose spectrum is not known; None if none is.
        absent: samples that lack a component, or None.
        concentrations: NaN where they are not known, or None.
        notes: what a user should be told.
    """

    names: tuple[str, ...]
    spectra: Float[np.ndarray, "m c"] | None = None
    absent: Bool[np.ndarray, "n m"] | None = None
    concentrations: Float[np.ndarray, "n m"] | None = None
    notes: tuple[str, ...] = ()


class _NamedColumns(NamedTuple):
    """A table of samples by components."""

    names: tuple[str, ...]
    values: np.ndarray


def load_known_components(
    table: SpectraTable,
    *,
    known: Path | None,
    absent: Path | None,
    known_concentrations: Path | None,
    steps: tuple[Step, ...] = (),
    raw_table: SpectraTable | None = None,
) -> KnownComponents | None:
    """Read the files that speak of single components and bring them together by names.

    Args:
        table: the samples, after pre-treatment.
        known: file of spectra.
        absent: table of samples by components: 1 or x where a sample lacks one.
        known_concentrations: likewise, of amounts; empty where they are not known.
        steps: that the spectra of the table went through.
        raw_table: the table before these.

    Raises:
        FileNotFoundError: no such file.
        ValueError: tables that do not go with the samples; each names file and remedy.
    """
    if known is None and absent is None and known_concentrations is None:
        return None
    spectra, spectra_names, notes = None, (), ()
    if known is not None:
        source = raw_table or table
        loaded = load_component_spectra(known, source)
        spectra = treat_pure_spectra(loaded.spectra, steps, source.axis)
        spectra_names = loaded.names or tuple(f"known {i + 1}" for i in range(len(spectra)))
        notes = loaded.notes
    mask = None if absent is None else _sample_columns(absent, table, _mask_cell)
    amounts = (
        None
        if known_concentrations is None
        else _sample_columns(known_concentrations, table, _amount_cell)
    )
    names = list(spectra_names)
    for columns in (mask, amounts):
        names += [name for name in (columns.names if columns else ()) if name not in names]
    return KnownComponents(
        tuple(names),
        None if spectra is None else _spread_rows(spectra, len(names)),
        None if mask is None else _spread_columns(mask, names, 0.0).astype(bool),
        None if amounts is None else _spread_columns(amounts, names, np.nan),
        (*notes, f"known of components: {', '.join(names)}"),
    )


def _spread_rows(spectra: Float32[np.ndarray, "m c"], count: int) -> Float[np.ndarray, "k c"]:
    spread = np.full((count, spectra.shape[1]), np.nan)
    spread[: len(spectra)] = spectra
    return spread


def _spread_columns(columns: _NamedColumns, names: list[str], fill: float) -> np.ndarray:
    spread = np.full((len(columns.values), len(names)), fill)
    spread[:, [names.index(name) for name in columns.names]] = columns.values
    return spread


def _sample_columns(path: Path, table: SpectraTable, read_cell) -> _NamedColumns:
    """Columns of a file whose rows are the samples of a table, in its order or by their names."""
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    is_workbook = path.suffix.lower() in WORKBOOK_SUFFIXES
    cells = (read_workbook if is_workbook else read_text_table)(path, TableOptions())
    num_rows, num_columns = cells.numbers.shape
    has_header = any(cells.text(0, j) for j in range(num_columns))
    rows = range(int(has_header), num_rows)
    first = [plain_name(cells.label(i, 0)) for i in rows]
    has_names = table.sample_names is not None and set(first) <= set(table.sample_names)
    # A first column of words, or one without a heading, names the samples as well.
    has_names |= any(cells.text(i, 0) and not _is_mark(cells.text(i, 0)) for i in rows)
    columns = range(int(has_names), num_columns)
    names = [
        plain_name(cells.label(0, j) if has_header else "") or f"component {k + 1}"
        for k, j in enumerate(columns)
    ]
    values = np.array([[read_cell(path, cells, i, j) for j in columns] for i in rows], float)
    order = _row_order(path, table, first if has_names else None, len(values))
    return _NamedColumns(tuple(names), values[order])


def _row_order(
    path: Path, table: SpectraTable, labels: list[str] | None, num_rows: int
) -> list[int]:
    """Row of the file for each sample of the table."""
    samples = table.sample_names
    if labels is not None and samples is not None and len(set(labels)) == len(labels):
        missing = [name for name in samples if name not in labels]
        if not missing:
            return [labels.index(name) for name in samples]
        if num_rows != (table.source_rows or len(table.spectra)):
            raise ValueError(
                f"{path} has no row for {len(missing)} samples such as {missing[0]}; give a row "
                f"for each sample of {table.source_name}"
            )
    source_rows = table.source_rows or len(table.spectra)
    if num_rows != source_rows:
        raise ValueError(
            f"{path} has {num_rows} rows and {table.source_name} {source_rows} samples; give a row "
            "for each sample, in the order of the table or under the same names"
        )
    return table.row_indices.tolist()


def _is_mark(text: str) -> bool:
    return text.lower() in (*_TRUE_WORDS, *_FALSE_WORDS)


def _mask_cell(path: Path, cells: CellTable, row: int, column: int) -> bool:
    word = cells.label(row, column).lower()
    if not _is_mark(word):
        raise ValueError(
            f"{path}, row {cells.row_numbers[row]}, column {cells.column_numbers[column]}: "
            f"{word!r} does not say whether the component is absent; give 1 or 0"
        )
    return word in _TRUE_WORDS


def _amount_cell(path: Path, cells: CellTable, row: int, column: int) -> float:
    text = cells.text(row, column)
    if text and text.lower() not in ("nan", "na", "n/a", "-", "?"):
        raise ValueError(
            f"{path}, row {cells.row_numbers[row]}, column {cells.column_numbers[column]}: "
            f"{text!r} is no amount; leave the cell empty where it is not known"
        )
    return float(cells.numbers[row, column])
