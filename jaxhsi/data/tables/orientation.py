"""Whether spectra are rows or columns of a table, by evidence that is weighed and said."""

from typing import NamedTuple

import numpy as np

from jaxhsi.data.tables.cell_table import CellTable
from jaxhsi.data.tables.header import Header, find_header, is_counting, is_regular
from jaxhsi.data.tables.header_words import corner_kinds, label_kind

DECISIVE = 2
"""Sum of evidence that decides; less is asked for. Words and names of samples weigh 3 to 4, the
shape of the values 2, so that neither overrules the other where they disagree."""

SMOOTH, ROUGH = 0.5, 1.5
"""Roughness (see `roughness`) of white noise is 6 and of smooth peaks of ten points below 0.01."""

MAX_LINES = 200


class Evidence(NamedTuple):
    """One thing that speaks for an orientation.

    Attributes:
        weight: positive for spectra in columns, negative for rows.
        reason: for the user.
    """

    weight: int
    reason: str


def roughness(values: np.ndarray, axis: int) -> float:
    """Sum of squared second differences over that of deviations from the mean, along an axis.

    >>> round(roughness(np.sin(np.arange(100) / 5)[None], 1), 4)
    0.0016
    """
    deviations = values - np.nanmean(values, axis=axis, keepdims=True)
    scale = np.nansum(deviations**2)
    return float(np.nansum(np.diff(values, 2, axis=axis) ** 2) / scale) if scale > 0 else np.inf


def weigh_orientation(table: CellTable) -> list[Evidence]:
    """All that a table says of its orientation."""
    rows, columns = find_header(table), find_header(table.transposed())
    evidence = [
        *_corner_evidence(table, rows, columns),
        *_axis_evidence(table, rows, columns),
        *_name_evidence(table, rows, columns),
        *_shape_evidence(table, rows, columns),
    ]
    return [piece for piece in evidence if piece.weight]


def _corner_label(table: CellTable, rows: Header, columns: Header) -> str:
    """The first words in the corner that mean something, else the first there are.

    Those before names come first: before numbers, words may be of the row alone.
    """
    text_mask = table.text_mask()
    num_texts = text_mask.sum(1) - np.isfinite(table.numbers).sum(1)
    header_rows = sorted(range(max(rows.num_rows, 1)), key=lambda i: num_texts[i] <= 0)
    cells = [table.text(i, 0) for i in header_rows]
    cells += [table.text(0, j) for j in range(1, columns.num_rows)]
    labels = [cell for cell in cells if cell]
    return next((label for label in labels if corner_kinds(label)[0]), labels[0] if labels else "")


def _corner_evidence(table: CellTable, rows: Header, columns: Header) -> list[Evidence]:
    label = _corner_label(table, rows, columns)
    below, beside = corner_kinds(label)
    if label == "" or below is None:
        return []
    has_left_axis = columns.axis is not None
    if beside is not None:
        return [Evidence(4 if below == "band" else -4, f"the corner cell is {label!r}")]
    if below == "band":
        if has_left_axis:
            weight = 1 if label.strip(" #").lower() == "x" else 4
            return [Evidence(weight, f"the first column is headed {label!r}")]
        return [Evidence(-3 if rows.axis is not None else 0, f"the first row is called {label!r}")]
    is_sample = below in ("sample", "order") or not has_left_axis
    return [Evidence(-4 if is_sample else -3, f"the first column is headed {label!r}")]


def _axis_evidence(table: CellTable, rows: Header, columns: Header) -> list[Evidence]:
    top, left = rows.axis, columns.axis
    if top is not None and left is None:
        return [Evidence(-4 if rows.is_certain else -3, "the first row is an axis")]
    below = corner_kinds(_corner_label(table, rows, columns))[0]
    if left is not None and top is None and below in ("sample", "order", "reference"):
        return []  # numbers of samples rise as well
    if left is not None and top is None:
        is_index = is_counting(left)
        is_clear = columns.is_certain or is_regular(left) or table.numbers.shape[1] == 2
        weight = 0 if is_index else 3 if is_clear else 1
        return [Evidence(weight, "the first column is an axis")]
    if top is None or left is None or is_counting(top) == is_counting(left):
        return []
    if is_counting(top):
        return [Evidence(2, "the first row counts samples, the first column is an axis")]
    return [Evidence(-2, "the first column counts samples, the first row is an axis")]


