"""Tables in memory with labels: pandas and polars frames, xarray arrays. None is imported."""

import logging
from typing import Any, NamedTuple

import numpy as np

from jaxhsi.data.tables.cell_table import CellTable, table_of_rows
from jaxhsi.data.tables.header import is_counting
from jaxhsi.data.tables.header_words import label_kind
from jaxhsi.data.tables.orientation import DECISIVE, weigh_orientation
from jaxhsi.data.tables.stored_table import StoredTable
from jaxhsi.data.tables.table_layout import interpret_table
from jaxhsi.data.tables.table_options import TableOptions


class FrameParts(NamedTuple):
    """A frame without its library.

    Attributes:
        columns: names of the columns.
        rows: of cells.
        index: labels of the rows, or None where they only count.
        index_name: theirs, or empty.
        columns_name: of the columns' labels, or empty.
    """

    columns: list[Any]
    rows: list[list[Any]]
    index: list[Any] | None = None
    index_name: str = ""
    columns_name: str = ""


def read_frame(data: Any) -> StoredTable | None:
    """The spectra of a pandas or polars frame or of an xarray array, or None for anything else.

    Spectra are rows. Columns whose labels are no bands are references. The axes of an xarray array
    are told by the names of its dimensions.

    Raises:
        ValueError: the labels say that spectra are columns, or there are more than two axes.

    Examples:
        >>> read_frame(np.ones((2, 3))) is None
        True
    """
    library = type(data).__module__.partition(".")[0]
    if library == "xarray":
        return _read_xarray(data)
    if library not in ("pandas", "polars") or not hasattr(data, "columns"):
        return None
    parts = _pandas_parts(data) if library == "pandas" else _polars_parts(data)
    table = _cells(parts, f"the {library} frame")
    evidence = weigh_orientation(table)
    if sum(piece.weight for piece in evidence) >= DECISIVE:
        reasons = "; ".join(piece.reason for piece in evidence if piece.weight > 0)
        raise ValueError(
            f"the {library} frame seems to hold spectra in columns ({reasons}); spectra are rows: "
            "give the frame transposed"
        )
    stored = interpret_table(table, TableOptions(spectra="rows"))
    if stored.axis is not None and not stored.axis_name and is_counting(stored.axis):
        return stored._replace(axis=None)  # pandas numbers columns that have no names
    return stored


def spectra_with_axis(
    spectra: Any, axis: np.ndarray | None, axis_name: str
) -> tuple[Any, np.ndarray | None, str]:
    """Arrays as they are; of a frame its numbers and, where no axis is given, its axis.

    Examples:
        >>> spectra_with_axis(np.ones((2, 3)), None, "")[0].shape
        (2, 3)
    """
    frame = read_frame(spectra)
    if frame is None:
        return spectra, axis, axis_name
    if frame.references:
        names = ", ".join(reference.name for reference in frame.references)
        logging.getLogger(__name__).warning("columns that are no bands are left out: %s", names)
    if axis is not None:
        return frame.values, axis, axis_name
    return frame.values, frame.axis, axis_name or frame.axis_name


def _pandas_parts(frame: Any) -> FrameParts:
    index = list(frame.index)
    is_counter = index == list(range(len(index))) and frame.index.name is None
    rows = frame.to_numpy(dtype=object).tolist()
    names = (frame.index.name or "", frame.columns.name or "")
    return FrameParts(list(frame.columns), rows, None if is_counter else index, *map(str, names))


def _polars_parts(frame: Any) -> FrameParts:
    return FrameParts(list(frame.columns), [list(row) for row in frame.iter_rows()])


def _cells(parts: FrameParts, source_name: str) -> CellTable:
    """The frame as it would stand in a file, labels above and beside the numbers."""
    header: list[Any] = [_cell(column) for column in parts.columns]
    rows = [[_value(cell) for cell in row] for row in parts.rows]
    if parts.index is not None:
        corner = parts.index_name
        if parts.columns_name:
            corner = f"{corner or 'sample'}\\{parts.columns_name}"
        header = [corner, *header]
        rows = [[_cell(label), *row] for label, row in zip(parts.index, rows, strict=True)]
    return table_of_rows([header, *rows], source_name)


def _cell(label: Any) -> str | float:
    """A label, a number where it is one or spells one."""
    try:
        return float(label)
    except (TypeError, ValueError):
        return str(label)


def _value(cell: Any) -> str | float | None:
    if cell is None or isinstance(cell, str):
        return cell
    try:
        return float(cell)
    except (TypeError, ValueError):
        return str(cell)


def _read_xarray(array: Any) -> StoredTable:
    if not hasattr(array, "dims") or not hasattr(array, "values") or array.ndim != 2:
        raise ValueError(
            f"the xarray {type(array).__name__} is no table; give a DataArray of two dimensions, "
            "samples and bands"
        )
    kinds = [label_kind(str(dim)) for dim in array.dims]
    band = 0 if kinds[0] == "band" and kinds[1] != "band" else 1
    turned = array.transpose(array.dims[1 - band], array.dims[band])
    sample_dim, band_dim = turned.dims
    axis = _coordinate(turned, band_dim)
    samples = _coordinate(turned, sample_dim)
    values = np.asarray(turned.values, np.float64)
    stored = StoredTable(values, None, "")
    if axis is not None and axis.dtype.kind in "iuf":
        unit = str(turned.coords[band_dim].attrs.get("units", ""))
        name = f"{band_dim} ({unit})" if unit else str(band_dim)
        stored = stored._replace(axis=axis.astype(float), axis_name=name)
    if samples is not None and samples.dtype.kind in "iuf":
        stored = stored._replace(
            sample_axis=samples.astype(float), sample_axis_name=str(sample_dim)
        )
    if samples is not None:
        stored = stored._replace(sample_names=tuple(str(sample) for sample in samples))
    return stored


def _coordinate(array: Any, dim: Any) -> np.ndarray | None:
    return np.asarray(array.coords[dim].values) if dim in array.coords else None
