"""The samples of a table: whether they have an order, and the runs that they belong to."""

from typing import NamedTuple

import numpy as np

from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.data.tables.header import is_monotonic
from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.stored_table import Reference
from jaxhsi.gmcr.sample_order import samples_are_ordered
from jaxhsi.gmcr.sample_runs import run_numbers


class SampleStructure(NamedTuple):
    """Order and runs of the samples of a table.

    Attributes:
        is_ordered: neighbouring samples of a run are alike.
        run_lengths: samples of each run.
        notes: what a user should be told of it.
    """

    is_ordered: bool
    run_lengths: tuple[int, ...]
    notes: tuple[str, ...] = ()


def sample_structure(
    config: GMCRConfig, table: SpectraTable, file_rows: tuple[int, ...] = ()
) -> SampleStructure:
    """Order and runs as they are asked for, or as the table tells.

    An order is recognised by an axis of the samples, such as their time, along which they rise or
    fall in each run, where neighbours are alike besides.

    Args:
        config: its ``ordered`` and ``runs``.
        table: with the axis of its samples.
        file_rows: rows of each file that the table was put together from; empty for one.

    Raises:
        ValueError: runs that do not add up to the table.
    """
    lengths = _run_lengths(config, table, file_rows)
    notes = []
    if len(lengths) > 1:
        notes.append(
            f"{len(lengths)} runs of {', '.join(map(str, lengths))} samples share their components"
        )
    if config.method != "gated" or table.cubes:
        return SampleStructure(False, lengths)
    if config.ordered is not None:
        told = "samples are in an order, as --ordered says" if config.ordered else ""
        return SampleStructure(config.ordered, lengths, (*notes, *[told] * bool(told)))
    if not _has_sample_axis(table, lengths):
        return SampleStructure(False, lengths, tuple(notes))
    name = table.sample_axis_name or "their axis"
    if not samples_are_ordered(table.spectra, lengths):
        notes.append(
            f"{name} rises along the samples, but neighbours are not alike: taken as samples "
            "without an order; --ordered says that they have one"
        )
        return SampleStructure(False, lengths, tuple(notes))
    notes.append(
        f"samples are in the order of {name}: components are smooth along it, and concentrations "
        "are not sparse; --ordered false takes them as they come"
    )
    return SampleStructure(True, lengths, tuple(notes))


def _run_lengths(
    config: GMCRConfig, table: SpectraTable, file_rows: tuple[int, ...]
) -> tuple[int, ...]:
    """Samples of each run that are left in the table."""
    rows = config.run_lengths() or file_rows
    if not rows:
        return (len(table.spectra),)
    num_rows = table.source_rows or len(table.spectra)
    if sum(rows) != num_rows:
        raise ValueError(
            f"--runs {config.runs} are {sum(rows)} samples together and {table.source_name} has "
            f"{num_rows}; give the samples of each run, in the order of the table"
        )
    counts = np.bincount(run_numbers(rows)[table.row_indices], minlength=len(rows))
    return tuple(int(count) for count in counts if count)


def _has_sample_axis(table: SpectraTable, run_lengths: tuple[int, ...]) -> bool:
    """Whether the samples of each run rise or fall along an axis of their own."""
    if table.sample_axis is None:
        return False
    runs = np.split(table.sample_axis, np.cumsum(run_lengths)[:-1])
    return all(len(run) < 3 or is_monotonic(run) for run in runs)


def run_reference(run_lengths: tuple[int, ...]) -> Reference:
    """The number of each sample's run, from 1, as a column beside the concentrations.

    >>> run_reference((1, 2)).values
    ('1', '2', '2')
    """
    return Reference("run", tuple(str(number + 1) for number in run_numbers(run_lengths)))
