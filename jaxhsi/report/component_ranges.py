"""What is told of components that might as well be others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxhsi.gmcr.rotational_ambiguity import Turned

_WIDE = 5.0  # degrees between extremes that are worth a word


def range_scores(found: Turned) -> dict[str, Any]:
    """Of each component, the shares of its extremes and the angle between them in degrees."""
    return {"share": found.share.astype(float).tolist(), "degrees": _angles(found).tolist()}


def range_sentences(scores: dict[str, Any], names: Sequence[str]) -> list[str]:
    """A sentence for each component whose extremes lie apart.

    Args:
        scores: of `range_scores`.
        names: of the components.
    """
    told = []
    for name, (low, high), angle in zip(names, scores["share"], scores["degrees"], strict=True):
        if angle > _WIDE:
            told.append(
                f"{name} is not settled by the data: {low:.1%} to {high:.1%} of the signal, with "
                f"spectra {angle:.0f} degrees apart, explain them as well (see "
                "pictures/components.png); spectra without it, or a prior, would settle it"
            )
    return told


def _angles(found: Turned) -> np.ndarray:
    cosines = np.sum(found.spectrum[:, 0] * found.spectrum[:, 1], axis=1, dtype=float)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))
