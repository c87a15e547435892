"""Spectra to unmix, and the checks that they pass before anything long begins."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from jaxhsi.data.cube import Cube
from jaxhsi.data.tables.stored_table import Reference, select_references

MIN_SPECTRA, MIN_BANDS = 3, 2


class SpectraTable(NamedTuple):
    """Spectra to unmix.

    Attributes:
        spectra: finite values in the units of the file.
        row_indices: which rows of the file these are; some are left out.
        axis: number of each band, or None.
        axis_name: what the axis is called, or empty.
        sample_names: of the samples, or None.
        source_name: where they came from, for messages.
        notes: what a reader of the result should be told.
        cubes: where the spectra are drawn from, if they are pixels; else empty.
        references: what stands beside the spectra of the file, such as classes.
        sample_axis: number of each sample, such as its time, or None.
        sample_axis_name: what that is called, or empty.
        source_rows: samples of the source, those that were left out included; 0 if not known.
        missing_mask: values that the file lacks, where these are to be left out of the fit; rough
            estimates stand in their places. None if there are none.
    """

    spectra: Float32[np.ndarray, "n c"]
    row_indices: Int[np.ndarray, " n"]
    axis: Float[np.ndarray, " c"] | None = None
    axis_name: str = ""
    sample_names: tuple[str, ...] | None = None
    source_name: str = ""
    notes: tuple[str, ...] = ()
    cubes: tuple[Cube, ...] = ()
    references: tuple[Reference, ...] = ()
    sample_axis: Float[np.ndarray, " n"] | None = None
    sample_axis_name: str = ""
    source_rows: int = 0
    missing_mask: Bool[np.ndarray, "n c"] | None = None


def as_float32(values: np.ndarray, source_name: str) -> Float32[np.ndarray, "n c"]:
    """Values as float32; refuses those that are not finite, or too large or small to square."""
    bad_cells = np.argwhere(~np.isfinite(values))
    if len(bad_cells):
        cell_list = "; ".join(
            f"spectrum {i + 1}, band {j + 1}: {values[i, j]}" for i, j in bad_cells[:3]
        )
        num_rows = len(np.unique(bad_cells[:, 0]))
        raise ValueError(
            f"{source_name}: {len(bad_cells)} value(s) of {num_rows} spectra are not finite "
            f"({cell_list}"
            f"{'; ...' if len(bad_cells) > 3 else ''}); remove these spectra or bands, or fill "
            "the values"
        )
    largest_value = float(np.abs(values).max())
    if largest_value > 1e18 or 0 < largest_value < 1e-18:
        row, band = np.unravel_index(np.abs(values).argmax(), values.shape)
        raise ValueError(
            f"{source_name}: the largest value is {largest_value:g} (spectrum {row + 1}, band "
            f"{band + 1}), whose square float32 cannot hold; use another unit, or remove the "
            "spectrum if it is that value alone"
        )
    return np.ascontiguousarray(values, np.float32)


def check_table(table: SpectraTable, min_spectra: int = MIN_SPECTRA) -> SpectraTable:
    """Leave out spectra that are zero, and note what else a reader should know.

    Noted: zero spectra left out, equal spectra (kept), sizes that differ by a million or more.

    Args:
        table: to check.
        min_spectra: spectra that must be left.

    Raises:
        ValueError: fewer spectra, one band, or nothing but zeros.
    """
    notes, spectra = [], table.spectra
    if spectra.shape[1] < MIN_BANDS:
        raise ValueError(
            f"{table.source_name}: spectra of {spectra.shape[1]} band cannot be told apart; "
            "give at least two bands (are spectra in --spectra columns?)"
        )
    spectrum_sizes = np.sqrt((spectra.astype(np.float64) ** 2).mean(axis=1))
    is_zero = spectrum_sizes == 0
    if is_zero.any():
        row_list = ", ".join(str(row + 1) for row in table.row_indices[is_zero][:5])
        notes.append(
            f"{is_zero.sum()} of {len(is_zero)} spectra are all zero and left out (row {row_list}"
            f"{', ...' if is_zero.sum() > 5 else ''})"
        )
        table, spectrum_sizes = select_rows(table, ~is_zero), spectrum_sizes[~is_zero]
    if len(table.spectra) < min_spectra:
        requirement = "one is needed"
        if min_spectra > 1:
            requirement = f"mixtures are taken apart by comparing at least {min_spectra} of them"
        remedy = "give a folder of such files" if len(is_zero) == 1 else "give more"
        raise ValueError(
            f"{table.source_name}: {len(table.spectra)} usable spectra of {len(is_zero)}; "
            f"{requirement}: {remedy}, or say --spectra columns if they are"
        )
    num_repeated = len(table.spectra) - len(np.unique(table.spectra, axis=0))
    if num_repeated and not table.cubes:
        notes.append(
            f"{num_repeated} spectra repeat another one; they are kept, and add no evidence"
        )
    if spectrum_sizes.max() > 1e6 * spectrum_sizes.min():
        notes.append(
            f"the largest spectrum is {spectrum_sizes.max() / spectrum_sizes.min():.1g} times "
            "the smallest; the "
            "small ones have hardly any weight: scale spectra first if they should"
        )
    return table._replace(notes=(*table.notes, *notes))


def select_rows(table: SpectraTable, selected: np.ndarray) -> SpectraTable:
    """The table of some of its spectra, with their names."""
    sample_names = table.sample_names
    if sample_names is not None:
        sample_names = tuple(
            name for name, keep in zip(sample_names, selected, strict=True) if keep
        )
    return table._replace(
        spectra=table.spectra[selected],
        row_indices=table.row_indices[selected],
        sample_names=sample_names,
        references=select_references(table.references, selected),
        sample_axis=None if table.sample_axis is None else table.sample_axis[selected],
        missing_mask=None if table.missing_mask is None else table.missing_mask[selected],
    )


def turn_like_axis(table: SpectraTable, axis: Float[np.ndarray, " c"] | None) -> SpectraTable:
    """The table with its bands in the direction of an axis; where they are turned, a note says so.

    >>> table = SpectraTable(np.eye(2, dtype=np.float32), np.arange(2), np.array([2.0, 1.0]))
    >>> turn_like_axis(table, np.array([1.0, 2.0])).axis.tolist()
    [1.0, 2.0]
    """
    if axis is None or table.axis is None or not runs_the_other_way(table.axis, axis):
        return table
    note = f"the spectra of {table.source_name} run the other way along the axis and were turned"
    return table._replace(
        spectra=np.ascontiguousarray(table.spectra[:, ::-1]),
        missing_mask=None if table.missing_mask is None else table.missing_mask[:, ::-1],
        axis=table.axis[::-1],
        notes=(*table.notes, note),
    )


def runs_the_other_way(axis: np.ndarray, other: np.ndarray) -> bool:
    """Whether one axis rises where the other falls."""
    return bool((axis[-1] - axis[0]) * (other[-1] - other[0]) < 0)


def check_same_axis(
    source_name: str | Path,
    axis: Float[np.ndarray, " c"] | None,
    table: SpectraTable,
    tolerance: float | None = None,
) -> None:
    """Refuse spectra of another axis than a table's, where both are known.

    Args:
        source_name: of the axis, for the message.
        axis: as long as the table's.
        table: with its own.
        tolerance: by which they may differ; half of the smallest distance between two bands of the
            table if None.

    Raises:
        ValueError: names both.
    """
    if axis is None or table.axis is None:
        return
    allowed_difference = 0.5 * np.abs(np.diff(table.axis)).min() if tolerance is None else tolerance
    if np.abs(axis - table.axis).max() > allowed_difference:
        raise ValueError(
            f"{source_name}: its axis runs from {axis[0]:g} to {axis[-1]:g}, that of "
            f"{table.source_name} "
            f"from {table.axis[0]:g} to {table.axis[-1]:g}; bring both to the same axis"
        )
