"""Mixed spectra with known truth: the generator of the EB-gMCR paper, and harder ones beside it.

Rows are spectra. A sample mixes a few components, then gets a baseline, an offset and noise. Every
stage is a function of its own; `mixtures` chains them as `MixtureOptions` says, and with its
defaults does what upstream's ``RandomComponentMixtureSynthesizer`` (ebgmcr/data.py) does.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxhsi.gmcr.mixing import absorbance_with_stray_light, bilinear_mixing, generalised_bilinear

MIN_DENSE_VALUE = 1e-6  # least value of dense non-negative data, as upstream clamps it


class Mixtures(NamedTuple):
    """Spectra and all that they were made of.

    Attributes:
        data: as measured.
        clean: without noise, baseline and offset.
        concentrations: of every component in every sample, 0 where it is absent.
        components: pure spectra.
    """

    data: Float[Array, "n c"]
    clean: Float[Array, "n c"]
    concentrations: Float[Array, "n k"]
    components: Float[Array, "k c"]


@dataclass(frozen=True)
class MixtureOptions:
    """How mixtures are made; the defaults are the paper's set of 16 components at 20 dB.

    Attributes:
        num_components: pure spectra.
        bands: channels of a spectrum.
        sparsity: share of zeros in the random pure spectra, 0 to below 1.
        orthogonal: random pure spectra are drawn orthogonal, before non_negative is applied.
        non_negative: absolute values of the pure spectra; data are clamped at 1e-6, or at 0 where
            they are sparse.
        norm: p of the p-norm that pure spectra are scaled to 1 by, or null for none.
        min_mixed: fewest components of a sample.
        max_mixed: most components of a sample; null for all.
        min_concentration: least concentration of a component that is present.
        max_concentration: largest concentration.
        snr_db: mean square of a sample over the variance of its noise, in dB; null for no noise.
        spectra: random channels as in the paper, or sums of overlapping peaks.
        peaks: peaks of a pure spectrum, where spectra are peaks.
        twin_cosine: makes pure spectra 0 and 1, 2 and 3, ... near-duplicates of this cosine.
        rare: number of components, the last ones, that are present in few samples only, there in
            addition to the min_mixed to max_mixed others.
        rare_samples: number of samples that a rare component is present in.
        mixing: linear; detector_saturation; bilinear with products of pairs;
            generalised_bilinear, where each pair of each sample has a strength of its own;
            polynomial with squares; stray_light, as absorbance is read with it.
        strength: of the mixing that is not linear; see `mix_components`.
        correlation: of the noise of neighbouring channels (AR(1)), 0 to below 1.
        channel_spread: standard deviation of the logarithm of the channels' noise deviations.
        drift: size of a smooth baseline of each sample, relative to the sample's root mean square.
        offset: constant added to all data, relative to their root mean square.
        spikes: share of all values that a cosmic ray hits, which adds 1 to 6 times the root mean
            square of the sample.
    """

    num_components: int = 16
    bands: int = 512
    sparsity: float = 0.0
    orthogonal: bool = True
    non_negative: bool = True
    norm: int | None = 2
    min_mixed: int = 1
    max_mixed: int | None = 4
    min_concentration: float = 1.0
    max_concentration: float = 10.0
    snr_db: float | None = 20.0
    spectra: Literal["random", "gaussian", "lorentzian"] = "random"
    peaks: int = 4
    twin_cosine: float | None = None
    rare: int = 0
    rare_samples: int = 2
    mixing: Literal[
        "linear",
        "detector_saturation",
        "bilinear",
        "generalised_bilinear",
        "polynomial",
        "stray_light",
    ] = "linear"
    strength: float = 0.1
    correlation: float = 0.0
    channel_spread: float = 0.0
    drift: float = 0.0
    offset: float = 0.0
    spikes: float = 0.0

    def __post_init__(self):
        """Refuse what cannot be made."""
        for name in ("num_components", "bands", "min_mixed", "peaks", "rare_samples"):
            _check_range(name, getattr(self, name), 1, None)
        _check_range("norm", 1 if self.norm is None else self.norm, 1, None)
        _check_range("rare", self.rare, 0, self.num_components - 1)
        common = self.num_components - self.rare
        most = common if self.max_mixed is None else self.max_mixed
        _check_range("max_mixed", most, self.min_mixed, common)
        _check_range("min_concentration", self.min_concentration, 1e-30, None)
        _check_range("max_concentration", self.max_concentration, self.min_concentration, None)
        _check_range("sparsity", self.sparsity, 0, 1 - 1 / self.bands)
        _check_range("correlation", self.correlation, 0, 0.9999)
        for name in ("channel_spread", "drift", "offset"):
            _check_range(name, getattr(self, name), 0, None)
        _check_range("spikes", self.spikes, 0, 1)
        _check_range("strength", self.strength, 1e-6, None)
        _check_range("snr_db", 0 if self.snr_db is None else self.snr_db, 0, None)
        _check_range("twin_cosine", 0 if self.twin_cosine is None else self.twin_cosine, 0, 1)


def _check_range(
    name: str, value: int | float, min_value: int | float, max_value: int | float | None
) -> None:
    if not min_value <= value or (max_value is not None and value > max_value):
        upper_text = "or more" if max_value is None else f"to {max_value:g}"
        raise ValueError(f"{name}={value} is out of range; give {min_value:g} {upper_text}")


def mixtures(
    key: Key[Array, ""],
    num_samples: int,
    options: MixtureOptions = MixtureOptions(),
    components: Float[Array, "k c"] | Float[np.ndarray, "k c"] | None = None,
) -> Mixtures:
    """Draw n mixed spectra.

    Args:
        key: of all draws.
        num_samples: number of spectra.
        options: see `MixtureOptions`.
        components: pure spectra to mix instead of drawn ones; the options about pure spectra then
            say nothing, and data are clamped if all given values are >= 0.

    Returns:
        Data, noise-free data, concentrations and components.

    Raises:
        ValueError: n is too small, or max_mixed too large for the components given.
    """
    _check_range("n", num_samples, options.rare_samples if options.rare else 1, None)
    if components is None:
        return _draw_mixtures(key, num_samples, options, options.non_negative)
    components = np.asarray(components, np.float32)
    _check_range("max_mixed", options.max_mixed or 1, 1, len(components) - options.rare)
    return _draw_mixtures(
        key, num_samples, options, bool((components >= 0).all()), jnp.asarray(components)
    )


@partial(jax.jit, static_argnames=("num_samples", "options", "non_negative"))
def _draw_mixtures(
    key: Key[Array, ""],
    num_samples: int,
    options: MixtureOptions,
    non_negative: bool,
    components: Float[Array, "k c"] | None = None,
) -> Mixtures:
    components_key, concentrations_key, measurement_key = jax.random.split(key, 3)
    spectra = pure_spectra(components_key, options) if components is None else components
    concentrations = draw_concentrations(concentrations_key, num_samples, len(spectra), options)
    clean = mix_components(
        jax.random.fold_in(concentrations_key, 1), concentrations, spectra, options
    )
    data = add_measurement_errors(measurement_key, clean, options)
    if non_negative:
        data = jnp.maximum(data, jnp.where((spectra == 0).any(), 0.0, MIN_DENSE_VALUE))
    return Mixtures(data, clean, concentrations, spectra)


# Pure spectra -------------------------------------------------------------------------------------


def pure_spectra(key: Key[Array, ""], options: MixtureOptions) -> Float[Array, "k c"]:
    """Pure spectra as the options say."""
    shape = (options.num_components, options.bands)
    spectra_key, mask_key = jax.random.split(key)
    if options.spectra != "random":
        spectra = peak_spectra(spectra_key, shape, options.peaks, options.spectra)
    elif options.orthogonal:
        spectra = jax.nn.initializers.orthogonal()(spectra_key, shape, jnp.float32)
    else:
        spectra = jax.random.normal(spectra_key, shape)
    spectra = jnp.abs(spectra) if options.non_negative else spectra
    if options.sparsity > 0:
        spectra = spectra * random_sparse_mask(mask_key, shape, options.sparsity)
    if options.twin_cosine is not None:
        spectra = make_near_duplicates(spectra, options.twin_cosine)
    if options.norm is None:
        return spectra
    return spectra / jnp.linalg.norm(spectra, options.norm, axis=1, keepdims=True)


def peak_spectra(
    key: Key[Array, ""],
    shape: tuple[int, int],
    num_peaks: int = 4,
    peak_shape: Literal["gaussian", "lorentzian"] = "gaussian",
) -> Float[Array, "k c"]:
    """Sums of peaks at random places of the axis 0..1, so that the spectra overlap.

    A peak is h exp(-d^2 / 2) or h / (1 + d^2), d = (axis - centre) / width, with heights h in
    0.2..1 and widths in 0.01..0.06, uniform in their logarithm.
    """
    peak_centres, peak_widths, peak_heights = jax.random.uniform(key, (3, shape[0], num_peaks, 1))
    axis = jnp.linspace(0, 1, shape[1])
    distance = (axis - peak_centres) / (0.01 * 6**peak_widths)
    curve = jnp.exp(-(distance**2) / 2) if peak_shape == "gaussian" else 1 / (1 + distance**2)
    return ((0.2 + 0.8 * peak_heights) * curve).sum(1)


def random_sparse_mask(
    key: Key[Array, ""], shape: tuple[int, int], sparsity: float
) -> Float[Array, "k c"]:
    """int(sparsity k c) zeros at random places among ones; a row left empty gets one 1 back."""
    zeros_key, spare_key = jax.random.split(key)
    num_zeros = int(sparsity * shape[0] * shape[1])
    mask = (jax.random.permutation(zeros_key, shape[0] * shape[1]) >= num_zeros).reshape(shape)
    spare_one = jax.random.randint(spare_key, (shape[0], 1), 0, shape[1]) == jnp.arange(shape[1])
    return jnp.where(mask.any(1, keepdims=True), mask, spare_one).astype(jnp.float32)


def make_near_duplicates(spectra: Float[Array, "k c"], cosine: float) -> Float[Array, "k c"]:
    """Turn every second spectrum towards the one before it, until their cosine is as given.

    A pair that is closer already stays, so that spectra >= 0 remain so. Rows come out with their
    norms unchanged.
    """
    norms = jnp.linalg.norm(spectra, axis=1, keepdims=True)
    unit_spectra = spectra / norms
    last = len(spectra) // 2 * 2
    first, second = unit_spectra[0:last:2], unit_spectra[1:last:2]
    overlap = (first * second).sum(1, keepdims=True)
    orthogonal_part = second - overlap * first
    orthogonal_part /= jnp.maximum(jnp.linalg.norm(orthogonal_part, axis=1, keepdims=True), 1e-12)
    turned_spectra = cosine * first + jnp.sqrt(1 - cosine**2) * orthogonal_part
    second_spectra = jnp.where(overlap < cosine, turned_spectra, second)
    return unit_spectra.at[1:last:2].set(second_spectra) * norms


# How much of each is in a sample ------------------------------------------------------------------


def draw_concentrations(
    key: Key[Array, ""], num_samples: int, num_components: int, options: MixtureOptions
) -> Float[Array, "n k"]:
    """U(min, max) for min_mixed to max_mixed components of a sample (uniform), 0 for the others.

    Rare components come on top: each in `rare_samples` samples, drawn without replacement.
    """
    count_key, presence_key, amount_key, rare_key = jax.random.split(key, 4)
    num_common = num_components - options.rare
    present_counts = jax.random.randint(
        count_key, (num_samples, 1), options.min_mixed, (options.max_mixed or num_common) + 1
    )
    is_present = (
        _rank_in_rows(jax.random.uniform(presence_key, (num_samples, num_common))) < present_counts
    )
    rare_ranks = _rank_in_rows(jax.random.uniform(rare_key, (options.rare, num_samples))).T
    is_rare_present = rare_ranks < options.rare_samples
    low, high = options.min_concentration, options.max_concentration
    drawn_concentrations = jax.random.uniform(
        amount_key, (num_samples, num_components), minval=low, maxval=high
    )
    return jnp.where(jnp.concatenate([is_present, is_rare_present], 1), drawn_concentrations, 0.0)


def _rank_in_rows(values: Float[Array, "a b"]) -> Int[Array, "a b"]:
    """Place of each value in its row, in rising order."""
    return values.argsort(1).argsort(1)


# Mixing -------------------------------------------------------------------------------------------


def mix_components(
    key: Key[Array, ""],
    concentrations: Float[Array, "n k"],
    components: Float[Array, "k c"],
    options: MixtureOptions,
) -> Float[Array, "n c"]:
    """Noise-free spectra of these concentrations, by the mixing that the options name.

    With x the linear mixture, m the RMS of all x and b the strength: `detector_saturation` and
    `bilinear` say their own; polynomial is x + b / m x^2; generalised_bilinear is `bilinear` with
    strengths U(0, 2 b) drawn for each sample and pair; stray_light is
    m times `gmcr.mixing.absorbance_with_stray_light` of a share b of x / m, an absorbance of RMS 1.
    """
    linear_spectra = concentrations @ components
    signal_rms = root_mean_square(linear_spectra)
    if options.mixing == "detector_saturation":
        return detector_saturation(linear_spectra, options.strength)
    if options.mixing == "bilinear":
        return bilinear(concentrations, components, options.strength)
    if options.mixing == "generalised_bilinear":
        shape = (*concentrations.shape, len(components))
        pair_strengths = jax.random.uniform(key, shape, maxval=2 * options.strength) / signal_rms
        return generalised_bilinear().mix(pair_strengths, concentrations, components)
    if options.mixing == "polynomial":
        return linear_spectra + options.strength / signal_rms * linear_spectra**2
    if options.mixing == "stray_light":
        return signal_rms * absorbance_with_stray_light(
            options.strength, linear_spectra / signal_rms
        )
    return linear_spectra


def detector_saturation(spectra: Float[Array, "n c"], strength: float) -> Float[Array, "n c"]:
    """Detector that levels off: m (1 - exp(-strength x / m)) / strength, m the RMS of all x.

    Linear for a small strength; at strength 1 a channel of the size m is 37 % too low.
    """
    scale = root_mean_square(spectra)
    return -scale * jnp.expm1(-strength * spectra / scale) / strength


def bilinear(
    concentrations: Float[Array, "n k"], components: Float[Array, "k c"], strength: float
) -> Float[Array, "n c"]:
    """Pairs interact: x + strength / m * sum_{i<j} (a_i s_i) (a_j s_j), m the RMS of all x.

    Here x = sum a_i s_i is linear; the products of pairs are those of Fan et al. 2009 (Int.
    J. Remote Sensing 30, 2951), here by 2 sum_{i<j} u_i u_j = (sum u)^2 - sum u^2.
    """
    signal_rms = root_mean_square(concentrations @ components)
    return bilinear_mixing(strength / signal_rms, concentrations, components)


def root_mean_square(spectra: Float[Array, "n c"]) -> Float[Array, ""]:
    """Over all channels of all spectra, at least 1e-30."""
    return jnp.maximum(jnp.sqrt((spectra**2).mean()), 1e-30)


# What measuring adds ------------------------------------------------------------------------------


def add_measurement_errors(
    key: Key[Array, ""], clean: Float[Array, "n c"], options: MixtureOptions
) -> Float[Array, "n c"]:
    """Noise-free spectra with noise, baseline, spikes and offset."""
    noise_key, channels_key, drift_key = jax.random.split(key, 3)
    noisy_spectra = clean
    if options.snr_db is not None:
        channel_shape = channel_deviations(channels_key, clean.shape[1], options.channel_spread)
        noise_key = ar1(jax.random.normal(noise_key, clean.shape), options.correlation)
        noisy_spectra = noisy_spectra + noise_key * channel_shape * noise_deviation(
            clean, options.snr_db
        ) * (clean != 0)
    if options.drift > 0:
        drift_size = options.drift * jnp.sqrt((clean**2).mean(1, keepdims=True))
        noisy_spectra = noisy_spectra + drift_size * baselines(drift_key, *clean.shape)
    if options.spikes > 0:
        spike_values = cosmic_rays(jax.random.fold_in(key, 3), *clean.shape, options.spikes)
        noisy_spectra = noisy_spectra + spike_values * jnp.sqrt((clean**2).mean(1, keepdims=True))
    return (
        noisy_spectra + options.offset * root_mean_square(clean)
        if options.offset > 0
        else noisy_spectra
    )


def cosmic_rays(key: Key[Array, ""], n: int, bands: int, share: float) -> Float[Array, "n c"]:
    """U(1, 6) at places drawn with probability ``share``, 0 elsewhere."""
    hit_draws, spike_sizes = jax.random.uniform(key, (2, n, bands))
    return jnp.where(hit_draws < share, 1 + 5 * spike_sizes, 0.0)


def noise_deviation(clean: Float[Array, "n c"], snr_db: float) -> Float[Array, "n 1"]:
    """Of each sample: its mean square over non-zero channels, 10^(snr_db / 10) times lower."""
    mean_square = (clean**2).sum(1) / jnp.maximum((clean != 0).sum(1), 1)
    return jnp.sqrt(mean_square / 10 ** (snr_db / 10))[:, None]


def ar1(white: Float[Array, "n c"], correlation: float) -> Float[Array, "n c"]:
    """e_t = correlation e_(t-1) + sqrt(1 - correlation^2) w_t along the channels; variance 1."""
    if correlation == 0:
        return white

    def step(before: Float[Array, " n"], fresh: Float[Array, " n"]):
        now = correlation * before + (1 - correlation**2) ** 0.5 * fresh
        return now, now

    _, later = jax.lax.scan(step, white[:, 0], white[:, 1:].T)
    return jnp.concatenate([white[:, :1], later.T], axis=1)


def channel_deviations(key: Key[Array, ""], bands: int, spread: float) -> Float[Array, " c"]:
    """exp(spread times a normal draw) for each channel, scaled to a mean square of 1."""
    deviations = jnp.exp(spread * jax.random.normal(key, (bands,)))
    return deviations / jnp.sqrt((deviations**2).mean())


def baselines(key: Key[Array, ""], n: int, bands: int) -> Float[Array, "n c"]:
    """Smooth curves of root mean square 1: Legendre polynomials 0..3 with normal coefficients."""
    polynomial_basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, bands), 3)
    curves = jax.random.normal(key, (n, 4)) @ jnp.asarray(polynomial_basis.T, jnp.float32)
    return curves / jnp.sqrt((curves**2).mean(1, keepdims=True))
