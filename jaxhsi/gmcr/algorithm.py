"""The default solver: a redundant pool of spectra whose gates close until the needed ones stay.

A component must lower the squared residual, in noise units, by more than noise alone could: its
*price*. What it really gains is known in closed form, and log(gain / price) is what moves its
hard-concrete gate; the pathwise gradient through the reconstruction would leave redundant gates
open. Phases of sampled gates under falling pressure alternate with `settle`, which drops what is
closed, fits and prunes what is left, and adds what the residual still holds. A phase that describes
the data less shortly than the one before leaves nothing behind. It ends when a phase changes
nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.gmcr.component_pool import (
    Candidates,
    Options,
    coefficient_cost,
    encode,
    evidence,
    shape,
)
from jaxhsi.gmcr.gates import hard_concrete, open_probability
from jaxhsi.gmcr.initialisation import Survey, successive_projection
from jaxhsi.gmcr.mixing import Parameters
from jaxhsi.gmcr.model_selection import (
    Fit,
    fit,
    grow,
    purest,
    refit,
    shorter,
    smallest,
    thorough,
    with_number,
)
from jaxhsi.gmcr.noise_covariance import NoiseModel, NoiseWhitener
from jaxhsi.gmcr.noise_model import NoiseLaw, noise_scale, residual_law
from jaxhsi.gmcr.sparse_coding import CLOSED, used
from jaxhsi.gmcr.spectral_library import with_library
from jaxhsi.linear_algebra import solve

_SHUT, _WIDE = -3.0, 5.0  # limits of the logits, so that no gate is beyond return
_ANNEALED = 0.7  # share of a phase after which the pressure is the margin
_LESS = 1.0  # chi-squared that a description must be shorter by
_LAWS = 3  # times that a given number of components and the noise that they leave are fitted
_STILL = 0.05  # change of the noise variance that is none


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: steps taken.
        phase: phases finished.
        pool: the candidates.
        kept: those that the last phase ended with, before it added any; without the frame.
        logits: of their gates.
        law: of the noise.
        settled: law at the end of the last phase.
        counts: components after the last phase and the one before it; -1 for none.
        grown: components that the last phase added.
        drift: by how much it moved the logarithm of the noise variance, mean over spectra, from its
            beginning to its end; what the gates' draws leave in between does not count.
        noise: what is known of it beside the law, which is that in the frame where it is white;
            kept for whoever brings the spectra into that frame.
    """

    step: Int[Array, ""]
    phase: Int[Array, ""]
    pool: Candidates
    kept: Candidates
    logits: Float[Array, " p"]
    law: NoiseLaw
    settled: NoiseLaw
    counts: Int[Array, "2"]
    grown: Int[Array, ""]
    drift: Float[Array, ""]
    noise: NoiseModel | None = None


class Info(NamedTuple):
    """Diagnostics of a step.

    Attributes:
        loss: half the mean squared residual of a value in noise units, about 1/2 in the end.
        active: components more likely open than not.
        uncertain: gates whose probability to be open lies between 0.1 and 0.95.
        codes: components of a spectrum, mean.
        pressure: multiple of its price that a component has to gain.
    """

    loss: Float[Array, ""]
    active: Int[Array, ""]
    uncertain: Int[Array, ""]
    codes: Float[Array, ""]
    pressure: Float[Array, ""]


class Solver(NamedTuple):
    """The solver as pure functions; x (n, c) is the whole table in the units of the data.

    `epoch` and `settle` may be mapped over keys and states by ``vmap``: an ensemble of restarts.

    Attributes:
        init: ``init(x, survey, tried, slots, frame=None) -> State``: a pool of ``slots`` slots, of
            which ``tried`` hold spectra of the data; x is in the frame, if there is one.
        step: ``step(key, state, x) -> (State, Info)``: gates and components move.
        epoch: ``epoch(key, state, x) -> (State, Info)``: ``options.refresh`` steps in one scan,
            then the noise law is fitted anew.
        settle: ``settle(state, x) -> State``: the end of a phase.
        corner: ``corner(state, x) -> State``: after the last phase, the fit that begins at the
            purest spectra, if it describes the data more shortly. Not for mixing that is not
            linear: what it adds looks like components there.
        numbered: ``numbered(state, x, number) -> State``: after the last phase, so many components,
            or fewer where the data do not hold as many; the noise is what these leave.
        identify: ``identify(state, x, library) -> State``: after the last phase, components that
            are in a library (l, c) become its spectra, fixed; weaker ones of it are added.
        unmix: ``unmix(state, x) -> (n, p)``: concentrations in the units of the data.
        describe: ``describe(state, x) -> Fit``: the state's pool refitted under its noise law, with
            the length of the description; states on the same x and law may be compared by it.
    """

    init: Callable[..., State]
    step: Callable[[Key[Array, ""], State, Array], tuple[State, Info]]
    epoch: Callable[[Key[Array, ""], State, Array], tuple[State, Info]]
    settle: Callable[[State, Array], State]
    corner: Callable[[State, Array], State]
    numbered: Callable[[State, Array, Array], State]
    identify: Callable[[State, Array, Array], State]
    unmix: Callable[[State, Array], Float[Array, "n p"]]
    describe: Callable[[State, Array], Fit]


