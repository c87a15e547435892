"""A truth in other units or another order than the table, brought to those of the table."""

import numpy as np
from jaxtyping import Float, Float32
from scipy.optimize import linear_sum_assignment

from jaxhsi.data.tables.truth import GroundTruth

MAX_FACTOR = 1.25
"""Factor up to which a scale is the work of noise and offsets. Set by hand."""

MIN_GAIN = 0.1
"""By how much the share of explained variance rises where columns are in another order."""


def match_units(truth: GroundTruth, spectra: Float32[np.ndarray, "n c"]) -> GroundTruth:
    """Scale and order the concentrations of a truth, and its noise-free data, to fit a table.

    Scores against noise-free data mean nothing in other units. Factors are those of least squares;
    what was done is in the notes of the result.

    >>> pure = np.eye(3, 9, dtype=np.float32)
    >>> amounts = np.random.default_rng(0).uniform(size=(20, 3)).astype(np.float32)
    >>> truth = match_units(GroundTruth(pure, 100 * amounts), amounts @ pure)
    >>> bool(np.allclose(truth.concentrations, amounts, atol=1e-5)), len(truth.notes)
    (True, 1)
    """
    data = spectra.astype(np.float64)
    notes, clean, concentrations = [], truth.clean, truth.concentrations
    if concentrations is not None:
        order, factors = _order_and_factors(data, concentrations, truth.components)
        if (order != np.arange(len(order))).any():
            concentrations = concentrations[:, order]
            notes.append("the concentrations of the truth are in another order than its components")
        if not _is_unit(factors):
            concentrations = concentrations * factors.astype(np.float32)
            notes.append(
                "the concentrations of the truth are in other units; they were multiplied by "
                f"{_listed(factors)}"
            )
    if clean is not None:
        # Without means over the samples: an offset that all spectra share is no unit.
        centred_clean = _centred(clean)
        power = max((centred_clean**2).sum(), 1e-300)
        factor = np.array([(_centred(data) * centred_clean).sum() / power])
        if not _is_unit(factor):
            clean = clean * np.float32(factor[0])
            notes.append(
                f"noise-free data are in other units; they were multiplied by {_listed(factor)}"
            )
    return truth._replace(concentrations=concentrations, clean=clean, notes=(*truth.notes, *notes))


def _order_and_factors(
    data: Float[np.ndarray, "n c"],
    concentrations: Float[np.ndarray, "n k"],
    components: Float[np.ndarray, "k c"],
) -> tuple[np.ndarray, np.ndarray]:
    """Which column of concentrations goes with each component, and its factor."""
    amounts, pure = concentrations.astype(np.float64), components.astype(np.float64)
    given = np.arange(len(pure))
    mixing = np.linalg.pinv(amounts) @ data @ np.linalg.pinv(pure)
    sizes = np.abs(mixing) * np.linalg.norm(amounts, axis=0)[:, None] * np.linalg.norm(pure, axis=1)
    rows, columns = linear_sum_assignment(-sizes)
    order = rows[np.argsort(columns)]
    explained = [_explained(data, amounts[:, each], pure) for each in (given, order)]
    order = order if explained[1] > explained[0] + MIN_GAIN else given
    return order, _factors(data, amounts[:, order], pure)


def _centred(rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    return rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)


def _factors(
    data: Float[np.ndarray, "n c"],
    amounts: Float[np.ndarray, "n k"],
    pure: Float[np.ndarray, "k c"],
) -> Float[np.ndarray, " k"]:
    """Scales a of least squares in data = sum_k a_k c_k s_k."""
    gram = (amounts.T @ amounts) * (pure @ pure.T)
    return np.linalg.lstsq(gram, np.einsum("nk,nc,kc->k", amounts, data, pure), rcond=None)[0]


def _explained(data: np.ndarray, amounts: np.ndarray, pure: np.ndarray) -> float:
    residual = data - (amounts * _factors(data, amounts, pure)) @ pure
    return float(1 - (residual**2).sum() / (data**2).sum())


def _is_unit(factors: np.ndarray) -> bool:
    return bool(((factors > 1 / MAX_FACTOR) & (factors < MAX_FACTOR)).all())


def _listed(factors: np.ndarray) -> str:
    return ", ".join(f"{factor:.4g}" for factor in factors[:6]) + (
        ", ..." if len(factors) > 6 else ""
    )
