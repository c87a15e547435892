"""Components and concentrations refined under a forward model and priors.

Minimises half the squared residual in noise units plus the priors' penalties, by proximal gradient
steps on concentrations, components and the forward model's own parameters.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxhsi.gmcr.mixing import Forward, Parameters, linear
from jaxhsi.gmcr.priors import Around, Factors, Prior
from jaxhsi.linear_algebra import inverse

_POWER = 12  # power iterations for the size of a step
_SAFETY = 1.2  # they come from below
_STEPS = 20  # proximal steps of a sweep
_FLAT = 1.0  # steps are at most this many times as long as in linear mixing
_RIDGE = 1e-6
_DAMPING = 1e-3
_CONJUGATE = 40  # iterations of a joint step


class Refined(NamedTuple):
    """Factors, and the parameters of the forward model."""

    factors: Factors
    parameters: Parameters


class _Block(NamedTuple):
    """One of the three blocks: its value now, the one before, and its momentum's age."""

    now: Array
    before: Array
    age: Float[Array, ""]


@partial(jax.jit, static_argnames=("forward", "prior", "sweeps"))
def refined(
    x: Float[Array, "n c"],
    noise: Float[Array, "n #c"],
    start: Refined,
    forward: Forward,
    prior: Prior,
    sweeps: int = 10,
    whiten: Float[Array, "c c"] | None = None,
) -> Refined:
    """The nearest minimum of ||(x - f(C, S)) W / noise||^2 / 2 + penalties.

    Concentrations that are 0 at the start stay 0. Where the model has shared parameters, each
    sweep begins with a Gauss-Newton step of all together. Then come accelerated steps on C, S and
    local parameters in turn, restarted where they turn back.
    Components leave with unit length, their size in the concentrations, unless a prior fixes the
    scale; f must then be a function of all c_i s_i.

    Args:
        x: spectra.
        noise: deviation of each spectrum's values, after W.
        start: where to begin.
        forward: f.
        prior: all that is known, see `priors.combine`.
        sweeps: of twenty steps each.
        whiten: W, a map of spectra to where their noise is white; none if it is so already.

    Source: proximal alternating linearised minimisation, Bolte, Sabach and Teboulle 2014 (Math.
    Program. 146, 459); its momentum, Pock and Sabach 2016; restarts, O'Donoghue and Candes 2015.
    """
    support = start.factors.concentrations != 0

    def seen(spectra: Array) -> Array:
        return (spectra if whiten is None else spectra @ whiten) / noise

    def weighted(parameters: Parameters, factors: Factors) -> Array:
        return seen(forward.spectra(parameters, *factors))

    def plain(_: Parameters, factors: Factors) -> Array:
        return seen(linear(*factors))

    def loss(held: Refined) -> Array:
        residual = seen(x) - weighted(held.parameters, held.factors)
        return 0.5 * jnp.sum(residual**2) + prior.penalty(held.factors)

    def sweep(held: Refined, _: None) -> tuple[Refined, None]:
        if jax.tree.leaves(held.parameters) and not forward.local:
            held = _together(noise, loss, weighted, held, support, forward, prior)
        return _steps(seen(x), (weighted, plain), held, support, forward, prior), None

    return jax.lax.scan(sweep, start, None, length=sweeps)[0]


