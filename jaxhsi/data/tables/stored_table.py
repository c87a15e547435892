"""Spectra as a file holds them, before any of their values are judged."""

from typing import NamedTuple

import numpy as np

from jaxhsi.plain_text import plain_name


class Reference(NamedTuple):
    """What stands beside the spectra: a measured value, a class, a replicate.

    Attributes:
        name: as the file has it.
        values: one for each sample, numbers or text.
    """

    name: str
    values: tuple[float, ...] | tuple[str, ...]


class StoredTable(NamedTuple):
    """A table as a file holds it, spectra in rows; see `SpectraTable`."""

    values: np.ndarray
    axis: np.ndarray | None = None
    axis_name: str = ""
    sample_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    sample_axis: np.ndarray | None = None
    sample_axis_name: str = ""


def with_plain_names(stored: StoredTable) -> StoredTable:
    """The table with its names on one line each, control characters written out.

    Args:
        stored: as a file has it.
    """
    references = tuple(
        Reference(
            plain_name(name),
            tuple(plain_name(v) if isinstance(v, str) else v for v in values),  # type: ignore[arg-type]
        )
        for name, values in stored.references
    )
    names = stored.sample_names
    return stored._replace(
        sample_names=None if names is None else tuple(map(plain_name, names)),
        axis_name=plain_name(stored.axis_name),
        sample_axis_name=plain_name(stored.sample_axis_name),
        references=references,
    )


def select_references(
    references: tuple[Reference, ...], selected: np.ndarray
) -> tuple[Reference, ...]:
    """References of some of the samples, by a mask or indices."""
    return tuple(
        Reference(
            name,
            tuple(values[i] for i in np.arange(len(values))[selected]),  # type: ignore[arg-type]
        )
        for name, values in references
    )
