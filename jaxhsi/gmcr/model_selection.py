"""From candidates to the smallest set that describes the data: fit, prune, grow.

Source: description length in the units of chi-squared; the prices are those of `candidates`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxhsi.gmcr.component_pool import (
    Candidates,
    Options,
    coefficient_cost,
    encode,
    evidence,
    free_price,
    price,
    shape,
)
from jaxhsi.gmcr.noise_covariance import NoiseWhitener
from jaxhsi.gmcr.sparse_coding import used
from jaxhsi.linear_algebra import solve

_LENIENT = 0.7  # share of the rounds until coefficients cost no more than their price
_RECHECK = 4  # rounds of refitting after a component was left out
_SPIKES = 20  # components that the residual may add at once
_DAMPING = 1e-3
_CHEAP = 0.6  # share of the coefficients' price to begin with in one of the fits


class Fit(NamedTuple):
    """A pool fitted to the data.

    Attributes:
        pool: candidates, refitted.
        codes: of the data in it.
        length: of the description, see :func:`fit`.
        worth: `candidates.evidence` of each component.
    """

    pool: Candidates
    codes: Float[Array, "n p"]
    length: Float[Array, ""]
    worth: Float[Array, " p"]


def fit(
    x: Float[Array, "n c"],
    pool: Candidates,
    options: Options,
    rounds: Int[Array, ""] | int,
    strictness: Float[Array, ""] | float,
) -> Fit:
    """Alternate sparse codes and least-squares spectra; drop what no spectrum uses in the end.

    Where coefficients are dear at first and then fall to their price, a little of one component in
    the spectrum of another goes away: it is paid for by many small coefficients, which are
    forbidden meanwhile. Where they are cheap at first, a little of one component that stands in for
    a coefficient missing elsewhere goes away: the coefficient is there meanwhile. The description
    of the result is
    ||X - C S||^2 + coefficient price * nnz(C) + margin * sum of the components' prices.

    Args:
        x: in noise units.
        pool: candidates.
        options: of the solver.
        rounds: of the alternation.
        strictness: multiple of the coefficients' price at first, above 0; 1 for none.
    """

    def once(i: Array, held: tuple) -> tuple:
        pool, _ = held
        dear = strictness ** jnp.maximum(0.0, 1 - i / (_LENIENT * rounds))
        codes = encode(x, pool, options, coefficient_cost(pool) * dear)
        better = least_squares(x, codes, pool, options).keep((used(codes) > 0) | (dear > 1))
        last = i == rounds  # only codes: they must belong to the spectra
        return jax.tree.map(lambda new, old: jnp.where(last, old, new), better, pool), codes

    start = pool, jnp.zeros((len(x), len(pool.alive)), x.dtype)
    pool, codes = jax.lax.fori_loop(0, rounds + 1, once, start)
    cost, users = coefficient_cost(pool), used(codes)
    residual = jnp.sum((x - codes @ pool.components) ** 2)
    spectra = jnp.sum(jnp.where(pool.alive, price(users, pool), 0.0))
    length = residual + cost * jnp.sum(users) + options.margin * spectra
    return Fit(pool, codes, length, evidence(codes, pool, cost))


def least_squares(
    x: Float[Array, "n c"], codes: Float[Array, "n p"], pool: Candidates, options: Options
) -> Candidates:
    """Spectra that fit the data best given the codes, then non-negative and of unit length."""
    gram = codes.T @ codes
    powers = jnp.where(used(codes) > 0, jnp.diagonal(gram), jnp.nan)
    damping = _DAMPING * jnp.nan_to_num(jnp.nanmedian(powers), nan=1.0)
    target = codes.T @ x + damping * pool.components
    return pool.update(solve(gram + damping * jnp.eye(len(gram)), target), options)


def refit(x: Float[Array, "n c"], pool: Candidates, options: Options) -> Fit:
    """A few rounds of `fit` from spectra that fit the data nearly."""
    return fit(x, pool, options, _RECHECK, 1.0)


def thorough(x: Float[Array, "n c"], pool: Candidates, options: Options) -> Fit:
    """The shortest of a fit that began with dear coefficients and others that went on from there.

    These begin with dearer ones, with cheap ones, and with those of their price. The dearer ones do
    not depend on the noise: coefficients that make up for errors of components grow with the
    spectra. Under noise that is not white they can be too dear to find back to what the first fit
    had.
    """
    large = options.dearest * jnp.median(jnp.sum(x**2, axis=1)) / coefficient_cost(pool)
    prices = jnp.stack((options.strictness, jnp.maximum(1.0, large), _CHEAP, 1.0))

    def again(i: Array, best: Fit) -> Fit:
        return shorter(fit(x, best.pool, options, options.rounds, prices[i]), best)

    return jax.lax.fori_loop(0, len(prices), again, nothing(x, pool))


def smallest(x: Float[Array, "n c"], pool: Candidates, options: Options) -> Fit:
    """Fit a pool, then leave out components as long as the others describe the data more shortly.

    The last component stays.
    """

    def attempt(held: tuple) -> tuple:
        best, _ = held
        leader = one_less(x, best, options, best)
        return leader, leader.length < best.length

    start = thorough(x, pool, options)
    return jax.lax.while_loop(lambda held: held[1], attempt, (start, jnp.array(True)))[0]


def purest(fitted: Fit, options: Options) -> Candidates:
    """The pool with each component moved to the fitted spectrum that holds most of it.

    Where concentrations may be turned into each other, as under an offset that all spectra share,
    this is the corner from which sparse concentrations are found.
    """
    codes, pool = fitted.codes, fitted.pool
    sizes = jnp.abs(codes)
    share = sizes / jnp.maximum(jnp.sum(sizes, axis=1, keepdims=True), 1e-9)
    rows = codes[jnp.argmax(share, axis=0)] @ pool.components
    return pool.update(rows, options)


def with_number(
    x: Float[Array, "n c"], fitted: Fit, number: Int[Array, ""] | int, options: Options
) -> Fit:
    """The fit with components left out or added, one at a time, until there are so many.

    What is left out lengthens the description least, what is added shortens it most. There may be
    fewer in the end: where no spectrum would use another one, or all slots are taken.
    """

    def until(wrong: Callable[[Array], Array], change: Callable[[Fit], Fit], start: Fit) -> Fit:
        def unfinished(held: tuple) -> Array:
            now, before = (jnp.sum(each) for each in (held[0].pool.alive, held[1]))
            return wrong(now) & (now != before)

        def once(held: tuple) -> tuple:
            return change(held[0]), held[0].pool.alive

        none = jnp.zeros_like(start.pool.alive)
        return jax.lax.while_loop(unfinished, once, (start, none))[0]

    few = until(lambda n: n > number, lambda held: without_one(x, held, options), fitted)
    return until(lambda n: n < number, lambda held: one_more(x, held, options), few)


def without_one(x: Float[Array, "n c"], fitted: Fit, options: Options) -> Fit:
    """The fit without one of the weakest components, whether that is shorter or not."""
    return one_less(x, fitted, options, nothing(x, fitted.pool))


def nothing(x: Float[Array, "n c"], pool: Candidates) -> Fit:
    """What any fit is shorter than."""
    slots = len(pool.alive)
    return Fit(pool, jnp.zeros((len(x), slots)), jnp.array(jnp.inf), jnp.zeros(slots))


def one_less(x: Float[Array, "n c"], fitted: Fit, options: Options, leader: Fit) -> Fit:
    """The shortest of a leader and the fits without one of the weakest components.

    The weakest are those by closed-form evidence, as many as ``options.doubted``; a single
    component is never left out.
    """
    pool = fitted.pool
    weakest = jnp.argsort(jnp.where(pool.alive, fitted.worth, jnp.inf))

    def without(i: Array, leader: Fit) -> Fit:
        others = pool.keep(jnp.arange(len(pool.alive)) != weakest[i])
        return shorter(refit(x, others, options), leader)

    tried = jnp.minimum(options.doubted, jnp.sum(pool.alive) - 1)
    return jax.lax.fori_loop(0, tried, without, leader)


def shorter(new: Fit, old: Fit) -> Fit:
    """The one whose description is shorter, the old one where they are equal."""
    wins = new.length < old.length
    return jax.tree.map(lambda a, b: jnp.where(wins, a, b), new, old)


def one_more(x: Float[Array, "n c"], fitted: Fit, options: Options) -> Fit:
    """The fit with the best that the residual still holds in a free slot, worth its price or not.

    Of the spectra whose residual is largest, each begins a search.
    """
    pool, cost = fitted.pool, coefficient_cost(fitted.pool)
    residual = x - fitted.codes @ pool.components
    _, firsts = jax.lax.top_k(jnp.sum(residual**2, axis=1), min(_SPIKES, len(x)))

    def search(first: Array) -> tuple[Array, Array]:
        spectrum, amounts = _spike(residual, residual[first], cost, options, pool.frame)
        return spectrum, _excess(amounts, cost, x.shape[1], options)

    spectra, excess = jax.lax.map(search, firsts)
    return refit(x, _put(pool, spectra[jnp.argmax(excess)], jnp.array(True)), options)


def _excess(amounts: Float[Array, " n"], cost: Array, bands: int, options: Options) -> Array:
    """What a new spectrum of these amounts gains beyond what it and they cost."""
    users = jnp.sum(amounts != 0).astype(amounts.dtype)
    gain = jnp.sum(amounts**2) - users * cost
    return jnp.where(users > 0, gain - options.margin * free_price(users, bands), -jnp.inf)


def _put(pool: Candidates, spectrum: Float[Array, " c"], worth: Bool[Array, ""]) -> Candidates:
    """A spectrum in the first free slot, if it is worth one and there is one."""
    slot = jnp.argmin(pool.alive)
    worth &= ~pool.alive[slot]
    return pool._replace(
        components=jnp.where(worth, pool.components.at[slot].set(spectrum), pool.components),
        alive=jnp.where(worth, pool.alive.at[slot].set(True), pool.alive),
    )


class _Left(NamedTuple):
    residual: Float[Array, "n c"]
    tried: Bool[Array, " n"]
    pool: Candidates


def grow(x: Float[Array, "n c"], fitted: Fit, options: Options) -> Candidates:
    """Put what the residual holds beyond its price into free slots, one spectrum at a time.

    Each begins at the spectrum with the largest residual that was not tried yet.
    """
    pool, cost = fitted.pool, coefficient_cost(fitted.pool)

    def attempt(_: Array, left: _Left) -> _Left:
        first = jnp.argmax(jnp.where(left.tried, -1.0, jnp.sum(left.residual**2, axis=1)))
        spectrum, amounts = _spike(left.residual, left.residual[first], cost, options, pool.frame)
        worth = _excess(amounts, cost, x.shape[1], options) > 0
        worth &= ~left.pool.alive.all()
        residual = left.residual - worth * jnp.outer(amounts, spectrum)
        held = _put(left.pool, spectrum, worth)
        return _Left(residual, left.tried.at[first].set(True), held)

    start = _Left(x - fitted.codes @ pool.components, jnp.zeros(len(x), bool), pool)
    return jax.lax.fori_loop(0, min(_SPIKES, len(x)), attempt, start).pool


def _spike(
    residual: Float[Array, "n c"],
    start: Float[Array, " c"],
    cost: Array,
    options: Options,
    frame: NoiseWhitener | None,
) -> tuple[Float[Array, " c"], Float[Array, " n"]]:
    """A sparse rank-one fit of the residual by power iterations: spectrum and amounts."""

    def amounts(spectrum: Array) -> Array:
        c = residual @ spectrum
        return jnp.maximum(c, 0) if options.non_negative else c

    def power(_: Array, spectrum: Array) -> Array:
        c = amounts(spectrum)
        c = jnp.where(c**2 > jnp.maximum(cost, 0.1 * jnp.max(c**2)), c, 0.0)
        new = shape((c @ residual)[None], options, frame)[0]
        return jnp.where(jnp.any(c != 0), new, spectrum)

    spectrum = jax.lax.fori_loop(0, 5, power, shape(start[None], options, frame)[0])
    c = amounts(spectrum)
    return spectrum, jnp.where(c**2 > cost, c, 0.0)
