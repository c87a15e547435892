"""Single values and spectra far from all others, which would decide the noise and the rank alone.

A value that nothing else in its spectrum and in its band comes near is no measurement of a mixture:
it takes no part in the fit. A spectrum of another size than all others would set the law by which
noise grows with the signal, from one point; it is weighted as one of their size.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32

MIN_SPECTRA = 10
"""Of fewer spectra none is odd: sizes that differ are all that there is. Set by hand."""
FAR_VALUE_RATIO = 8.0
"""How many times the largest other value of its spectrum and that of its band a value must have to
be left out. Set by hand: cosmic rays below are found beside the noise of the fit, by 7 deviations.
"""
MAX_DOMINANCE = 2.0**16
"""How many times the values of all other spectra a spectrum may hold. Set by hand: its square over
theirs is beyond the 24 bits of float32 from 2**12, and what is left of them in sums is rounding."""
_NEIGHBOUR_BANDS = 2
"""Bands beside a value that may belong to it."""
_MIN_SIZE_RATIO = 4.0
"""Ratio to the typical size below which no spectrum is odd. Set by hand: noise laws differ by no
more than a factor of four in variance there."""
_DOMINANT_SHARE = 0.5
"""Share of the spread of all logarithms of sizes from which one spectrum sets the law alone."""
_MAX_ODD_SHARE = 0.05
"""Share of the spectra that may be odd; more of them are another kind of sample. Set by hand."""
_SIGNAL_DIRECTIONS = 12
"""Right singular vectors of the others that hold the signal at most, see `run_noise`."""


def far_values(spectra: Float[np.ndarray, "n c"]) -> Bool[np.ndarray, "n c"]:
    """Values far above all others of their spectrum and of their band.

    Args:
        spectra: finite, in any units.

    >>> table = np.ones((20, 30))
    >>> table[3, 7] = 10.0
    >>> np.argwhere(far_values(table)).tolist()
    [[3, 7]]
    """
    sizes = np.abs(np.asarray(spectra, np.float64))
    num_spectra, num_bands = sizes.shape
    mask = np.zeros(sizes.shape, bool)
    if num_spectra < MIN_SPECTRA or num_bands <= 2 * (2 * _NEIGHBOUR_BANDS + 1):
        return mask
    for row in np.argsort(-sizes.max(axis=1))[: max(1, int(_MAX_ODD_SHARE * num_spectra))]:
        peak = int(sizes[row].argmax())
        nearby = slice(max(peak - _NEIGHBOUR_BANDS, 0), peak + _NEIGHBOUR_BANDS + 1)
        others = np.delete(sizes[row], np.arange(nearby.start, min(nearby.stop, num_bands)))
        rest = np.delete(np.where(mask, 0, sizes), row, axis=0)[:, nearby].max()
        limit = FAR_VALUE_RATIO * max(others.max(), rest)
        if sizes[row, peak] > limit:
            mask[row, nearby] = sizes[row, nearby] > limit
    return mask


def size_ratios(spectra: Float[np.ndarray, "n c"]) -> Float32[np.ndarray, "n 1"]:
    """What odd spectra are divided by to be of the size of the others: powers of two, else ones.

    A strong spectrum is brought to their size, its noise with it. A weak one is where its noise is
    weak as well; noise that is the same in all spectra says that it is a sample of little content.

    Args:
        spectra: finite, none of them zero, in any units.

    >>> table = np.random.default_rng(0).random((20, 30))
    >>> table[3] *= 1000
    >>> size_ratios(table)[2:4].ravel().tolist()
    [1.0, 1024.0]
    """
    table = np.asarray(spectra, np.float64)
    ratios = np.ones((len(table), 1), np.float32)
    sizes = np.sqrt((table**2).mean(axis=1))
    if len(table) < MIN_SPECTRA or not (sizes > 0).all():
        return ratios
    is_odd, typical = _odd_sizes(sizes), float(np.median(sizes))
    for row in np.flatnonzero(is_odd):
        ratio = sizes[row] / typical
        if ratio < 1:
            # No less than its size: a spectrum of an exact zero of noise is as good as the others.
            ratio = max(
                ratio, _noise_ratio(table[~is_odd] / sizes[~is_odd, None], table[row] / typical)
            )
        if ratio > _MIN_SIZE_RATIO or ratio < 1 / _MIN_SIZE_RATIO:
            ratios[row] = 2.0 ** np.round(np.log2(ratio))
    return ratios


def dominant_value(spectra: Float[np.ndarray, "n c"]) -> tuple[int, int] | None:
    """Row and band of a value beside which the other spectra are lost in rounding, or None.

    Spectra that :func:`size_ratios` brings to the size of the others do not count.

    Args:
        spectra: finite, in any units.

    >>> table = np.ones((5, 30))
    >>> table[3, 7] = 1e30
    >>> dominant_value(table)
    (3, 7)
    """
    sizes = np.abs(np.asarray(spectra, np.float64)) / size_ratios(spectra)
    if len(sizes) < 2:
        return None
    row, band = (int(place) for place in np.unravel_index(sizes.argmax(), sizes.shape))
    rest = np.delete(sizes, row, axis=0).max()
    return (row, band) if sizes[row, band] > MAX_DOMINANCE * rest > 0 else None


def _odd_sizes(sizes: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Spectra whose size alone makes most of the spread of all."""
    distances = np.log(sizes) - np.median(np.log(sizes))
    is_odd = np.zeros(len(sizes), bool)
    for row in np.argsort(-np.abs(distances))[: max(1, int(_MAX_ODD_SHARE * len(sizes)))]:
        spread = np.sum(distances[~is_odd] ** 2)
        is_far = abs(distances[row]) > np.log(_MIN_SIZE_RATIO)
        if not is_far or distances[row] ** 2 < _DOMINANT_SHARE * spread:
            break
        is_odd[row] = True
    return is_odd


