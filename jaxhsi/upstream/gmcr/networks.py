"""Upstream's two networks: which components a spectrum holds, and how much of each."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxhsi.functional_module import Params, functional_module

ENERGY_DEVIATION = 0.05
"""Deviation of weights and biases of the gating network at the start: value of the PyTorch code,
`core.py`."""
CONCENTRATION_DEVIATION = 0.01
"""The same of the concentration network: value of the PyTorch code, `utils.py`."""


class Network(NamedTuple):
    """A network as pure functions.

    Attributes:
        init: ``init(key) -> params``, ``{"0": {"kernel": (in, out), "bias": (out,)}, ...}``.
        apply: ``apply(params, x (n, c))``.
    """

    init: Callable[[Key[Array, ""]], Params]
    apply: Callable[[Params, Float[Array, "n c"]], Array]


class _Perceptron(nnx.Module):
    """Linear layers with an activation between them."""

    def __init__(self, layer_widths: list[int], activation: Callable, dtype: Any, rngs: nnx.Rngs):
        self.layers = nnx.Dict(
            {
                str(i): nnx.Linear(*pair, dtype=dtype, rngs=rngs)
                for i, pair in enumerate(itertools.pairwise(layer_widths))
            }
        )
        self.activation = activation

    def __call__(self, x: Float[Array, "n c"]) -> Float[Array, "n out"]:
        for layer_index in range(len(self.layers)):
            # The activation comes before each layer but the first, so that the last is linear.
            x = self.layers[str(layer_index)](x if layer_index == 0 else self.activation(x))
        return x.astype(jnp.float32)


def _perceptron(
    layer_widths: list[int], activation: Callable, initial_deviation: float, dtype: Any
) -> Network:
    """Weights and biases both start normal: one draw for all, which compiles faster than many."""
    init_module, apply_module = functional_module(
        lambda rngs: _Perceptron(layer_widths, activation, dtype, rngs)
    )

    def init(key: Key[Array, ""]) -> Params:
        shape_leaves, tree_structure = jax.tree.flatten(jax.eval_shape(init_module, key)["layers"])
        leaf_ends = list(itertools.accumulate(leaf.size for leaf in shape_leaves))
        # One draw for all layers compiles faster than one each.
        weight_parts = jnp.split(
            initial_deviation * jax.random.normal(key, (leaf_ends[-1],)), leaf_ends[:-1]
        )
        shaped_parts = (
            part.reshape(leaf.shape) for part, leaf in zip(weight_parts, shape_leaves, strict=True)
        )
        return jax.tree.unflatten(tree_structure, shaped_parts)

    return Network(init, lambda params, x: apply_module({"layers": params}, x))


def layer_widths(
    num_bands: int, num_outputs: int, width_factor: int | None, num_layers: int
) -> list[int]:
    """Widths of a network of upstream: ``num_layers`` hidden ones of out * extension, or none.

    Raises:
        ValueError: no hidden layer though an extension is given, or an extension below 1.
    """
    # Upstream's plain form: a single linear layer.
    if width_factor is None:
        return [num_bands, num_outputs]
    if width_factor < 1 or num_layers < 1:
        raise ValueError(
            f"hidden_width_factor is {width_factor} and hidden_layers {num_layers}; both are at "
            "least 1, or hidden_width_factor None for a single linear layer"
        )
    # All hidden layers have one width, as upstream builds them.
    return [num_bands, *[num_outputs * width_factor] * num_layers, num_outputs]


def gating_network(
    num_bands: int,
    pool_size: int,
    width_factor: int | None = 2,
    num_layers: int = 2,
    dtype: Any = jnp.float32,
) -> Network:
    """Energies of "open" and "closed" of each component of a pool, from a spectrum.

    Linear layers with tanh between them; weights and biases start normal, deviation 0.05. The
    lower the energy, the likelier the state (`gates.gumbel_pair`).

    Args:
        num_bands: c of the spectra.
        pool_size: p of the pool.
        width_factor: hidden width as a multiple of 2 p; None for a single linear layer.
        num_layers: number of hidden layers.
        dtype: of the products, e.g. ``jnp.bfloat16``; parameters and result are float32.

    Returns:
        ``apply(params, x (n, c)) -> (n, p, 2)``.

    Source: upstream `core.py` (`DynamicEBSelectiveModule`).
    """
    init_network, apply_network = _perceptron(
        layer_widths(num_bands, 2 * pool_size, width_factor, num_layers),
        jnp.tanh,
        ENERGY_DEVIATION,
        dtype,
    )

    def energies(params: Params, x: Float[Array, "n c"]) -> Float[Array, "n p 2"]:
        return apply_network(params, x).reshape(len(x), pool_size, 2)

    return Network(init_network, energies)


def concentration_network(
    num_bands: int,
    pool_size: int,
    width_factor: int | None = 2,
    num_layers: int = 2,
    dtype: Any = jnp.float32,
) -> Network:
    """Amount of each component of a pool in a spectrum, were it open: the network's absolute.

    Linear layers with ReLU between them; weights and biases start normal, deviation 0.01.

    Args:
        num_bands: c of the spectra.
        pool_size: p of the pool.
        width_factor: hidden width as a multiple of p; None for a single linear layer.
        num_layers: number of hidden layers.
        dtype: of the products, e.g. ``jnp.bfloat16``; parameters and result are float32.

    Returns:
        ``apply(params, x (n, c)) -> (n, p)``, >= 0, in the units of the spectra.

    Source: upstream `mcr.py` (`EBSelectiveMCR`).
    """
    init_network, apply_network = _perceptron(
        layer_widths(num_bands, pool_size, width_factor, num_layers),
        jax.nn.relu,
        CONCENTRATION_DEVIATION,
        dtype,
    )
    return Network(init_network, lambda params, x: jnp.abs(apply_network(params, x)))
