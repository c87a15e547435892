"""Pure spectra of the built-in mixtures: random channels or sums of peaks."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxhsi.data.synthetic.mixture_options import MixtureOptions


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