def _name_evidence(table: CellTable, rows: Header, columns: Header) -> list[Evidence]:
    """Names of bands or of samples beside the numbers."""
    evidence = []
    for header, sign in ((rows, -1), (columns, 1)):
        kind = None if header.family is None else label_kind(header.family[0].strip(" ._-") or "?")
        if kind == "band":
            evidence.append(Evidence(3 * sign, f"names such as {header.family[0]}1 are of bands"))
        elif kind in ("sample", "order"):
            evidence.append(
                Evidence(-2 * sign, f"names such as {header.family[0]}1 are of samples")
            )
    has_left_names = bool(rows.is_text.any()) and columns.axis is None
    has_top_names = bool(columns.is_text.any()) and rows.axis is None
    if has_left_names and not (has_top_names and rows.family is None and columns.family):
        evidence.append(Evidence(-3 if not has_top_names else -1, "samples have names in a column"))
    return evidence


def _shape_evidence(table: CellTable, rows: Header, columns: Header) -> list[Evidence]:
    """Spectra are smooth along their bands; samples in no order are rough from one to the next."""
    along_bands, along_samples = roughness_of_table(table, rows, columns)
    if along_bands < SMOOTH and along_samples > ROUGH:
        return [Evidence(-2, "values are smooth along the rows and not along the columns")]
    if along_samples < SMOOTH and along_bands > ROUGH:
        return [Evidence(2, "values are smooth along the columns and not along the rows")]
    return []


def roughness_of_table(table: CellTable, rows: Header, columns: Header) -> tuple[float, float]:
    """Roughness along the rows and along the columns of the numbers without their headers."""
    first_row = max(rows.num_rows, int(columns.is_text.nonzero()[0].max(initial=-1)) + 1)
    first_column = max(columns.num_rows, int(rows.is_text.nonzero()[0].max(initial=-1)) + 1)
    values = table.numbers[first_row:, first_column:]
    values = values[:, rows.is_band[first_column:]] if rows.is_band[first_column:].any() else values
    if min(values.shape) < 5:
        return np.inf, np.inf
    strides = [max(1, length // MAX_LINES) for length in values.shape]
    with np.errstate(all="ignore"):
        return roughness(values[:: strides[0]], 1), roughness(values[:, :: strides[1]], 0)


def decide_orientation(table: CellTable) -> tuple[str, str]:
    """The orientation and why.

    Raises:
        ValueError: the evidence is not enough; says what there is, and asks for --spectra.
    """
    evidence = weigh_orientation(table)
    score = sum(piece.weight for piece in evidence)
    if abs(score) >= DECISIVE:
        reasons = [piece.reason for piece in evidence if piece.weight * score > 0]
        return ("columns" if score > 0 else "rows"), reasons[0]
    rows, columns = find_header(table), find_header(table.transposed())
    along_rows, along_columns = roughness_of_table(table, rows, columns)
    is_smooth_both_ways = max(along_rows, along_columns) < ROUGH
    if columns.axis is None and score <= 0 and not is_smooth_both_ways:
        return "rows", "nothing says otherwise; else say --spectra columns"
    reasons = "; ".join(piece.reason for piece in evidence) or "values are smooth along both"
    raise ValueError(
        f"{table.source_name}: whether spectra are rows or columns of this table of "
        f"{table.numbers.shape[0]} x {table.numbers.shape[1]} cells cannot be told ({reasons}); "
        "say --spectra rows or --spectra columns"
    )
