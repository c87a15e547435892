"""How noise departs from white, told from what linear mixing leaves of the spectra.

Before they are unmixed, mixing is the left singular vectors that stand above the noise. They are
found in the frame where the noise is white as far as is known, with the smooth curves of drift and
offset projected out, so that these are never taken for components; what is left gives the noise
anew. Afterwards the codes say the same with less freedom to fit noise.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import toeplitz

from jaxhsi.gmcr.component_pool import free_price
from jaxhsi.gmcr.initialisation import survey
from jaxhsi.gmcr.noise_covariance import (
    Frame,
    Noise,
    autocovariance,
    channel_deviations,
    correlation,
    drift,
    frame,
    legendre,
    white_noise,
)
from jaxhsi.gmcr.noise_model import noise_scale

_PASSES, _ROUNDS = 12, 6
_STILL = 0.02  # relative change of what was found that is none
_FEW = 8  # degrees of freedom that tell nothing
_LEVEL = 0.01, 20.0  # below, noise is that of float32; above, components are left in it
_MATTERS = 0.5  # share of a component's price that a departure must gain: else it does no harm
_OUTLYING, _STAYS = 7.0, 5.0  # noise deviations of a spike, and of one that was found before
_NORMAL = 1.4826  # deviation of normal values by the median of their sizes
_LINE = 0.05  # share of spectra with the same channel far out that is no chance but a line
_NARROW = 0.05  # sum of v^4 above which a singular vector is made of spikes
_FLAT = 15.0  # the same of a singular vector of spectra, whatever the bands: at most so much / c
_FEW_SPECTRA = 5.0  # sum of u^4 of a left one, times its length: 1 where all take part alike
_SEEN = 0.02  # share of a constant that components must leave unexplained for an offset to be seen
_LEAKY = 0.25  # by which the leak of singular vectors into the curves is in doubt; .24 was seen
_BIASED = 0.5  # share of the curves' leak that may be the same in all spectra
_DISTINCT = 5.0  # standard errors of an offset's polynomials

_survey = jax.jit(survey)


class Residual(NamedTuple):
    """What mixing leaves, in units of the noise deviation of each spectrum.

    Attributes:
        data: residual of the spectra, offset included.
        constant: residual of what a unit offset adds to the spectra.
        scale: noise deviation of each spectrum.
        leverage: of each spectrum in the fit.
        freedom: degrees of freedom of a channel.
        rows: of any number; their squares and products, weighted, are the covariance of the noise
            without drift.
        weights: of the rows.
        seen: share of the channels' dimensions that the covariance was measured in.
        level: variance of the noise in the frame where it is white, about 1.
        leak: rows; the squared size of their products with a smooth curve is the variance that
            errors of the mixing leave in its amounts.
    """

    data: Float[np.ndarray, "n c"]
    constant: Float[np.ndarray, " n"]
    scale: Float[np.ndarray, " n"]
    leverage: Float[np.ndarray, " n"]
    freedom: float
    rows: Float[np.ndarray, "m c"]
    weights: Float[np.ndarray, " m"]
    seen: float
    level: float
    leak: Float[np.ndarray, "r c"]


def departures(x: Float[np.ndarray, "n c"]) -> tuple[Noise, Float[np.ndarray, "n c"]]:
    """Noise beside its level, and the spectra with spikes replaced by what mixing predicts.

    White noise is told in one pass and the spectra come back as they are.

    Args:
        x: spectra, in any units.
    """
    x = np.asarray(x, np.float64)
    noise, filled, before = white_noise(x.shape[1]), x, None
    for _ in range(_PASSES):
        residual, noise, filled = _despiked(x, filled, noise)
        noise = noise_left(residual, _LEAKY)._replace(spikes=noise.spikes)
        summary = _summary(noise, residual)
        if noise.white or (before is not None and _same(summary, before)):
            break
        before = summary
    return noise, filled


def noise_left(residual: Residual, doubt: float = 0.0) -> Noise:
    """Offset, channels, correlation and drift of what mixing leaves, white where it is too little.

    A departure counts where it gains half of what a component must: less can do no harm.

    Args:
        residual: of the spectra.
        doubt: share by which the leak may be more than it is said to be.
    """
    bands = residual.data.shape[1]
    if (
        residual.freedom < _FEW
        or bands * residual.seen < _FEW
        or not _LEVEL[0] < residual.level < _LEVEL[1]
    ):
        return white_noise(bands)
    least, freedom, basis = _least(residual.data), residual.freedom, legendre(bands)
    leaked = residual.level * np.sum((residual.leak @ basis.T) ** 2, axis=0)
    offset, left = _offset(residual, basis, least, leaked)
    sharper = freedom * residual.seen
    variance = residual.weights @ residual.rows**2
    variance = np.maximum(variance, 0.1 * np.median(np.abs(variance)))
    channels = channel_deviations(variance, sharper)
    size = np.sqrt(np.mean(variance / channels**2))
    process = correlation(residual.rows / (channels * size), residual.weights, sharper)
    amounts, shown = left @ basis.T / size, basis * channels
    expected = np.sum(shown @ toeplitz(autocovariance(process, bands)) * shown, axis=1)
    leaked = leaked / size**2
    sizes = drift(amounts, freedom, expected + leaked, doubt * leaked)
    sizes = sizes if freedom * np.sum(sizes**2) > least else np.zeros_like(sizes)
    return Noise(channels, process, sizes, offset)


def left_by_codes(
    x: Float[np.ndarray, "n c"],
    noise: Noise,
    codes: Float[np.ndarray, "n k"],
    components: Float[np.ndarray, "k c"],
    scale: Float[np.ndarray, " n"],
) -> Residual:
    """What mixing with these codes leaves, whatever the components.

    An error of a code, 1 / (sharp part of its component), leaks into the smooth curves.

    Args:
        x: spectra, offset included, spikes replaced.
        noise: as it is known; codes were found in its frame.
        codes: in the units of the data.
        components: likewise.
        scale: noise deviation of each spectrum.
    """
    known, smooth = _frame_and_smooth(noise, x.shape[1])
    left = np.linalg.qr(codes / scale[:, None])[0]
    data, constant = x / scale[:, None], 1 / scale
    data, constant = data - left @ (left.T @ data), constant - left @ (left.T @ constant)
    seen = (data - np.outer(constant, noise.offset)) @ known.whiten
    seen = seen - (seen @ smooth.T) @ smooth
    freedom = float(max(len(x) - codes.shape[1] - 1, 1))
    own = components @ known.whiten
    own = np.linalg.norm(own - (own @ smooth.T) @ smooth, axis=1)
    leak = np.sqrt(np.mean(codes != 0, axis=0))[:, None] * components
    leverage, leak = np.sum(left**2, axis=1), leak / np.maximum(own, 1e-9)[:, None]
    measured = _covariance(seen, freedom, smooth[:0], smooth, noise, known)
    return Residual(data, constant, scale, leverage, freedom, *measured, leak)


def _despiked(
    x: np.ndarray, filled: np.ndarray, noise: Noise
) -> tuple[Residual, Noise, np.ndarray]:
    """Residual, noise with its spikes, and filled spectra when no more spikes come to light.

    The smaller ones are seen only when the larger are gone, and so is the noise.
    """
    for _ in range(_ROUNDS):
        residual = _row_space(filled, noise)
        spikes, filled = _without_spikes(x, filled, noise.spikes, residual)
        before = 0 if noise.spikes is None else noise.spikes.sum()
        noise = noise._replace(spikes=spikes)
        if spikes is None or spikes.sum() == before:
            break
    return residual, noise, filled


def _row_space(x: np.ndarray, noise: Noise) -> Residual:
    """What the singular vectors leave that stand above the noise as it is known."""
    rows, bands = x.shape
    known, smooth = _frame_and_smooth(noise, bands)
    seen = (x - noise.offset) @ known.whiten
    seen = seen - (seen @ smooth.T) @ smooth
    found = _survey(jnp.asarray(seen, jnp.float32))
    mean_square = jnp.asarray(np.mean(seen**2, axis=1), jnp.float32)
    scale = np.asarray(noise_scale(found.law, mean_square), np.float64)
    rank = min(int(found.rank), rows // 2, 3 * bands // 4)
    seen, right = seen / scale[:, None], np.asarray(found.basis[:rank], np.float64)
    scores = seen @ right.T
    kept = ~_narrow(scores, right)
    right = right[kept]
    left, mixed = np.linalg.qr(scores[:, kept])
    data, constant = x / scale[:, None], 1 / scale
    fitted = left.T @ data
    seen = seen - left @ (left.T @ seen)
    freedom = float(max(rows - len(right) - 1, 1))
    measured = _covariance(seen, freedom, right, smooth, noise, known)
    leak = np.linalg.solve(mixed, fitted)  # noise of spectra, by weights that predict a curve
    constant = constant - left @ (left.T @ constant)
    leverage = np.sum(left**2, axis=1)
    return Residual(data - left @ fitted, constant, scale, leverage, freedom, *measured, leak)


def _narrow(scores: Float[np.ndarray, "n r"], right: Float[np.ndarray, "r c"]) -> np.ndarray:
    """Singular vectors made of spikes, in few spectra, or of noisy channels, weak.

    Strong ones of many spectra are signal, though they may stand on few channels where the others
    are noisy.

    Args:
        scores: of the spectra, in noise deviations.
        right: the vectors.
    """
    rows, bands = len(scores), right.shape[1]
    narrow = np.sum(right**4, axis=1) > max(_NARROW, _FLAT / bands)
    power = np.sum(scores**2, axis=0)
    few = np.sum(scores**4, axis=0) * rows > _FEW_SPECTRA * power**2
    return narrow & (few | (power < rows * bands))  # weaker than all the noise of a spectrum


def _covariance(
    seen: Float[np.ndarray, "n c"],
    freedom: float,
    taken: Float[np.ndarray, "r c"],
    smooth: Float[np.ndarray, "k c"],
    noise: Noise,
    known: Frame,
) -> tuple[Float[np.ndarray, "m c"], Float[np.ndarray, " m"], float, float]:
    """Rows, weights, share and level of `Residual`, from a residual in the frame of white noise.

    In the orthonormal rows that it lacks, taken and smooth, the noise is as it was known: a step of
    expectation maximisation, N = M + (1 - share) K, made longer to (N - (1 - share) K) / share.
    """
    bands = seen.shape[1]
    shadow = smooth @ (legendre(bands) @ known.whiten).T * noise.drift
    values, vectors = np.linalg.eigh(np.eye(len(smooth)) - shadow @ shadow.T)
    calm = (vectors * np.sqrt(np.maximum(values, 0))).T @ smooth
    lacking = np.concatenate([taken, calm]) @ known.colour
    steady = frame(noise._replace(drift=np.zeros_like(noise.drift)), bands)
    before = np.eye(bands) if steady is None else steady.colour
    share = 1 - (len(taken) + len(smooth)) / bands
    level = float(np.sum(seen**2) / freedom / (bands * share))
    parts = (1 / freedom, seen @ known.colour), (level, lacking), (level * (share - 1), before)
    weights = np.concatenate([np.full(len(rows), weight / share) for weight, rows in parts])
    return np.concatenate([rows for _, rows in parts]), weights, share, level


def _frame_and_smooth(noise: Noise, bands: int) -> tuple[Frame, Float[np.ndarray, "k c"]]:
    """The frame of white noise, and smooth curves in it as orthonormal rows."""
    known, basis = frame(noise, bands), legendre(bands)
    if known is None:
        return Frame(np.eye(bands), np.eye(bands)), basis
    return known, np.linalg.qr((basis @ known.whiten).T)[0].T


def _without_spikes(
    x: np.ndarray,
    filled: np.ndarray,
    known: Bool[np.ndarray, "n c"] | None,
    residual: Residual,
) -> tuple[Bool[np.ndarray, "n c"] | None, np.ndarray]:
    """Entries far outside the noise, if together they matter, and the spectra without them.

    Channels where many spectra are far out are lines, which mixing should explain. An entry's
    residual is 1 - leverage of what is wrong with it. One that was found before stays
    if it is a little less far out.
    """
    basis = legendre(x.shape[1])
    rest = residual.data - (residual.data @ basis.T) @ basis
    size = np.abs(rest) if known is None else np.abs(rest[~known])
    spread = np.median(np.abs(rest), axis=0)
    deviation = np.maximum(_NORMAL * np.maximum(np.median(size), spread), 1e-12)
    room = np.maximum(1 - residual.leverage, 0.05)[:, None]
    scale = residual.scale[:, None]
    predicted = filled - rest * scale / room
    score = np.abs(x - predicted) / (scale * deviation) * np.sqrt(room)
    found = score > (_OUTLYING if known is None else np.where(known, _STAYS, _OUTLYING))
    found &= found.sum(axis=0) <= _LINE * len(x) + 2
    if np.sum(score[found] ** 2) < _least(x):
        return None, x
    return found, np.where(found, predicted, x)


def _offset(
    residual: Residual, basis: np.ndarray, least: float, leaked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The offset, polynomials 0..3, where its gain matters; and the residual without it."""
    none = np.zeros(residual.data.shape[1]), residual.data
    constant, data, freedom = residual.constant, residual.data, residual.freedom
    power = constant @ constant
    if power < _SEEN * np.sum(residual.scale**-2.0):
        return none
    amounts = data @ basis.T
    sizes = constant @ amounts / power
    spread = np.sum((amounts - np.outer(constant, sizes)) ** 2, axis=0) / freedom
    sure = sizes**2 * power > np.maximum(_DISTINCT**2 * spread, _BIASED**2 * freedom * leaked)
    sizes = np.where(sure, sizes, 0.0)
    if np.sum(sizes**2) * power < least * residual.level:
        return none
    return sizes @ basis, data - np.outer(constant, sizes @ basis)


def _summary(noise: Noise, residual: Residual) -> np.ndarray:
    offset, spread = np.sqrt(np.mean(noise.offset**2)), noise.channels.std()
    size, process = np.sqrt(np.sum(noise.drift**2)), noise.correlation
    spikes = 0 if noise.spikes is None else noise.spikes.sum()
    return np.array([residual.freedom, spikes, process.sum(), spread, size, offset])


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(np.abs(a - b) <= _STILL * np.maximum(np.abs(a), np.abs(b))))


def _least(x: np.ndarray) -> float:
    """Squared residual, in noise units, that a departure from white noise must explain."""
    return _MATTERS * float(free_price(jnp.float32(len(x)), x.shape[1]))
