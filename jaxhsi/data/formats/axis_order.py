"""Which of the three axes of an array hold rows, columns and bands, by evidence."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SQUARENESS_MARGIN = 0.3
"""By how much |log(a / b)| of the image must be below that of any other pair of axes for a shape
to decide: 1.35 times as square. Indian Pines (145, 145, 200) has 0.32; push-broom frames
(60, 48, 96), lines by bands by samples, have 0.25 for the wrong pair."""


class AxisOrder(NamedTuple):
    """Order of the axes and what tells it.

    Attributes:
        layout: one of `jaxhsi.data.axis_layout.LAYOUTS`.
        reason: what it was decided by, for the history.
        by_shape: whether the lengths alone decided.
    """

    layout: str
    reason: str
    by_shape: bool = False


def decide_axis_order(
    shape: Sequence[int],
    roles: Sequence[str | None] = (None, None, None),
    wavelength_count: int | None = None,
    source_name: str = "the array",
) -> AxisOrder:
    """Order of the axes of an array, by the strongest evidence that there is.

    1. Names of axes, as `axis_names.axis_roles` reads them.
    2. A vector of wavelengths as long as exactly one of the axes that are left.
    3. The lengths, with a wide margin (see `guess_layout`).

    Args:
        shape: lengths of the three axes.
        roles: "h", "w", "c" or None for each axis.
        wavelength_count: length of the vector of wavelengths in the file, or None.
        source_name: file and key, for the message.

    Raises:
        ValueError: the evidence does not decide; asks for the parameter layout.

    >>> decide_axis_order((60, 48, 96), wavelength_count=48).layout
    'hcw'
    """
    if (named := _layout_by_names(roles)) is not None:
        return AxisOrder(named, "by names or scales of the axes")
    band_axes = [axis for axis in range(3) if roles[axis] is None]
    fitting = [axis for axis in band_axes if shape[axis] == wavelength_count]
    if len(fitting) == 1:
        return AxisOrder(
            _layout_with_band_axis(fitting[0], roles),
            f"as only that axis has the length of the {wavelength_count} wavelengths",
        )
    layout = guess_layout(shape, source_name, allowed_band_axes=fitting or band_axes)
    return AxisOrder(layout, "by the lengths of the axes alone", by_shape=True)


def _layout_by_names(roles: Sequence[str | None]) -> str | None:
    """The layout where names tell the axis of the bands, or both others."""
    if "c" in roles:
        return _layout_with_band_axis(list(roles).index("c"), roles)
    if "h" in roles and "w" in roles:
        return _layout_with_band_axis(list(roles).index(None), roles)
    return None


def _layout_with_band_axis(band_axis: int, roles: Sequence[str | None]) -> str:
    """Rows come before columns, unless the names of the axes say otherwise."""
    image_axes = [axis for axis in range(3) if axis != band_axis]
    is_transposed = roles[image_axes[0]] == "w" or roles[image_axes[1]] == "h"
    letters = {band_axis: "c", image_axes[0]: "h", image_axes[1]: "w"}
    if is_transposed:
        letters |= {image_axes[0]: "w", image_axes[1]: "h"}
    return "".join(letters[axis] for axis in range(3))


def guess_layout(
    shape: Sequence[int],
    source_name: str = "the array",
    *,
    allowed_band_axes: Sequence[int] = (0, 1, 2),
) -> str:
    """Tell (H, W, C) from (C, H, W) by the lengths of the axes, where these leave no doubt.

    The image is the squarest pair of axes, by |log(a / b)|, if it is so by `SQUARENESS_MARGIN`, or
    by two thirds of that where it is exactly square.
    Bands first is only believed where that axis is also the shorter end or the image is exactly
    square: long narrow scenes with bands last, as (512, 217, 224), look like bands first. Bands
    in the middle are never believed: scenes of few lines look like that.

    So (83, 86, 204) and (31, 43, 580) are hwc, (301, 1024, 1024) and (198, 100, 100) are chw, and
    (512, 217, 224), (64, 64, 64) or (63, 70, 60) must be told.

    Args:
        shape: lengths of the three axes.
        source_name: file and key for the message.
        allowed_band_axes: axes that may hold the bands, by other evidence.

    Raises:
        ValueError: the shape does not decide.

    >>> guess_layout((83, 86, 204)), guess_layout((198, 100, 100))
    ('hwc', 'chw')
    """
    first, middle, last = shape
    pairs = {"hwc": (first, middle), "chw": (middle, last), "hcw": (first, last)}
    skewness = {name: abs(math.log(a / b)) for name, (a, b) in pairs.items()}
    best = min(skewness, key=skewness.__getitem__)
    margin = sorted(skewness.values())[1] - skewness[best]
    is_credible = {
        "hwc": True,
        "chw": first < last or middle == last,
        "hcw": False,
    }[best]
    least_margin = SQUARENESS_MARGIN * (1 if skewness[best] else 2 / 3)
    if is_credible and margin > least_margin and best.index("c") in allowed_band_axes:
        return best
    raise ValueError(unclear_layout_message(shape, source_name))


def unclear_layout_message(shape: Sequence[int], source_name: str, evidence: str = "") -> str:
    """What is asked of a user where the axes are not clear.

    Args:
        shape: lengths of the three axes.
        source_name: file and key.
        evidence: what speaks against the lengths, or nothing.
    """
    choices = [
        f"--layout {layout} ({shape[layout.index('h')]} x {shape[layout.index('w')]} pixels, "
        f"{shape[layout.index('c')]} bands)"
        for layout in ("hwc", "chw", "hcw")
    ]
    return (
        f"{source_name} has shape {tuple(shape)}, which does not tell which axis holds the bands"
        f"{evidence}; say so with {', '.join(choices[:2])} or {choices[2]}"
    )


def image_axes(layout: str) -> tuple[int, int, int]:
    """Axes of the stored array that hold rows, columns and bands.

    >>> image_axes("chw")
    (1, 2, 0)
    """
    return layout.index("h"), layout.index("w"), layout.index("c")


def low_rank_residuals(values: np.ndarray, rank: int = 4) -> tuple[float, float, float]:
    """Share of an array that a few patterns along each axis do not explain.

    Spectra of a scene are mixtures of a few materials, rows and columns of an image are not: the
    axis of the bands has the smallest residual.

    Args:
        values: block of three axes, finite.
        rank: number of patterns.

    Returns:
        For each axis, the sum of squares beyond the first `rank` singular values over that of all,
        times n / (n - rank) for an axis of n, so that plain noise gives 1 for each; NaN for an
        axis that is too short to tell.
    """
    residuals = []
    for axis in range(3):
        unfolded = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        if len(unfolded) <= 2 * rank:
            residuals.append(math.nan)
            continue
        energies = np.linalg.eigvalsh(unfolded @ unfolded.T)[::-1].clip(0)
        share = energies[rank:].sum() / max(energies.sum(), np.finfo(float).tiny)
        residuals.append(float(share * len(unfolded) / (len(unfolded) - rank)))
    return residuals[0], residuals[1], residuals[2]


def sample_block(shape: Sequence[int], side: int = 48) -> tuple[slice, slice, slice]:
    """The middle of an array, up to `side` long on each axis."""
    starts = [max(0, (length - side) // 2) for length in shape]
    first, middle, last = (slice(s, min(s + side, n)) for s, n in zip(starts, shape, strict=True))
    return first, middle, last