def _together(
    noise: Float[Array, "n #c"],
    loss: Callable[[Refined], Array],
    weighted: Callable[[Parameters, Factors], Array],
    held: Refined,
    support: Array,
    forward: Forward,
    prior: Prior,
) -> Refined:
    """A Gauss-Newton step of factors and shared parameters at once, as far as it helps.

    By conjugate gradients, preconditioned by what the linear model's blocks would be. Values at 0
    stay there.
    """
    (c, s), _ = held
    free = Refined(Factors(support, s != 0), jax.tree.map(lambda a: a == a, held.parameters))
    mean = jnp.sqrt(jnp.mean(noise**2, axis=1, keepdims=True))
    among = inverse(s @ s.T + _DAMPING * jnp.mean(jnp.sum(s**2, 1)) * jnp.eye(len(s)))
    gram = (c / mean).T @ (c / mean)
    across = inverse(gram + _DAMPING * jnp.trace(gram) / len(gram) * jnp.eye(len(gram)))

    def model(at: Refined) -> Array:
        return weighted(at.parameters, at.factors)

    def open_only(move: Refined) -> Refined:
        return jax.tree.map(lambda m, f: jnp.where(f, m, 0.0), move, free)

    slopes = jax.jacfwd(lambda p: weighted(p, held.factors))(held.parameters)
    sizes = jax.tree.map(
        lambda d: 1 / (jnp.sum(d**2, axis=(0, 1)) + _RIDGE * jnp.sum(model(held) ** 2)), slopes
    )

    def eased(move: Refined) -> Refined:
        factors = Factors(mean**2 * (move.factors.concentrations @ among), across @ move.factors[1])
        return open_only(Refined(factors, jax.tree.map(jnp.multiply, sizes, move.parameters)))

    forth, pull = jax.linearize(model, held)[1], jax.vjp(model, held)[1]

    def normal(move: Refined) -> Refined:
        move = open_only(move)
        return open_only(jax.tree.map(lambda a, m: a + _RIDGE * m, pull(forth(move))[0], move))

    downhill = open_only(jax.tree.map(jnp.negative, jax.grad(loss)(held)))
    move = jax.scipy.sparse.linalg.cg(normal, downhill, M=eased, maxiter=_CONJUGATE, tol=1e-3)[0]
    still = Around(Factors(jnp.zeros(()), jnp.zeros(())), support)

    def moved(share: Array) -> Refined:
        new = jax.tree.map(lambda a, m: a + share * m, held, move)
        return Refined(prior.prox(new.factors, still), forward.allowed(new.parameters))

    shares = jnp.array([0.0, 0.1, 0.3, 1.0])
    losses = jax.lax.map(lambda share: loss(moved(share)), shares)
    best = shares[jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf))]
    return jax.tree.map(lambda a, b: jnp.where(best > 0, a, b), moved(best), held)


def off_tangent(factors: Factors, noise: Float[Array, "n #c"]) -> Callable[[Array], Array]:
    """(I - P_C) q (I - P_S): what no change of components or concentrations can bring about."""
    scale = jnp.sqrt(jnp.mean(noise**2, axis=1, keepdims=True))
    rows = _basis(factors.concentrations / scale)
    bands = _basis(factors.components.T)

    def outside(q: Float[Array, "n c"]) -> Float[Array, "n c"]:
        q = q - rows @ (rows.T @ q)
        return q - (q @ bands) @ bands.T

    return outside


def _basis(columns: Float[Array, "a p"]) -> Float[Array, "a q"]:
    left, singular, _ = jnp.linalg.svd(columns, full_matrices=False)
    return left * (singular > 1e-5 * singular[0])


