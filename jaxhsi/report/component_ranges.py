"""How far the spectra and the shares of components could be others: numbers for ``scores.json``."""

from typing import Any

import numpy as np
from jaxtyping import Float

from jaxhsi.gmcr.rotational_ambiguity import BandBoundaries


def range_scores(ranges: BandBoundaries) -> dict[str, Any]:
    """Of each component, the signal shares of its two extremes and the angle between their spectra.

    Angles are in degrees, shares between 0 and 1.
    """
    return {
        "signal_share": ranges.signal_share.astype(float).tolist(),
        "angle_degrees": _extreme_angles(ranges.boundary_spectra).tolist(),
    }


def _extreme_angles(extreme_spectra: Float[np.ndarray, "k 2 c"]) -> Float[np.ndarray, " k"]:
    """Angle in degrees between both unit spectra of each component."""
    cosines = np.sum(extreme_spectra[:, 0] * extreme_spectra[:, 1], axis=1, dtype=float)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def shaded_range(
    component: Float[np.ndarray, " c"], unit_spectra: Float[np.ndarray, "e c"]
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Least and largest value of a component and its alternatives, on its scale.

    Args:
        component: spectrum of the component.
        unit_spectra: other spectra that it might be, of unit length.
    """
    norm = np.linalg.norm(component)
    unit_component = component / max(norm, 1e-30)
    alternatives = np.concatenate([unit_spectra, unit_component[None]]) * norm
    return alternatives.min(0), alternatives.max(0)
