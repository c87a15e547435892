"""Low-rank fits of tables whose values are partly unknown, and the rank that noise allows.

NumPy in float64, on the host.
"""

import numpy as np
from jaxtyping import Bool, Float

_EDGE_FACTOR = 1.02
"""Factor on the largest singular value of white noise, for its fluctuation: exact on 80 of 80 dense
mixtures and on tables with band noise of a ratio of 200 (trials in one run each)."""
_MAX_IMPUTATIONS = 50
"""Alternations of `impute` at one rank. Set by hand as a bound."""
_MAX_RANK = 25
"""Largest rank of an imputation. Set by hand: each rank costs tens of decompositions."""
_IMPUTATION_TOLERANCE = 1e-4
"""Change of the imputed values, relative to the table, that ends them. Chosen by hand."""


def singular_vectors(table: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Left and right singular vectors, by the Gram matrix of the smaller side."""
    if len(table) <= table.shape[1]:
        left = np.linalg.eigh(table @ table.T)[1][:, ::-1][:, :rank]
        right = left.T @ table
        return left, right / np.maximum(np.linalg.norm(right, axis=1), 1e-300)[:, None]
    right = np.linalg.eigh(table.T @ table)[1][:, ::-1][:, :rank].T
    left = table @ right.T
    return left / np.maximum(np.linalg.norm(left, axis=0), 1e-300), right


def predict_rows(
    measured: np.ndarray, filled: np.ndarray, right: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Spectra in the span of the right vectors; those with masked values by the others alone."""
    predicted = filled @ right.T @ right
    for i in np.flatnonzero(mask.any(axis=1)):
        used = ~mask[i]
        predicted[i] = np.linalg.lstsq(right[:, used].T, measured[i, used], rcond=None)[0] @ right
    return predicted


def edge_rank(table: np.ndarray) -> int:
    """Number of singular values above those of white noise, whose level is that of the others."""
    count, num_bands = table.shape
    gram = table @ table.T if count <= num_bands else table.T @ table
    powers = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0)
    rank = 0
    while rank < min(count, num_bands) - 2:
        level = powers[rank:].sum() / ((count - rank) * (num_bands - rank))
        edge = _EDGE_FACTOR**2 * level * (np.sqrt(count) + np.sqrt(num_bands)) ** 2
        above = int(np.sum(powers > edge))
        if above <= rank:
            break
        rank = above
    return rank


def first_fill(
    spectra: Float[np.ndarray, "n c"], missing_mask: Bool[np.ndarray, "n c"]
) -> Float[np.ndarray, "n c"]:
    """The table with missing values at the product of its means by spectrum and by band.

    >>> table = np.outer([1.0, 2.0], [3.0, 4.0])
    >>> table[1, 1] = np.nan
    >>> first_fill(table, np.isnan(table)).round(1).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    table = np.where(missing_mask, 0.0, spectra)
    present = ~missing_mask
    row_size, band_size = np.ones(len(table)), np.ones(table.shape[1])
    for _ in range(_MAX_IMPUTATIONS):  # alternating least squares of one product
        row_size = (table @ band_size) / np.maximum(present @ band_size**2, 1e-300)
        band_size = (row_size @ table) / np.maximum(row_size**2 @ present, 1e-300)
    return np.where(missing_mask, np.outer(row_size, band_size), spectra)


def impute(
    spectra: Float[np.ndarray, "n c"], missing_mask: Bool[np.ndarray, "n c"]
) -> Float[np.ndarray, "n c"]:
    """The table with missing values as a low-rank fit of the others predicts them.

    Args:
        spectra: n of c bands; what stands at the missing places does not matter.
        missing_mask: values that are not known.
    """
    filled = first_fill(spectra, missing_mask)
    size = np.sqrt(np.mean(filled**2))
    max_rank = min(_MAX_RANK, min(filled.shape) // 2)
    # From rank 1 upwards: values that are imputed badly would look like further components.
    for rank in range(1, max_rank + 1):
        for _ in range(_MAX_IMPUTATIONS):
            right = singular_vectors(filled, rank)[1]
            predicted = predict_rows(filled, filled, right, missing_mask)
            predicted = np.where(missing_mask, predicted, filled)
            change = np.sqrt(np.mean((predicted - filled) ** 2))
            filled = predicted
            if change < _IMPUTATION_TOLERANCE * size:
                break
        if edge_rank(filled) <= rank:
            break
    return filled
