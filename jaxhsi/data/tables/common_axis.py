"""Spectra on axes of their own brought to one axis."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MAX_RANGE_LOSS = 0.1
"""Share of the longest axis that the common range may leave out, and by which spacings may differ
beyond. Set by hand: spectrometers of one kind differ by less than 1 %."""

MAX_SPACING_RATIO = 2.0


class Spectrum(NamedTuple):
    """One spectrum on an axis of its own.

    Attributes:
        name: of the sample.
        axis: of any order.
        values: as long.
        axis_name: its name and unit.
    """

    name: str
    axis: np.ndarray
    values: np.ndarray
    axis_name: str = ""


class CommonSpectra(NamedTuple):
    """Spectra on one axis, and what was done to bring them there."""

    values: np.ndarray
    axis: np.ndarray
    notes: tuple[str, ...]


def to_common_axis(spectra: Sequence[Spectrum], source_name: str) -> CommonSpectra:
    """Stack spectra, interpolated linearly where their axes differ a little.

    The axis is that of the first spectrum, within the range that all have.

    Raises:
        ValueError: ranges or spacings that differ too much; both are named.
    """
    first = spectra[0]
    if all(_equal_axes(first.axis, other.axis) for other in spectra):
        values = np.stack([spectrum.values for spectrum in spectra])
        return CommonSpectra(values, first.axis, ())
    spectra = [_sorted_spectrum(spectrum) for spectrum in spectra]
    low = max(spectrum.axis[0] for spectrum in spectra)
    high = min(spectrum.axis[-1] for spectrum in spectra)
    _check_similar(spectra, low, high, source_name)
    reference = _sorted_spectrum(first).axis
    slack = 1e-6 * np.abs(reference).max()
    axis = reference[(reference >= low - slack) & (reference <= high + slack)]
    values = np.stack([np.interp(axis, spectrum.axis, spectrum.values) for spectrum in spectra])
    num_changed = sum(not _equal_axes(reference, spectrum.axis) for spectrum in spectra)
    note = (
        f"{num_changed} of {len(spectra)} spectra have another axis than the first and were "
        f"interpolated to its {len(axis)} points from {axis[0]:g} to {axis[-1]:g}"
    )
    if first.axis[0] > first.axis[-1]:
        axis, values = axis[::-1], values[:, ::-1]
    return CommonSpectra(values, axis, (note,))


def _equal_axes(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal to the digits of float32, in which some instruments keep their axes."""
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-6, atol=0)


def _sorted_spectrum(spectrum: Spectrum) -> Spectrum:
    order = np.argsort(spectrum.axis, kind="stable")
    return spectrum._replace(axis=spectrum.axis[order], values=spectrum.values[order])


def _check_similar(spectra: Sequence[Spectrum], low: float, high: float, source_name: str) -> None:
    ranges = np.array([spectrum.axis[-1] - spectrum.axis[0] for spectrum in spectra])
    spacings = np.array([np.median(np.diff(spectrum.axis)) for spectrum in spectra])
    widest, narrowest = int(ranges.argmax()), int(ranges.argmin())
    coarsest, finest = int(spacings.argmax()), int(spacings.argmin())
    if high - low >= (1 - MAX_RANGE_LOSS) * ranges.max():
        if spacings.max() <= MAX_SPACING_RATIO * spacings.min():
            return
        pair = (spectra[finest], spectra[coarsest])
    else:
        lowest = int(np.argmin([spectrum.axis[-1] for spectrum in spectra]))
        highest = int(np.argmax([spectrum.axis[0] for spectrum in spectra]))
        apart = (lowest, highest) if lowest != highest else (widest, narrowest)
        pair = (spectra[apart[0]], spectra[apart[1]])
    described = " and ".join(
        f"{spectrum.name} has {len(spectrum.axis)} points from {spectrum.axis[0]:g} to "
        f"{spectrum.axis[-1]:g}"
        for spectrum in pair
    )
    raise ValueError(
        f"{source_name}: spectra lie on axes that differ too much to compare: {described}; export "
        "them on the same axis, or leave some out"
    )
