"""Scores of an unmixing: how well it fits, and whether it found the true components.

The sums of fit are jax arrays, for use inside a step; the rest is NumPy in float64 on the host.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from jaxhsi.normalisation import unit_rows

ArrayLike = Array | np.ndarray


class FitSums(NamedTuple):
    """Sums over spectra from which nMSE and R2 follow; they add up over mini-batches and devices.

    Attributes:
        squared_residual: squared residual.
        squared_signal: squared data.
        band_totals: data, per band.
        num_spectra: number of spectra.
    """

    squared_residual: Float[Array, ""]
    squared_signal: Float[Array, ""]
    band_totals: Float[Array, " c"]
    num_spectra: Float[Array, ""]


def fit_sums(
    x: Float[ArrayLike, "n c"],
    reconstructed: Float[ArrayLike, "n c"],
    rows: Bool[Array, " n"] | None = None,
    entries: Bool[Array, "n c"] | None = None,
) -> FitSums:
    """Sums of one batch.

    Args:
        x: data.
        reconstructed: its reconstruction.
        rows: spectra that count, for batches filled up to a fixed size; None for all.
        entries: values that count; None for all.

    Source: upstream `eval.py`, `StreamingMetrics.update`.
    """
    x, reconstructed = jnp.asarray(x), jnp.asarray(reconstructed)
    counted = jnp.ones(x.shape, bool) if entries is None else entries
    if rows is not None:
        counted = counted & rows[:, None]
    data = jnp.where(counted, x, 0.0)
    # A where and no product: what does not count may be infinite.
    residual = jnp.square(jnp.where(counted, reconstructed - x, 0.0)).sum()
    count = jnp.asarray(len(x) if rows is None else rows.sum(), x.dtype)
    return FitSums(residual, jnp.square(data).sum(), data.sum(0), count)


def combine_sums(first: FitSums, second: FitSums) -> FitSums:
    """Sums of both batches."""
    return jax.tree.map(jnp.add, first, second)


def nmse(sums: FitSums) -> Float[Array, ""]:
    """Squared residual as a share of the squared data, ||x - y||^2 / ||x||^2 >= 0."""
    return sums.squared_residual / sums.squared_signal


def r2(sums: FitSums) -> Float[Array, ""]:
    """1 - ||x - y||^2 / sum_ij (x_ij - mean_i x_ij)^2, at most 1; each band has its own mean."""
    centred = (
        sums.squared_signal
        - jnp.square(sums.band_totals / sums.num_spectra).sum() * sums.num_spectra
    )
    return 1 - sums.squared_residual / centred


class ComponentMatches(NamedTuple):
    """Pairs of components, by falling cosine.

    Attributes:
        cosine: in -1..1.
        found_index: row among the found components.
        true_index: row among the true ones.
    """

    cosine: Float[np.ndarray, " m"]
    found_index: Int[np.ndarray, " m"]
    true_index: Int[np.ndarray, " m"]


def matched_cosines(
    found_components: Float[ArrayLike, "k c"], true_components: Float[ArrayLike, "t d"]
) -> ComponentMatches:
    """One-to-one pairs of found and true components with the largest sum of cosines.

    min(k, t) pairs; a row of zeros has cosine 0 with everything. Host NumPy, float64.

    Raises:
        ValueError: the numbers of bands differ.
    """
    found_components, true_components = _unit(found_components), _unit(true_components)
    if found_components.shape[1] != true_components.shape[1]:
        raise ValueError(
            f"found components have {found_components.shape[1]} bands and the truth "
            f"{true_components.shape[1]}; bring both to the same axis"
        )
    cosines = found_components @ true_components.T
    # The best sum over all pairs; taking the best pair first may leave a bad one.
    rows, columns = linear_sum_assignment(cosines, maximize=True)
    # Stable: equal cosines keep the order of the components.
    order = np.argsort(-cosines[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    return ComponentMatches(cosines[rows, columns], rows, columns)


def _unit(rows: ArrayLike) -> Float[np.ndarray, "k c"]:
    rows = np.asarray(rows, np.float64)
    return unit_rows(rows, np.finfo(np.float64).smallest_subnormal)


def variance_share(
    x: Float[ArrayLike, "n c"],
    concentrations: Float[ArrayLike, "n k"],
    components: Float[ArrayLike, "k c"],
) -> Float[np.ndarray, " k"]:
    """Part of the squared data that each component alone explains.

    (||x - y + c_j s_j||^2 - ||x - y||^2) / ||x||^2 with y = C S: by how much the fit suffers when
    the contribution c_j s_j of component j is taken away and nothing else changes. 0 for one that
    is not used; the sum is 1 - nMSE for components that do not overlap, and above or below it
    where they do. Negative where a component makes the fit worse. Host NumPy, float64, no array
    of (n, c) beside the data.

    Args:
        x: data.
        concentrations: C.
        components: S.
    """
    x, c, s = (np.asarray(array, np.float64) for array in (x, concentrations, components))
    overlap = (c.T @ c) * (s @ s.T)  # of contributions: <c_i s_i, c_j s_j>
    with_residual = ((c.T @ x) * s).sum(1) - overlap.sum(1)
    return (2 * with_residual + np.diag(overlap)) / np.square(x).sum()