def _steps(
    target: Float[Array, "n c"],
    models: tuple[Callable[[Parameters, Factors], Array], ...],
    held: Refined,
    support: Array,
    forward: Forward,
    prior: Prior,
) -> Refined:
    """One sweep of accelerated steps; ``models`` are the forward and the linear one."""
    weighted, plain = models

    def smooth(parameters: Parameters, c: Array, s: Array) -> Array:
        factors = Factors(c, s)
        residual = target - weighted(parameters, factors)
        return 0.5 * jnp.sum(residual**2) + prior.penalty(factors)

    def curvature(block: int, at: tuple, mix: Callable) -> Callable[[Array], Array]:
        """(J'J + H) v of one block, as a function of v: J of the model, H of the penalties."""

        def model(value: Array) -> Array:
            parts = (*at[:block], value, *at[block + 1 :])
            return mix(parts[0], Factors(*parts[1:]))

        def penalty(value: Array) -> Array:
            parts = (*at[:block], value, *at[block + 1 :])
            return prior.penalty(Factors(*parts[1:]))

        pull, slope = jax.vjp(model, at[block])[1], jax.grad(penalty)

        def product(v: Array) -> Array:
            forth = jax.jvp(model, (at[block],), (v,))[1]
            return pull(forth)[0] + jax.jvp(slope, (at[block],), (v,))[1]

        return product

    (c, s), parameters = held
    at = (parameters, c, s)

    def steps(block: int, shown: Array, by_row: bool) -> Array:
        """Not far above the linear model's: where mixing levels off it is all but flat."""
        own = _step_sizes(curvature(block, at, weighted), shown, by_row)
        return jnp.minimum(own, _FLAT * _step_sizes(curvature(block, at, plain), shown, by_row))

    own = steps(1, jnp.where(support, 1.0, 0.0), not prior.coupled)
    around = Around(Factors(own, steps(2, jnp.ones_like(s), False)), support)
    own_parameters = None
    if forward.local:
        shown = jnp.ones_like(parameters)
        own_parameters = _step_sizes(curvature(0, at, weighted), shown, True)

    def once(_: Array, blocks: tuple) -> tuple:
        inner, outer, local = blocks

        def shift_c(value: Array) -> Array:
            moved = value - own * jax.grad(smooth, 1)(local.now, value, outer.now)
            moved = prior.prox(Factors(jnp.where(support, moved, 0.0), outer.now), around)
            return jnp.where(support, moved.concentrations, 0.0)

        def shift_s(value: Array) -> Array:
            step = around.steps.components
            moved = value - step * jax.grad(smooth, 2)(local.now, inner.now, value)
            return prior.prox(Factors(inner.now, moved), around).components

        def shift_parameters(value: Array) -> Array:
            slope = jax.grad(smooth, 0)(value, inner.now, outer.now)
            return forward.allowed(value - own_parameters * slope)

        inner, outer = _accelerated(inner, shift_c), _accelerated(outer, shift_s)
        if not prior.scaled:
            inner, outer = _unit_rows(inner, outer)
        return inner, outer, _accelerated(local, shift_parameters) if forward.local else local

    one = jnp.ones(())
    blocks = (_Block(c, c, one), _Block(s, s, one), _Block(parameters, parameters, one))
    (c, *_), (s, *_), (parameters, *_) = jax.lax.fori_loop(0, _STEPS, once, blocks)
    return Refined(Factors(c, s), parameters)


def _unit_rows(inner: _Block, outer: _Block) -> tuple[_Block, _Block]:
    """Components of unit length, their size in the concentrations, now and a step before."""
    sizes = jnp.linalg.norm(outer.now, axis=1)
    sizes = jnp.where(sizes > 0, sizes, 1.0)
    return (
        inner._replace(now=inner.now * sizes, before=inner.before * sizes),
        outer._replace(now=outer.now / sizes[:, None], before=outer.before / sizes[:, None]),
    )


def _accelerated(block: _Block, step: Callable[[Array], Array]) -> _Block:
    """A step from beyond the present value; the momentum starts anew where the step turns back."""
    now, before, age = block
    ahead = now + (age - 1) / (age + 2) * (now - before)
    new = step(ahead)
    turns = jnp.sum((ahead - new) * (new - now)) > 0
    return _Block(new, now, jnp.where(turns, 1.0, age + 1))


def _step_sizes(product: Callable[[Array], Array], start: Array, by_row: bool) -> Array:
    """Reciprocal of the largest curvature, for all or for each row, by power iterations."""
    axes = tuple(range(1 if by_row else 0, start.ndim))

    def size(v: Array) -> Array:
        return jnp.sqrt(jnp.sum(v**2, axis=axes, keepdims=True))

    def power(_: Array, v: Array) -> Array:
        new = product(v / jnp.maximum(size(v), 1e-30)) * (start != 0)
        return jnp.where(jnp.isfinite(new), new, 0.0)

    tilted = start * (1 + 0.3 * jnp.cos(jnp.arange(start.size).reshape(start.shape)))
    largest = size(jax.lax.fori_loop(0, _POWER, power, tilted))
    return jnp.where(largest > 0, 1 / (_SAFETY * jnp.maximum(largest, 1e-30)), 0.0)
