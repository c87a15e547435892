"""Gating and concentration networks that unmix new spectra in one forward pass.

They are trained on the result of a solver: its codes of real spectra, and an unlimited number of
mixtures drawn from its components with the concentrations of its codes, also in combinations that
do not occur in the data. Everything is in noise units, x / sigma(x) with sigma from the noise
level, and all but two products happen in the space of the k components: with the dictionary D
(k, c) and G = D D',

    b = D x / sigma                    correlation with each component
    u = (G + lambda I)^-1 b            linear estimate of least mean square error

so that a training mixture needs no spectrum either: b = (G a + G^1/2 e) / sigma.

The *gating network* sees the evidence for each component twice: first u in units of its deviation;
then what remains for each component once those that stood out are fitted. Its logits are the
evidence above a learnt threshold for every component, plus a small MLP that begins at zero. The
*concentration network* fits the components behind open gates by conjugate gradients unrolled on the
gated normal equations, followed by a learnt gain and offset per component.

Loss of a batch: mean log(1 + squared reconstruction error in noise units) + mean binary
cross-entropy of both logits with the support of the target.

Source: unrolling a solver into a network, Gregor and LeCun, Learning Fast Approximations of Sparse
Coding, ICML 2010.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from jaxhsi.base import Algorithm
from jaxhsi.functional_module import Params
from jaxhsi.gmcr.amortised_data import (
    Batch,
    Dictionary,
    MixtureBank,
    build_mixture_bank,
    correlate,
    draw_batch,
    make_dictionary,
    matrix_product,
)
from jaxhsi.gmcr.gates import expected_gate, hard_concrete
from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.gmcr.networks import build_networks
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.table_sharding import split_rows

_TINY = 1e-20
"""Guards the square root of a component of length zero."""
_MIN_UNIFORM = 1e-6
"""Uniform draws of the gates stay this far from 0 and 1, where their logit is infinite."""


class AmortisedParams(NamedTuple):
    """All that unmixing needs: the ``params`` of `unmix`."""

    dictionary: Dictionary
    networks: dict[str, Params]


class State(NamedTuple):
    """State of the training: all that a checkpoint needs."""

    step: Int[Array, ""]
    params: AmortisedParams
    optimizer_state: Any
    mixture_bank: MixtureBank


class Info(NamedTuple):
    """Diagnostics of a step, or their means over an `epoch`.

    Attributes:
        loss: what is minimised.
        reconstruction_error: squared error of the reconstruction in noise units, per spectrum; the
            fit of a given support leaves about as many as it has components.
        missed_components: components of the target per spectrum whose gate is closed (logit < 0).
        extra_components: open gates per spectrum that the target does not have.
    """

    loss: Float[Array, ""]
    reconstruction_error: Float[Array, ""]
    missed_components: Float[Array, ""]
    extra_components: Float[Array, ""]


def optimizer(options: AmortisedOptions) -> optax.GradientTransformation:
    """Adam with a learning rate that falls to 0 by a cosine over the training."""
    # It ends at 0, so that the last weights are not those of a noisy step.
    schedule = optax.cosine_decay_schedule(options.learning_rate, options.training_steps)
    return optax.adam(schedule)


def init(
    options: AmortisedOptions,
    key: Key[Array, ""],
    components: Float[Array, "k c"],
    concentrations: Float[Array, "n k"],
    noise_level: SignalDependentNoise,
    spectra: Float[Array, "n c"] | None = None,
) -> State:
    """State before the training.

    Args:
        options: of the method.
        key: of weights and permutations.
        components: of the solver.
        concentrations: of the solver.
        noise_level: of the solver.
        spectra: real spectra that the concentrations belong to; without, only drawn mixtures are
            learnt.

    Returns:
        The state.

    Raises:
        ValueError: no component, no spectrum, or shapes that do not belong together.
    """
    _check_solution(components, concentrations)
    gating_key, concentration_key, permutation_key = jax.random.split(key, 3)
    dictionary = make_dictionary(components, concentrations, noise_level)
    networks = build_networks(len(components), options.hidden_width, options.fit_iterations)
    network_weights = {
        "gating": networks["gating"][0](gating_key),
        "concentration": networks["concentration"][0](concentration_key),
    }
    mixture_bank = build_mixture_bank(permutation_key, dictionary, concentrations, spectra)
    optimizer_state = optimizer(options).init(network_weights)
    params = AmortisedParams(dictionary, network_weights)
    return State(jnp.zeros((), jnp.int32), params, optimizer_state, mixture_bank)


def _check_solution(components: Array, concentrations: Array) -> None:
    if len(components) == 0 or concentrations.shape[1] != len(components):
        raise ValueError(
            f"{len(components)} components and concentrations of shape {concentrations.shape} "
            "are no solution to learn: give (k, c) and (n, k) with k >= 1"
        )
    if len(concentrations) == 0:
        raise ValueError("no concentrations to learn from: give those of one spectrum at least")


def loss_fn(
    network_weights: Params,
    options: AmortisedOptions,
    key: Key[Array, ""],
    dictionary: Dictionary,
    batch: Batch,
) -> tuple[Float[Array, ""], Info]:
    """Loss of a batch, see the module's docstring, and diagnostics.

    Args:
        network_weights: of both networks; the loss is differentiable in these.
        options: of the method.
        key: of the gates' draws.
        dictionary: of the solution.
        batch: training data.

    Returns:
        The loss and the diagnostics.
    """
    params = AmortisedParams(dictionary, network_weights)
    # Both estimates are trained: the second can only correct what the first roughly knows.
    first_logits, second_logits = _gate_logits(params, batch.correlations, options)
    uniform_draws = jax.random.uniform(
        key, second_logits.shape, minval=_MIN_UNIFORM, maxval=1 - _MIN_UNIFORM
    )
    codes = _fit_codes(
        params, batch.correlations, hard_concrete(uniform_draws, second_logits), options
    )
    code_error = codes - batch.codes
    # In the space of components: the same squared error as over the bands, at k^2 cost.
    squared_error = jnp.sum(code_error @ dictionary.gram * code_error, axis=1)
    is_present = (batch.codes != 0).astype(jnp.float32)
    both_logits = jnp.stack([first_logits, second_logits])
    gate_loss = optax.sigmoid_binary_cross_entropy(both_logits, is_present)
    # The logarithm keeps a few bad spectra from dominating the gradient.
    loss = jnp.mean(jnp.log1p(squared_error)) + jnp.mean(jnp.sum(gate_loss, axis=(0, 2)))
    is_closed = (second_logits < 0).astype(jnp.float32)
    missed_count = jnp.sum(is_present * is_closed, axis=1)
    extra_count = jnp.sum((1 - is_present) * (1 - is_closed), axis=1)
    return loss, Info(loss, jnp.mean(squared_error), jnp.mean(missed_count), jnp.mean(extra_count))


def step(
    options: AmortisedOptions, key: Key[Array, ""], state: State, batch: Batch
) -> tuple[State, Info]:
    """One training step.

    Args:
        options: of the method.
        key: of the gates' draws.
        state: before.
        batch: of `amortised_data.draw_batch`.

    Returns:
        The state after it, and diagnostics.
    """
    network_weights, dictionary = state.params.networks, state.params.dictionary
    gradient, info = jax.grad(loss_fn, has_aux=True)(
        network_weights, options, key, dictionary, batch
    )
    weight_updates, optimizer_state = optimizer(options).update(gradient, state.optimizer_state)
    params = state.params._replace(networks=optax.apply_updates(network_weights, weight_updates))
    state = state._replace(step=state.step + 1, params=params, optimizer_state=optimizer_state)
    return state, info


def epoch(
    options: AmortisedOptions, key: Key[Array, ""], state: State, mesh: Mesh | None = None
) -> tuple[State, Info]:
    """``steps_per_call`` training steps in one scan, and the means of their diagnostics."""

    def body(state: State, key: Key[Array, ""]) -> tuple[State, Info]:
        batch_key, gates_key = jax.random.split(key)
        batch = draw_batch(options, batch_key, state.params.dictionary, state.mixture_bank)
        return step(options, gates_key, state, split_rows(mesh, batch))

    state, step_infos = jax.lax.scan(body, state, jax.random.split(key, options.steps_per_call))
    return state, jax.tree.map(jnp.mean, step_infos)


def unmix(
    options: AmortisedOptions, params: AmortisedParams, x: Float[Array, "n c"]
) -> UnmixedSpectra:
    """Concentrations and gates of spectra, and their reconstruction.

    Args:
        options: of the method.
        params: ``state.params``.
        x: spectra, whitened if those of the training were.

    Returns:
        The parts of the spectra, in the units of x.
    """
    dictionary = params.dictionary
    correlations, noise_deviations = correlate(dictionary, x, options.product_dtype)
    gates = (_gate_logits(params, correlations, options)[1] > 0).astype(jnp.float32)
    codes = _fit_codes(params, correlations, gates, options) * noise_deviations[:, None]
    reconstruction = matrix_product(codes, dictionary.components, options.product_dtype)
    return UnmixedSpectra(reconstruction, codes, dictionary.components, gates)


def predict(options: AmortisedOptions, state: State, x: Float[Array, "n c"]) -> UnmixedSpectra:
    """`unmix` with the parameters of a state."""
    return unmix(options, state.params, x)


def amortised(options: AmortisedOptions) -> Algorithm:
    """The method under these options, as an `Algorithm`."""
    return Algorithm(partial(init, options), partial(step, options), partial(predict, options))


def _gate_logits(
    params: AmortisedParams, correlations: Float[Array, "n k"], options: AmortisedOptions
) -> tuple[Float[Array, "n k"], Float[Array, "n k"]]:
    """Logits of both estimates; no gradient runs from the second one to the first."""
    dictionary, num_components = params.dictionary, correlations.shape[1]
    networks = build_networks(num_components, options.hidden_width, options.fit_iterations)
    apply_gating, gating_weights = networks["gating"][1], params.networks["gating"]
    ridge_inverse, gram = dictionary.ridge_inverse, dictionary.gram

    def magnitude(a: Array) -> Array:
        return a if options.non_negative else jnp.abs(a)

    # Divided by its deviation, evidence means the same for strong and weak components.
    code_deviations = jnp.sqrt(jnp.diag(ridge_inverse))
    first_evidence = magnitude(correlations @ ridge_inverse / code_deviations)
    first_logits = apply_gating(gating_weights, first_evidence)
    codes = _fit_codes(params, correlations, expected_gate(first_logits), options)
    # The first logits are trained by their own loss, not through a fit.
    codes = jax.lax.stop_gradient(codes)
    component_norms = jnp.sqrt(jnp.maximum(jnp.diag(gram), _TINY))
    # A component's own part plus what the residual still holds of it.
    second_evidence = magnitude(
        codes * component_norms + (correlations - codes @ gram) / component_norms
    )
    return first_logits, apply_gating(gating_weights, first_evidence, second_evidence)


def _fit_codes(
    params: AmortisedParams, correlations: Array, gates: Array, options: AmortisedOptions
) -> Float[Array, "n k"]:
    """Concentrations behind these gates, in noise units."""
    networks = build_networks(correlations.shape[1], options.hidden_width, options.fit_iterations)
    dictionary = params.dictionary
    # The ridge solution with all gates open: a start near the answer saves iterations.
    ridge_codes = correlations @ dictionary.ridge_inverse
    fit_weights = params.networks["concentration"]
    apply_fit = networks["concentration"][1]
    codes = apply_fit(fit_weights, dictionary.gram, correlations, ridge_codes, gates)
    # After the fit, not in it: the steps of conjugate gradients know no bounds.
    return jnp.maximum(codes, 0) if options.non_negative else codes
