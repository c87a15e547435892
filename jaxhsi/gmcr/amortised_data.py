"""Training data of the amortised networks: a solver's components, its codes, and new mixtures.

Everything is in noise units and in the space of the k components: b = D x / sigma, G = D D'.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxhsi.gmcr.noise_model import SignalDependentNoise, noise_deviation
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.linear_algebra import inverse

_TINY = 1e-20
"""Guards logarithms and divisions of spectra of zeros."""
_NUM_PERMUTATIONS = 1024
"""Permutations of the components that mixtures are drawn with; drawing them once is cheaper than a
permutation per mixture. Set by hand."""
_GRAM_RIDGE = 1e-6
"""Ridge relative to the mean diagonal of the Gram matrix, for nearly equal components."""


class Dictionary(NamedTuple):
    """A solver's components and what follows from them.

    Attributes:
        components: D, of any norm.
        gram: G = D D'.
        ridge_inverse: (G + lambda I)^-1.
        noise_level: noise variance of the spectra.
    """

    components: Float[Array, "k c"]
    gram: Float[Array, "k k"]
    ridge_inverse: Float[Array, "k k"]
    noise_level: SignalDependentNoise


class MixtureBank(NamedTuple):
    """Source of the training mixtures.

    Attributes:
        codes: the solver's concentrations, in data units.
        permutations: of the components.
        gram_root: symmetric square root of G.
        correlations: b of the real spectra that belong to `codes`; None without.
        noise_deviations: of these spectra; None without.
    """

    codes: Float[Array, "n k"]
    permutations: Int[Array, "m k"]
    gram_root: Float[Array, "k k"]
    correlations: Float[Array, "n k"] | None
    noise_deviations: Float[Array, " n"] | None


class Batch(NamedTuple):
    """Training data of a step.

    Attributes:
        correlations: of spectra with the components, in noise units.
        codes: target concentrations, in noise units.
    """

    correlations: Float[Array, "b k"]
    codes: Float[Array, "b k"]


def make_dictionary(
    components: Float[Array, "k c"],
    concentrations: Float[Array, "n k"],
    noise_level: SignalDependentNoise,
) -> Dictionary:
    """Dictionary of a solution.

    lambda = 1 / mean of (concentration / noise deviation)^2: the linear estimate of least mean
    square error for uncorrelated concentrations of that size.

    Args:
        components: D.
        concentrations: of the solution, in data units.
        noise_level: of the solution.

    Returns:
        The dictionary.
    """
    gram = components @ components.T
    noise_scale = _mixture_deviations(concentrations, gram, noise_level, components.shape[1])
    mean_power = jnp.mean((concentrations / noise_scale[:, None]) ** 2)
    # The prior variance of a code, and a little more for components that are nearly equal.
    ridge_penalty = 1 / jnp.maximum(mean_power, _TINY) + _GRAM_RIDGE * jnp.trace(gram) / len(gram)
    ridge_inverse = inverse(gram + ridge_penalty * jnp.eye(len(gram)))
    # Rounding leaves the inverse slightly asymmetric.
    symmetric_inverse = (ridge_inverse + ridge_inverse.T) / 2
    return Dictionary(components, gram, symmetric_inverse, noise_level)


def _mixture_deviations(
    codes: Array, gram: Array, noise_level: SignalDependentNoise, num_bands: int
) -> Float[Array, " n"]:
    """Noise deviation of the mixtures of these codes, from their noise-free mean square."""
    mean_square = jnp.sum(codes @ gram * codes, axis=1) / num_bands
    return noise_deviation(noise_level, jnp.maximum(mean_square, _TINY))


def build_mixture_bank(
    key: Key[Array, ""], dictionary: Dictionary, codes: Array, spectra: Array | None
) -> MixtureBank:
    """Source of training mixtures.

    Args:
        key: of the permutations.
        dictionary: of the solution.
        codes: concentrations of the solution, in data units.
        spectra: that the codes belong to, if they are at hand.

    Returns:
        The bank.
    """
    eigenvalues, eigenvectors = jnp.linalg.eigh(dictionary.gram)
    # By eigenvectors, as the Gram matrix may be singular and has no Cholesky factor then.
    gram_root = (eigenvectors * jnp.sqrt(jnp.maximum(eigenvalues, 0))) @ eigenvectors.T
    num_components = len(dictionary.gram)
    identity_order = jnp.broadcast_to(
        jnp.arange(num_components), (_NUM_PERMUTATIONS, num_components)
    )
    permutations = jax.random.permutation(key, identity_order, axis=1, independent=True)
    # An empty code teaches nothing but closed gates: the first other one takes its place.
    is_used = jnp.any(codes != 0, axis=1)
    row_index = jnp.where(is_used, jnp.arange(len(codes)), jnp.argmax(is_used))
    if spectra is None:
        return MixtureBank(codes[row_index], permutations, gram_root, None, None)
    correlations, noise_deviations = correlate(dictionary, spectra[row_index], "float32")
    return MixtureBank(codes[row_index], permutations, gram_root, correlations, noise_deviations)


def matrix_product(a: Array, b: Array, dtype: str) -> Array:
    """A matrix product of operands cast to `dtype`, summed in float32.

    >>> import jax.numpy as jnp
    >>> matrix_product(jnp.ones((1, 2)), jnp.ones((2, 1)), "bfloat16").tolist()
    [[2.0]]
    """
    return jnp.matmul(a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)


def correlate(
    dictionary: Dictionary, x: Float[Array, "n c"], dtype: str
) -> tuple[Float[Array, "n k"], Float[Array, " n"]]:
    """Correlations b = D x / sigma of spectra with the components, and their noise deviation."""
    mean_square = jnp.maximum(jnp.mean(x**2, axis=1), _TINY)
    deviations = noise_deviation(dictionary.noise_level, mean_square)
    return matrix_product(x, dictionary.components.T, dtype) / deviations[:, None], deviations


def draw_mixtures(
    key: Key[Array, ""],
    dictionary: Dictionary,
    mixture_bank: MixtureBank,
    num_mixtures: int,
    permuted_share: float,
    concentration_jitter: float,
) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
    """Correlations and codes, in noise units, of mixtures drawn from the solver's codes.

    b = (G a + G^1/2 e) / sigma for codes a and white noise e needs no spectra.

    Args:
        key: of the draws.
        dictionary: of the solution.
        mixture_bank: of the same solution.
        num_mixtures: number b of mixtures.
        permuted_share: share whose concentrations are assigned to random components.
        concentration_jitter: standard deviation of the logarithm of the factor on every
            concentration.

    Returns:
        Correlations and codes.
    """
    choice_key, change_key = jax.random.split(key)
    row_draw, order_draw, move_draw = jax.random.uniform(choice_key, (3, num_mixtures))
    permutation = mixture_bank.permutations[(order_draw * _NUM_PERMUTATIONS).astype(jnp.int32)]
    is_permuted = move_draw[:, None] < permuted_share
    component_place = jnp.where(is_permuted, permutation, jnp.arange(len(dictionary.gram)))
    codes = jnp.take_along_axis(
        mixture_bank.codes[_row_index(row_draw, mixture_bank)], component_place, axis=1
    )
    log_factor, white_noise = jax.random.normal(change_key, (2, *codes.shape))
    # A factor, not a sum: concentrations stay positive and zeros stay zero.
    codes *= jnp.exp(concentration_jitter * log_factor)
    num_bands = dictionary.components.shape[1]
    noise_level = dictionary.noise_level
    # In units of the noise that a mixture of this strength would have.
    codes /= _mixture_deviations(codes, dictionary.gram, noise_level, num_bands)[:, None]
    return codes @ dictionary.gram + white_noise @ mixture_bank.gram_root, codes


def draw_real_spectra(
    key: Key[Array, ""], mixture_bank: MixtureBank, num_spectra: int
) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
    """Correlations of real spectra, and the solver's codes of them, in noise units."""
    row_index = _row_index(jax.random.uniform(key, (num_spectra,)), mixture_bank)
    return mixture_bank.correlations[row_index], mixture_bank.codes[
        row_index
    ] / mixture_bank.noise_deviations[row_index, None]


