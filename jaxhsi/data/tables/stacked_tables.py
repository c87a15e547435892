"""Several tables of one kind below each other, as runs that share their components."""

from collections.abc import Sequence

import numpy as np

from jaxhsi.data.tables.common_axis import Spectrum, to_common_axis
from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.stored_table import Reference


def stack_tables(tables: Sequence[SpectraTable]) -> SpectraTable:
    """One table of the samples of all, on the axis of the first within the range of all.

    Args:
        tables: of one or more files.

    Raises:
        ValueError: bands that differ in number where there is no axis, or axes that differ much;
            names the files.
    """
    spectra, axis, notes = _on_one_axis(tables)
    offsets = np.cumsum([0, *(table.source_rows for table in tables[:-1])])
    names = [_sample_names(table) for table in tables]
    axes = [table.sample_axis for table in tables]
    own_notes = [f"{table.source_name}: {note}" for table in tables for note in table.notes]
    return tables[0]._replace(
        spectra=spectra,
        row_indices=np.concatenate(
            [table.row_indices + offset for table, offset in zip(tables, offsets, strict=True)]
        ),
        axis=axis,
        sample_names=tuple(name for each in names for name in each),
        source_name=", ".join(table.source_name for table in tables),
        notes=(*own_notes, *notes),
        references=_common_references(tables),
        sample_axis=None if any(each is None for each in axes) else np.concatenate(axes),
        source_rows=sum(table.source_rows for table in tables),
    )


def _on_one_axis(
    tables: Sequence[SpectraTable],
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Spectra of all tables on the axis of the first."""
    first = tables[0]
    if any(table.axis is None for table in tables):
        for table in tables[1:]:
            if table.spectra.shape[1] != first.spectra.shape[1]:
                raise ValueError(
                    f"{table.source_name} has {table.spectra.shape[1]} bands and "
                    f"{first.source_name} {first.spectra.shape[1]}; export them on the same axis, "
                    "and with it"
                )
        return np.concatenate([table.spectra for table in tables]), first.axis, ()
    rows = [
        Spectrum(table.source_name, table.axis, row, table.axis_name)
        for table in tables
        for row in table.spectra
    ]
    common = to_common_axis(rows, " and ".join(table.source_name for table in tables))
    return common.values.astype(np.float32), common.axis, common.notes


def _sample_names(table: SpectraTable) -> list[str]:
    return list(table.sample_names or (str(row + 1) for row in table.row_indices))


def _common_references(tables: Sequence[SpectraTable]) -> tuple[Reference, ...]:
    """Columns beside the bands that all tables have, the samples of all below each other."""
    columns = [{reference.name: reference.values for reference in t.references} for t in tables]
    shared = [name for name in columns[0] if all(name in each for each in columns)]
    return tuple(
        Reference(name, tuple(str(value) for each in columns for value in each[name]))
        for name in shared
    )