class Opinions(NamedTuple):
    """What restarts say, the one that became the answer among them.

    Attributes:
        counts: components that each found.
        lengths: of the descriptions, beyond that of the answer, in the units of chi-squared.
        agreement: share of the restarts that hold each component of the answer, up to noise.
    """

    counts: Int[np.ndarray, " r"]
    lengths: Float[np.ndarray, " r"]
    agreement: Float[np.ndarray, " k"]


class Solution(NamedTuple):
    """The answer.

    Attributes:
        components: unit rows.
        concentrations: in the units of the data.
        noise: law of the noise, offset and spikes apart.
        gates: probability that each component is open.
        fixed: components of the library.
        converged: whether the last phase changed nothing.
        departures: how the noise is not white.
        parameters: of the forward model, where it has some.
        opinions: of the restarts that it was chosen from.
    """

    components: Float[Array, "k c"]
    concentrations: Float[Array, "n k"]
    noise: NoiseLaw
    gates: Float[Array, " k"]
    fixed: Bool[Array, " k"]
    converged: bool
    departures: NoiseModel
    parameters: Parameters = ()
    opinions: Opinions | None = None


def converged(state: State) -> Bool[Array, ""]:
    """Whether the last phase changed nothing: number of components and noise are as before it."""
    same = (state.counts[0] == state.counts[1]) & (state.grown == 0)
    return (state.phase >= 2) & same & (state.drift < _STILL)


