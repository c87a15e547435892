"""Gating and concentration networks that unmix new spectra in one forward pass.

They are trained on the answer of a solver: its own codes of real spectra, and mixtures drawn
without end from its components, whose concentrations are those of its codes, also in combinations
that it has not seen. All is in noise units, x / sigma(x) with sigma from the noise law, and all
but two products happen in the space of the k components: with the dictionary D (k, c), G = D D',

    b = D x / sigma                    what each component matches
    u = (G + lambda I)^-1 b            linear least mean square estimate

so that a training mixture needs no spectrum either: b = (G a + G^1/2 e) / sigma.

The *gating network* looks twice, first at u in units of its deviation; then at what is left in
favour of each component once those that stood out are fitted. Its logits are tied to the pool
(evidence above a threshold of its own, for every component) plus a small MLP that begins at zero.
The *concentration network* fits the components behind open gates: conjugate gradients unrolled
on the gated normal equations, then a gain and an offset per component, learnt. Unrolling a solver
into a network is due to Gregor & LeCun, Learning Fast Approximations of Sparse Coding, ICML 2010.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from jaxhsi.functional_module import Params
from jaxhsi.gmcr.amortised_data import (
    Bank,
    Dictionary,
    dictionary,
    draw_known,
    draw_mixtures,
    make_bank,
    matched_filter,
    product,
)
from jaxhsi.gmcr.gates import expected_gate, hard_concrete
from jaxhsi.gmcr.mixing import Unmixed
from jaxhsi.gmcr.networks import networks
from jaxhsi.gmcr.noise_model import NoiseLaw

_TINY = 1e-20


@dataclass(frozen=True)
class Options:
    """What a user may set.

    Attributes:
        hidden: width of the gating network's MLP.
        iterations: conjugate gradient steps of a fit; exact from as many as gates are open.
        non_negative: concentrations are not negative.
        batch: mixtures of a training step.
        steps_per_call: steps of one compiled call of `epoch`.
        learning_rate: of Adam at its start; it falls to 0 over `steps`.
        steps: of the whole training.
        unseen: share of the mixtures whose concentrations are moved to random components.
        jitter: deviation of the logarithm of the factor on every concentration.
        real: share of the batch taken from real spectra, where there are any.
        dtype: of the two products with spectra, e.g. "bfloat16"; sums stay float32.
    """

    hidden: int = 64
    iterations: int = 4
    non_negative: bool = True
    batch: int = 512
    steps_per_call: int = 100
    learning_rate: float = 3e-3
    steps: int = 200
    unseen: float = 0.5
    jitter: float = 0.3
    real: float = 0.25
    dtype: str = "float32"


class Model(NamedTuple):
    """All that unmixing needs: the ``params`` of `unmix`."""

    dictionary: Dictionary
    networks: dict[str, Params]


class State(NamedTuple):
    """All that a checkpoint needs."""

    step: Int[Array, ""]
    params: Model
    optimizer: Any
    bank: Bank


class Info(NamedTuple):
    """Diagnostics of a step, or their means over an `epoch`.

    Attributes:
        loss: what is minimised.
        error: squared error of the reconstruction in noise units, per spectrum; the fit of a
            known support leaves about as many as it has components.
        missed: components of the target per spectrum whose gate is closed (logit < 0).
        extra: open gates per spectrum that the target does not have.
    """

    loss: Float[Array, ""]
    error: Float[Array, ""]
    missed: Float[Array, ""]
    extra: Float[Array, ""]


class Amortised(NamedTuple):
    """The method as pure functions.

    Attributes:
        init: ``init(key, components, concentrations, noise, spectra=None) -> State``; spectra
            are the real ones that the concentrations belong to.
        step: ``step(key, state) -> (State, Info)``.
        epoch: the same for `steps_per_call` steps in one scan.
        unmix: ``unmix(state.params, x) -> Unmixed``.
    """

    init: Callable[..., State]
    step: Callable[[Key[Array, ""], State], tuple[State, Info]]
    epoch: Callable[[Key[Array, ""], State], tuple[State, Info]]
    unmix: Callable[[Model, Float[Array, "n c"]], Unmixed]


def amortised(options: Options) -> Amortised:
    """Networks that learn a solver's answer; see the module's docstring.

    Raises:
        ValueError: from ``init``: no component, no spectrum, or shapes that do not belong
            together.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.steps))

    def init(
        key: Key[Array, ""],
        components: Float[Array, "k c"],
        concentrations: Float[Array, "n k"],
        noise: NoiseLaw,
        spectra: Float[Array, "n c"] | None = None,
    ) -> State:
        _check_solution(components, concentrations)
        k_gating, k_concentration, k_orders = jax.random.split(key, 3)
        book = dictionary(components, concentrations, noise)
        parts = networks(len(components), options.hidden, options.iterations)
        weights = {
            "gating": parts["gating"][0](k_gating),
            "concentration": parts["concentration"][0](k_concentration),
        }
        bank = make_bank(k_orders, book, concentrations, spectra)
        return State(jnp.zeros((), jnp.int32), Model(book, weights), optimizer.init(weights), bank)

    def loss(weights: Params, key: Key[Array, ""], state: State) -> tuple[Array, Info]:
        k_batch, k_gate = jax.random.split(key)
        book = state.params.dictionary
        matched, target = _batch(k_batch, book, state.bank, options)
        model = Model(book, weights)
        first, second = _logits(model, matched, options)
        uniform = jax.random.uniform(k_gate, second.shape, minval=1e-6, maxval=1 - 1e-6)
        codes = _codes(model, matched, hard_concrete(uniform, second), options)
        miss = codes - target
        error = jnp.sum(miss @ book.gram * miss, axis=1)
        wanted = (target != 0).astype(jnp.float32)
        gate_loss = optax.sigmoid_binary_cross_entropy(jnp.stack([first, second]), wanted)
        total = jnp.mean(jnp.log1p(error)) + jnp.mean(jnp.sum(gate_loss, axis=(0, 2)))
        shut = (second < 0).astype(jnp.float32)
        missed, extra = jnp.sum(wanted * shut, axis=1), jnp.sum((1 - wanted) * (1 - shut), axis=1)
        return total, Info(total, jnp.mean(error), jnp.mean(missed), jnp.mean(extra))

    def step(key: Key[Array, ""], state: State) -> tuple[State, Info]:
        gradient, info = jax.grad(loss, has_aux=True)(state.params.networks, key, state)
        updates, moments = optimizer.update(gradient, state.optimizer)
        weights = optax.apply_updates(state.params.networks, updates)
        params = state.params._replace(networks=weights)
        return state._replace(step=state.step + 1, params=params, optimizer=moments), info

    def epoch(key: Key[Array, ""], state: State) -> tuple[State, Info]:
        def body(state: State, key: Key[Array, ""]) -> tuple[State, Info]:
            return step(key, state)

        state, infos = jax.lax.scan(body, state, jax.random.split(key, options.steps_per_call))
        return state, jax.tree.map(jnp.mean, infos)

    def unmix(params: Model, x: Float[Array, "n c"]) -> Unmixed:
        book = params.dictionary
        matched, scale = matched_filter(book, x, options.dtype)
        gates = (_logits(params, matched, options)[1] > 0).astype(jnp.float32)
        codes = _codes(params, matched, gates, options) * scale[:, None]
        reconstruction = product(codes, book.components, options.dtype)
        return Unmixed(reconstruction, codes, book.components, gates)

    return Amortised(init, step, epoch, unmix)


