"""Negative values in spectra: noise about zero, or signal."""

import numpy as np
from jaxtyping import Float32

MAX_NEGATIVE_SHARE = 0.25
"""Share of the squared values that negative ones may have and still be noise about zero. Set by
hand: derivative and centred spectra have about half."""

_BAND_SHARES = 0.2, 0.75
"""The same share of a band of noise about zero: a half, give or take. Negative lines have more."""
_MAX_NOISY_BANDS = 0.25
"""Share of such bands up to which they are the noisy end of a detector, and the others decide."""


def describe_negative_values(
    spectra: Float32[np.ndarray, "n c"], source_name: str, option_name: str
) -> str | None:
    """What to say of negative values where components and concentrations are to have none.

    Args:
        spectra: the data.
        source_name: for the message.
        option_name: that switches non-negativity off, for the message.

    Returns:
        A note, or None where no value is negative.

    Raises:
        ValueError: negative values hold more than a quarter of the sum of squares, beyond a few
            bands of noise alone: they are signal, as in derivative or centred spectra, and not
            noise about zero.
    """
    negative_values = spectra[spectra < 0].astype(np.float64)
    if not negative_values.size:
        return None
    negative_share = (negative_values**2).sum() / (spectra.astype(np.float64) ** 2).sum()
    description = (
        f"{negative_values.size:,} of {spectra.size:,} values are negative, down to "
        f"{negative_values.min():.4g} ({negative_share:.2%} of the sum of squares)"
    )
    if negative_share > MAX_NEGATIVE_SHARE and _is_signal(spectra):
        raise ValueError(
            f"{source_name}: {description}, but components and concentrations are not to be "
            f"negative; give {option_name} for derivative or centred spectra, or correct the "
            "baseline"
        )
    return f"{description}; they are taken as noise about zero (else give {option_name})"


def _is_signal(spectra: Float32[np.ndarray, "n c"]) -> bool:
    """Whether negative values are more than the noise of a few bands, as at a detector's end."""
    squares = spectra.astype(np.float64) ** 2
    band_powers = squares.sum(axis=0)
    negative_powers = np.where(spectra < 0, squares, 0).sum(axis=0)
    shares = negative_powers / np.maximum(band_powers, 1e-300)
    low, high = _BAND_SHARES
    is_noise = (shares > low) & (shares < high)
    if is_noise.mean() > _MAX_NOISY_BANDS:
        return True
    total = band_powers[~is_noise].sum()
    return bool(negative_powers[~is_noise].sum() > MAX_NEGATIVE_SHARE * total)