def draw_batch(
    options: AmortisedOptions,
    key: Key[Array, ""],
    dictionary: Dictionary,
    mixture_bank: MixtureBank,
) -> Batch:
    """Training data of a step: drawn mixtures, and some real spectra if there are any.

    Args:
        options: of the method.
        key: of the draws.
        dictionary: of the solution.
        mixture_bank: of the same solution.

    Returns:
        ``options.batch_size`` rows.
    """
    # Real spectra hold what no drawn mixture has: errors of the model and of the noise.
    num_real = 0
    if mixture_bank.correlations is not None:
        num_real = round(options.real_share * options.batch_size)
    drawn_key, real_key = jax.random.split(key)
    drawn_mixtures = draw_mixtures(
        drawn_key,
        dictionary,
        mixture_bank,
        options.batch_size - num_real,
        options.permuted_share,
        options.concentration_jitter,
    )
    if not num_real:
        return Batch(*drawn_mixtures)
    real_spectra = draw_real_spectra(real_key, mixture_bank, num_real)
    return Batch(*map(jnp.concatenate, zip(drawn_mixtures, real_spectra, strict=True)))


def _row_index(uniform: Float[Array, " b"], bank: MixtureBank) -> Int[Array, " b"]:
    """Rows of the bank for uniform draws; a draw that rounds to 1 is the last row."""
    return jnp.minimum((uniform * len(bank.codes)).astype(jnp.int32), len(bank.codes) - 1)
