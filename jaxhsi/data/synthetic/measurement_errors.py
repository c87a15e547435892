"""Noise, baselines, cosmic rays and an offset, added to noise-free spectra."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxhsi.data.synthetic.mixing_models import root_mean_square
from jaxhsi.data.synthetic.mixture_options import MixtureOptions


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
