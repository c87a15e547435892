"""What `amortised` trains on: a solver's components, its codes, and mixtures drawn from them.

All is in noise units and in the space of the k components: b = D x / sigma, G = D D'.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxhsi.gmcr.noise_model import NoiseLaw, noise_scale
from jaxhsi.linear_algebra import inverse

_TINY = 1e-20
_PERMUTATIONS = 1024


class Dictionary(NamedTuple):
    """A solver's components and what follows from them.

    Attributes:
        components: D, of any norm.
        gram: G = D D'.
        inverse: (G + lambda I)^-1.
        noise: law of the noise deviation.
    """

    components: Float[Array, "k c"]
    gram: Float[Array, "k k"]
    inverse: Float[Array, "k k"]
    noise: NoiseLaw


class Bank(NamedTuple):
    """What training draws from.

    Attributes:
        codes: the solver's concentrations, in data units.
        orders: permutations of the components.
        root: symmetric square root of G.
        matched: b of the real spectra that belong to `codes`; None without.
        scale: noise deviation of these.
    """

    codes: Float[Array, "n k"]
    orders: Int[Array, "m k"]
    root: Float[Array, "k k"]
    matched: Float[Array, "n k"] | None
    scale: Float[Array, " n"] | None


def dictionary(
    components: Float[Array, "k c"], concentrations: Float[Array, "n k"], noise: NoiseLaw
) -> Dictionary:
    """What `unmix` needs of a solution.

    lambda = 1 / mean of (concentration / noise deviation)^2: the linear estimate of least mean
    square error for uncorrelated concentrations of that size.
    """
    gram = components @ components.T
    scale = _mixture_scale(concentrations, gram, noise, components.shape[1])
    size = jnp.mean((concentrations / scale[:, None]) ** 2)
    ridge = 1 / jnp.maximum(size, _TINY) + 1e-6 * jnp.trace(gram) / len(gram)
    filter = inverse(gram + ridge * jnp.eye(len(gram)))
    return Dictionary(components, gram, (filter + filter.T) / 2, noise)


def _mixture_scale(codes: Array, gram: Array, noise: NoiseLaw, bands: int) -> Float[Array, " n"]:
    """Noise deviation of the mixtures of these codes, from their noise-free mean square."""
    return noise_scale(noise, jnp.maximum(jnp.sum(codes @ gram * codes, axis=1) / bands, _TINY))


def make_bank(key: Key[Array, ""], book: Dictionary, codes: Array, spectra: Array | None) -> Bank:
    """What training draws from; spectra are those of the codes, if they are at hand."""
    values, vectors = jnp.linalg.eigh(book.gram)
    root = (vectors * jnp.sqrt(jnp.maximum(values, 0))) @ vectors.T
    count = len(book.gram)
    order = jnp.broadcast_to(jnp.arange(count), (_PERMUTATIONS, count))
    orders = jax.random.permutation(key, order, axis=1, independent=True)
    used = jnp.any(codes != 0, axis=1)  # an empty code teaches nothing but closed gates
    row = jnp.where(used, jnp.arange(len(codes)), jnp.argmax(used))
    if spectra is None:
        return Bank(codes[row], orders, root, None, None)
    matched, scale = matched_filter(book, spectra[row], "float32")
    return Bank(codes[row], orders, root, matched, scale)


def product(a: Array, b: Array, dtype: str) -> Array:
    """A matrix product of operands cast to `dtype`, summed in float32."""
    return jnp.matmul(a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32)


def matched_filter(
    book: Dictionary, x: Float[Array, "n c"], dtype: str
) -> tuple[Float[Array, "n k"], Float[Array, " n"]]:
    """Matched filter b of spectra, and their noise deviation."""
    scale = noise_scale(book.noise, jnp.maximum(jnp.mean(x**2, axis=1), _TINY))
    return product(x, book.components.T, dtype) / scale[:, None], scale


def draw_mixtures(
    key: Key[Array, ""], book: Dictionary, bank: Bank, count: int, unseen: float, jitter: float
) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
    """Matched filters and codes, in noise units, of mixtures drawn from the solver's codes.

    Args:
        key: of the draws.
        book: of the solution.
        bank: of the same.
        count: number b of mixtures.
        unseen: share whose concentrations are moved to random components.
        jitter: deviation of the logarithm of the factor on every concentration.
    """
    k_choice, k_change = jax.random.split(key)
    row, order, move = jax.random.uniform(k_choice, (3, count))
    order = bank.orders[(order * _PERMUTATIONS).astype(jnp.int32)]
    place = jnp.where(move[:, None] < unseen, order, jnp.arange(len(book.gram)))
    codes = jnp.take_along_axis(bank.codes[_index(row, bank)], place, axis=1)
    change, noise = jax.random.normal(k_change, (2, *codes.shape))
    codes *= jnp.exp(jitter * change)
    codes /= _mixture_scale(codes, book.gram, book.noise, book.components.shape[1])[:, None]
    return codes @ book.gram + noise @ bank.root, codes


def draw_known(
    key: Key[Array, ""], bank: Bank, count: int
) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
    """The same for real spectra and the solver's codes of them."""
    row = _index(jax.random.uniform(key, (count,)), bank)
    return bank.matched[row], bank.codes[row] / bank.scale[row, None]


def _index(uniform: Float[Array, " b"], bank: Bank) -> Int[Array, " b"]:
    return jnp.minimum((uniform * len(bank.codes)).astype(jnp.int32), len(bank.codes) - 1)