def solver(options: Options = Options()) -> Solver:  # noqa: B008 -- frozen
    """The solver under these options."""

    def init(
        x: Float[Array, "n c"],
        survey: Survey,
        tried: Int[Array, ""] | int,
        slots: int,
        frame: NoiseWhitener | None = None,
    ) -> State:
        xw, place = _whiten(x, survey.law), jnp.arange(slots)
        signal = jnp.arange(len(survey.basis)) < tried
        denoised = (xw @ survey.basis.T * signal) @ survey.basis
        rows = shape(denoised[successive_projection(denoised, slots)], options, frame)
        pool = Candidates(rows, place < slots, place < 0, frame).keep(place < tried)
        cost = coefficient_cost(pool)
        worth = evidence(encode(xw, pool, options, cost), pool, cost)
        zero, never = jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, jnp.float32)
        counts = jnp.full(2, -1, jnp.int32)
        law, none = survey.law, jax.tree.map(jnp.zeros_like, pool._replace(frame=None))
        return State(zero, zero, pool, none, _opened(worth), law, law, counts, zero, never)

    def pressure(state: State) -> Array:
        within = state.step % options.steps + 1
        first = jnp.where(state.phase == 0, options.pressure, options.later_pressure)
        left = jnp.maximum(0.0, 1 - within / (_ANNEALED * options.steps))
        return options.margin * (first / options.margin) ** left

    def step(key: Key[Array, ""], state: State, x: Array) -> tuple[State, Info]:
        xw, push, pool = _whiten(x, state.law), pressure(state), state.pool
        uniform = jax.random.uniform(key, state.logits.shape, minval=1e-5, maxval=1 - 1e-5)
        gates = hard_concrete(uniform, state.logits) * pool.alive
        is_open = gates > CLOSED
        cost = coefficient_cost(pool) * push / options.margin
        codes = encode(xw, pool, options, cost, gates)
        climb = jnp.clip(evidence(codes, pool, cost, is_open) - jnp.log(push), -1, 1)
        logits = state.logits + jnp.where(is_open, options.rate * climb, 0.0)
        logits = jnp.clip(logits, _SHUT, _WIDE)
        residual = xw - codes @ pool.components
        moved = pool.update(pool.components + _newton(codes, residual), options)
        chance = open_probability(logits) * pool.alive
        info = Info(
            0.5 * jnp.mean(residual**2),
            jnp.sum(chance > 0.5),
            jnp.sum((chance > 0.1) & (chance < 0.95)),
            jnp.sum(used(codes)) / len(x),
            push,
        )
        return state._replace(step=state.step + 1, pool=moved, logits=logits), info

    def _newton(codes: Array, residual: Array) -> Array:
        """The gradient of the squared residual, preconditioned by the codes' Gram matrix."""
        gram = codes.T @ codes
        damping = 0.02 * jnp.mean(jnp.diagonal(gram)) + 1e-6
        move = solve(gram + damping * jnp.eye(len(gram)), codes.T @ residual)
        return options.newton * jnp.where((used(codes) > 0)[:, None], move, 0.0)

    def _open(state: State) -> Candidates:
        """Components more likely open than not, or the likeliest alone."""
        chance = jnp.where(state.pool.alive, open_probability(state.logits), -1.0)
        return state.pool.keep((chance > 0.5) | (chance == jnp.max(chance)))

    def epoch(key: Key[Array, ""], state: State, x: Array) -> tuple[State, Info]:
        def one(state: State, i: Array) -> tuple[State, Info]:
            return step(jax.random.fold_in(key, i), state, x)

        state, infos = jax.lax.scan(one, state, jnp.arange(options.refresh))
        return _refresh(state, x), jax.tree.map(lambda a: a[-1], infos)

    def _refresh(state: State, x: Array) -> State:
        """The noise law from what the open components leave."""
        scale, kept = _scale(x, state.law), _open(state)
        codes = scale * encode(x / scale, kept, options, coefficient_cost(state.pool))
        return state._replace(law=residual_law(x, codes, kept.components))

    def settle(state: State, x: Array) -> State:
        scale = _scale(x, state.law)
        xw = x / scale
        before = refit(xw, state.kept._replace(frame=state.pool.frame), options)
        fitted = shorter(smallest(xw, _open(state), options), before)
        pool = grow(xw, fitted, options)
        law = residual_law(x, scale * fitted.codes, fitted.pool.components)
        count, grown = jnp.sum(fitted.pool.alive), jnp.sum(pool.alive & ~fitted.pool.alive)
        return state._replace(
            phase=state.phase + 1,
            pool=pool,
            kept=fitted.pool._replace(frame=None),
            logits=_opened(jnp.where(fitted.pool.alive, fitted.worth, 0.0)),
            counts=jnp.stack([count, state.counts[0]]).astype(jnp.int32),
            grown=grown.astype(jnp.int32),
            law=law,
            settled=law,
            drift=jnp.mean(jnp.abs(2 * jnp.log(_scale(x, law) / _scale(x, state.settled)))),
        )

    def corner(state: State, x: Array) -> State:
        scale = _scale(x, state.law)
        own = refit(x / scale, state.pool, options)
        pure = refit(x / scale, purest(own, options), options)
        law = residual_law(x, scale * pure.codes, pure.pool.components)
        moved = state._replace(pool=pure.pool, law=law)
        wins = pure.length < own.length - _LESS
        return jax.tree.map(lambda new, old: jnp.where(wins, new, old), moved, state)

    def numbered(state: State, x: Array, number: Array) -> State:
        def once(_: Array, state: State) -> State:
            scale = _scale(x, state.law)
            start = with_number(x / scale, refit(x / scale, state.pool, options), number, options)
            best = thorough(x / scale, start.pool, options)
            lost = jnp.sum(best.pool.alive) < jnp.sum(start.pool.alive)
            fitted = jax.tree.map(lambda new, old: jnp.where(lost, old, new), best, start)
            law = residual_law(x, scale * fitted.codes, fitted.pool.components)
            return state._replace(pool=fitted.pool, law=law, logits=_opened(fitted.worth))

        return jax.lax.fori_loop(0, _LAWS, once, state)

    def identify(state: State, x: Array, library: Float[Array, "l c"]) -> State:
        xw = _whiten(x, state.law)
        known = with_library(fit(xw, state.pool, options, 0, 1.0), library, options)
        fitted = smallest(xw, known, options)
        return state._replace(pool=fitted.pool, logits=_opened(fitted.worth))

    def unmix(state: State, x: Array) -> Float[Array, "n p"]:
        scale = _scale(x, state.law)
        return scale * encode(x / scale, state.pool, options, coefficient_cost(state.pool))

    def describe(state: State, x: Array) -> Fit:
        return refit(_whiten(x, state.law), state.pool, options)

    return Solver(init, step, epoch, settle, corner, numbered, identify, unmix, describe)


def _opened(worth: Float[Array, " p"]) -> Float[Array, " p"]:
    """Logits to begin a phase with: gates open, the wider the more their component is worth."""
    return jnp.clip(2 + worth, 0.5, _WIDE)


def _scale(x: Float[Array, "n c"], law: NoiseLaw) -> Float[Array, "n 1"]:
    return noise_scale(law, jnp.mean(x**2, axis=1))[:, None]


def _whiten(x: Float[Array, "n c"], law: NoiseLaw) -> Float[Array, "n c"]:
    return x / _scale(x, law)
