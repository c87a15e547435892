"""Where the solver starts: the noise, the number of spectra worth trying, and these spectra."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxhsi.gmcr.noise_model import NoiseLaw, edge_rank, fit_law, noise_scale

_ROUNDS = 8
_STILL = 0.1  # change of the exponent that is none


class Survey(NamedTuple):
    """What the singular values of a table of spectra say.

    Attributes:
        law: first estimate of the noise.
        rank: directions that stand above it.
        basis: right singular vectors, falling.
    """

    law: NoiseLaw
    rank: Int[Array, ""]
    basis: Float[Array, "q c"]


def survey(x: Float[Array, "n c"]) -> Survey:
    """Noise law and rank of a table of spectra.

    Spectra are scaled to unit mean square first, as if noise grew with the signal; the residual
    beyond the rank then tells how it really grows, and the scaling by that law gives rank and
    residual anew, until the law stays: noise that does not grow with the signal looks like many
    components in spectra that were scaled up.
    """
    rows, bands = x.shape
    mean_square = jnp.mean(x**2, axis=1)

    def decompose(exponent: Array) -> tuple[Array, Array, Array]:
        scale = noise_scale(NoiseLaw(jnp.zeros(()), exponent), mean_square)
        return jnp.linalg.svd(x / scale[:, None], full_matrices=False)

    def refit(exponent: Array, svd: tuple[Array, Array, Array]) -> Array:
        left, singular, right = svd
        rank, _ = edge_rank(singular, rows, bands)
        signal = jnp.arange(len(singular)) < rank
        leverage = jnp.sum(left**2 * signal, axis=1)
        freedom = (bands - rank) * jnp.maximum(1 - leverage, 0.05)
        square = jnp.sum(((left * (singular * ~signal)) @ right) ** 2, axis=1)
        variance = mean_square**exponent * square / freedom
        trusted = jnp.where(leverage < 0.8, freedom, 1e-6)
        return fit_law(mean_square, variance, trusted).exponent

    def again(held: tuple) -> tuple:
        number, exponent, _, svd = held
        fitted = refit(exponent, svd)
        return number + 1, fitted, jnp.abs(fitted - exponent), decompose(fitted)

    def moves(held: tuple) -> Array:
        return (held[0] < _ROUNDS) & (held[2] > _STILL)

    unit = jnp.ones(())
    held = jnp.zeros((), jnp.int32), unit, jnp.full((), jnp.inf), decompose(unit)
    _, exponent, _, (_, singular, right) = jax.lax.while_loop(moves, again, held)
    rank, deviation = edge_rank(singular, rows, bands)
    return Survey(NoiseLaw(2 * jnp.log(deviation), exponent), rank, right)


def successive_projection(x: Float[Array, "n c"], count: int) -> Int[Array, " count"]:
    """Rows of x that span the most: each is the longest after those before it are projected out.

    Rows are brought to unit length first. Source: the successive projection algorithm, Araujo et
    al. 2001; for non-negative factorisation Gillis and Vavasis 2014.
    """
    unit = x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)

    def pick(left: Array, _: None) -> tuple[Array, Array]:
        lengths = jnp.sum(left**2, axis=1)
        best = jnp.argmax(lengths)
        direction = left[best] / jnp.maximum(jnp.sqrt(lengths[best]), 1e-12)
        return left - jnp.outer(left @ direction, direction), best

    return jax.lax.scan(pick, unit, None, length=count)[1]