def _noise_ratio(others: Float[np.ndarray, "m c"], spectrum: Float[np.ndarray, " c"]) -> float:
    """Noise of a spectrum over that of the others, beyond the directions that these have."""
    count = min(_SIGNAL_DIRECTIONS, min(others.shape) // 3)
    directions = np.linalg.svd(others, full_matrices=False)[2][:count]
    residual = others - (others @ directions.T) @ directions
    own_residual = spectrum - (spectrum @ directions.T) @ directions
    # The directions follow the noise of the spectra that they are of.
    typical = np.sqrt(np.median((residual**2).mean(axis=1)) / (1 - count / len(others)))
    return float(np.sqrt((own_residual**2).mean()) / max(typical, 1e-300))


def describe_odd(
    mask: Bool[np.ndarray, "n c"],
    ratios: Float32[np.ndarray, "n 1"],
    names: tuple[str, ...],
    bands: tuple[str, ...],
) -> list[str]:
    """What a user is told of them, by sample and band.

    Args:
        mask: see :func:`far_values`.
        ratios: see :func:`size_ratios`.
        names: of the spectra.
        bands: of the bands.

    >>> mask = np.zeros((2, 2), bool)
    >>> describe_odd(mask, np.array([[1.0], [1024.0]], np.float32), ("a", "b"), ("1", "2"))[0][:54]
    'spectrum b is about 1,024 times as strong as all other'
    """
    lines = [
        f"the value of spectrum {names[row]} at {bands[band]} is more than {FAR_VALUE_RATIO:g} "
        "times all others of that spectrum and band: it is left out of the fit"
        for row, band in np.argwhere(mask)
    ]
    for row in np.flatnonzero(ratios[:, 0] != 1):
        ratio = float(ratios[row, 0])
        size = f"{ratio:,.0f} times as strong" if ratio > 1 else f"{1 / ratio:,.0f} times as weak"
        lines.append(
            f"spectrum {names[row]} is about {size} as all others, and so is its noise: it is "
            "weighted as one of their size"
        )
    return lines
