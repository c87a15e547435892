"""Values that a table lacks: cut with the edges where they are lacking, or treated as asked."""

import numpy as np
from jaxtyping import Bool

from jaxhsi.data.tables.stored_table import StoredTable, select_references

MAX_EDGE_SHARE = 0.25
"""Share of the bands that the edges may hold which some spectra lack. Set by hand."""


def treat_missing(
    stored: StoredTable, choice: str | None, source_name: str, cell_text: str = ""
) -> StoredTable:
    """Leave no value missing, in one of the ways that a user can choose from.

    Without a choice, spectra without any value are left out, and bands at either end that some
    spectra lack; anything else is refused.

    Args:
        stored: the table; NaN is missing.
        choice: "mask" (left out of the fit one by one, here they stay), "interpolate" along the
            axis, "drop_bands" or "drop_spectra", or None.
        source_name: for messages.
        cell_text: where the missing values stand in the file, for messages.

    Raises:
        ValueError: values are missing between others, and no choice was made, or one that leaves
            nothing.
    """
    is_missing = np.isnan(stored.values)
    if not is_missing.any():
        return stored
    is_empty = is_missing.all(1)
    if is_empty.any() and not is_empty.all():
        note = f"{is_empty.sum()} spectra without any value are left out"
        stored = _select(stored, ~is_empty, np.ones(is_missing.shape[1], bool), note)
        is_missing = np.isnan(stored.values)
    if choice == "mask":
        return _masked(stored)
    if choice == "interpolate":
        return _interpolated(stored, is_missing)
    if choice == "drop_spectra":
        selected = ~is_missing.any(1)
        note = f"{(~selected).sum()} spectra with missing values are left out"
        return _checked(stored, selected, ~is_missing.all(0), note, source_name)
    if choice == "drop_bands":
        selected = ~is_missing.any(0)
        note = f"{(~selected).sum()} bands with missing values are left out"
        return _checked(stored, ~is_missing.all(1), selected, note, source_name)
    return _cut_edges(stored, is_missing, source_name, cell_text)


def _cut_edges(
    stored: StoredTable, is_missing: Bool[np.ndarray, "n c"], source_name: str, cell_text: str
) -> StoredTable:
    has_gap = is_missing.any(0)
    complete = np.flatnonzero(~has_gap)
    num_bands = len(has_gap)
    if len(complete):
        first, last = int(complete[0]), int(complete[-1])
        num_edge = num_bands - (last - first + 1)
        if not has_gap[first : last + 1].any() and num_edge <= MAX_EDGE_SHARE * num_bands:
            in_range = np.zeros(num_bands, bool)
            in_range[first : last + 1] = True
            note = (
                f"{num_edge} bands at the ends, which {is_missing.any(1).sum()} spectra lack, are "
                f"left out; {_band_range(stored, first, last)} remain"
            )
            return _select(stored, np.ones(len(stored.values), bool), in_range, note)
    raise ValueError(
        f"{source_name}: {is_missing.sum()} value(s) of {is_missing.any(1).sum()} spectra and "
        f"{has_gap.sum()} of {num_bands} bands are missing{cell_text}; say --missing mask (they "
        "take no part), interpolate (along the axis), drop_bands or drop_spectra"
    )


def _band_range(stored: StoredTable, first: int, last: int) -> str:
    if stored.axis is None:
        return f"bands {first + 1} to {last + 1}"
    return f"bands from {stored.axis[first]:g} to {stored.axis[last]:g}"


def _masked(stored: StoredTable) -> StoredTable:
    """The table with its missing values, without bands that hold nothing else."""
    is_missing = np.isnan(stored.values)
    is_empty = is_missing.all(0)
    if is_empty.any():
        note = f"{is_empty.sum()} bands without any value are left out"
        stored = _select(stored, np.ones(len(is_missing), bool), ~is_empty, note)
        is_missing = np.isnan(stored.values)
    note = f"{is_missing.sum()} missing values ({is_missing.mean():.1%}) take no part in the fit"
    return stored if note in stored.notes else stored._replace(notes=(*stored.notes, note))


def _interpolated(stored: StoredTable, is_missing: Bool[np.ndarray, "n c"]) -> StoredTable:
    values = stored.values.copy()
    axis = np.arange(values.shape[1]) if stored.axis is None else stored.axis
    order = np.argsort(axis)
    for row, gaps in zip(values, is_missing, strict=True):
        present = order[~gaps[order]]
        row[gaps] = np.interp(axis[gaps], axis[present], row[present])
    note = f"{is_missing.sum()} missing values were interpolated along the axis"
    return stored._replace(values=values, notes=(*stored.notes, note))


def _checked(
    stored: StoredTable, rows: np.ndarray, bands: np.ndarray, note: str, source_name: str
) -> StoredTable:
    selected = _select(stored, rows, bands, note)
    if 0 in selected.values.shape or np.isnan(selected.values).any():
        raise ValueError(
            f"{source_name}: nothing is left without its missing values; say --missing interpolate"
        )
    return selected


def _select(stored: StoredTable, rows: np.ndarray, bands: np.ndarray, note: str) -> StoredTable:
    names = stored.sample_names
    return stored._replace(
        values=stored.values[np.ix_(rows, bands)],
        axis=None if stored.axis is None else stored.axis[bands],
        sample_names=None if names is None else tuple(np.array(names, object)[rows]),
        references=select_references(stored.references, rows),
        sample_axis=None if stored.sample_axis is None else stored.sample_axis[rows],
        notes=(*stored.notes, note),
    )