def _check_solution(components: Array, concentrations: Array) -> None:
    if len(components) == 0 or concentrations.shape[1] != len(components):
        raise ValueError(
            f"{len(components)} components and concentrations of shape {concentrations.shape} "
            "are no solution to learn: give (k, c) and (n, k) with k >= 1"
        )
    if len(concentrations) == 0:
        raise ValueError("no concentrations to learn from: give those of one spectrum at least")


def _logits(
    model: Model, matched: Float[Array, "n k"], options: Options
) -> tuple[Float[Array, "n k"], Float[Array, "n k"]]:
    """Logits of both looks; no gradient runs from the second one to the first."""
    book, count = model.dictionary, matched.shape[1]
    gating = networks(count, options.hidden, options.iterations)["gating"][1]
    size = (lambda a: a) if options.non_negative else jnp.abs
    before = size(matched @ book.inverse / jnp.sqrt(jnp.diag(book.inverse)))
    first = gating(model.networks["gating"], before)
    codes = jax.lax.stop_gradient(_codes(model, matched, expected_gate(first), options))
    norm = jnp.sqrt(jnp.maximum(jnp.diag(book.gram), _TINY))
    now = size(codes * norm + (matched - codes @ book.gram) / norm)
    return first, gating(model.networks["gating"], before, now)


def _codes(model: Model, matched: Array, gates: Array, options: Options) -> Float[Array, "n k"]:
    """Concentrations behind these gates, in noise units."""
    parts = networks(matched.shape[1], options.hidden, options.iterations)
    book, start = model.dictionary, matched @ model.dictionary.inverse
    weights = model.networks["concentration"]
    codes = parts["concentration"][1](weights, book.gram, matched, start, gates)
    return jnp.maximum(codes, 0) if options.non_negative else codes


def _batch(
    key: Key[Array, ""], book: Dictionary, bank: Bank, options: Options
) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
    """Matched filters and target codes: drawn mixtures, and some real spectra if there are any."""
    real = 0 if bank.matched is None else round(options.real * options.batch)
    k_drawn, k_real = jax.random.split(key)
    drawn = draw_mixtures(k_drawn, book, bank, options.batch - real, options.unseen, options.jitter)
    if not real:
        return drawn
    matched, target = map(jnp.concatenate, zip(drawn, draw_known(k_real, bank, real), strict=True))
    return matched, target
