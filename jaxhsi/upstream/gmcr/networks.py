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
CONCENTRATION_DEVIATION = 0.01


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
        for i in range(len(self.layers)):
            x = self.layers[str(i)](x if i == 0 else self.activation(x))
        return x.astype(jnp.float32)


def _perceptron(layer_widths: list[int], activation: Callable, std: float, dtype: Any) -> Network:
    """Weights and biases both start normal: one draw for all, which compiles faster than many."""
    made, apply = functional_module(lambda rngs: _Perceptron(layer_widths, activation, dtype, rngs))

    def init(key: Key[Array, ""]) -> Params:
        leaves, tree = jax.tree.flatten(jax.eval_shape(made, key)["layers"])
        ends = list(itertools.accumulate(leaf.size for leaf in leaves))
        parts = jnp.split(std * jax.random.normal(key, (ends[-1],)), ends[:-1])
        shaped = (part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True))
        return jax.tree.unflatten(tree, shaped)

    return Network(init, lambda params, x: apply({"layers": params}, x))


def layer_widths(bands: int, out: int, extension: int | None, layers: int) -> list[int]:
    """Widths of a network of upstream: ``layers`` hidden ones of out * extension, or none.

    Raises:
        ValueError: no hidden layer though an extension is given, or an extension below 1.
    """
    if extension is None:
        return [bands, out]
    if extension < 1 or layers < 1:
        raise ValueError(
            f"hidden_width_factor is {extension} and hidden_layers {layers}; both are at least 1, "
            "or hidden_width_factor None for a single linear layer"
        )
    return [bands, *[out * extension] * layers, out]


def gating_network(
    bands: int, size: int, extension: int | None = 2, layers: int = 2, dtype: Any = jnp.float32
) -> Network:
    """Energies of "open" and "closed" of each component of a pool, from a spectrum.

    Linear layers with tanh between them; weights and biases start normal, deviation 0.05. The
    lower the energy, the likelier the state (`gates.gumbel_pair`).

    Args:
        bands: c of the spectra.
        size: p of the pool.
        extension: hidden width as a multiple of 2 p; None for a single linear layer.
        layers: number of hidden layers.
        dtype: of the products, e.g. ``jnp.bfloat16``; parameters and result are float32.

    Returns:
        ``apply(params, x (n, c)) -> (n, p, 2)``.

    Source: upstream `core.py` (`DynamicEBSelectiveModule`).
    """
    init, apply = _perceptron(
        layer_widths(bands, 2 * size, extension, layers), jnp.tanh, ENERGY_DEVIATION, dtype
    )

    def energies(params: Params, x: Float[Array, "n c"]) -> Float[Array, "n p 2"]:
        return apply(params, x).reshape(len(x), size, 2)

    return Network(init, energies)


def concentration_network(
    bands: int, size: int, extension: int | None = 2, layers: int = 2, dtype: Any = jnp.float32
) -> Network:
    """Amount of each component of a pool in a spectrum, were it open: the network's absolute.

    Linear layers with ReLU between them; weights and biases start normal, deviation 0.01.

    Args:
        bands: c of the spectra.
        size: p of the pool.
        extension: hidden width as a multiple of p; None for a single linear layer.
        layers: number of hidden layers.
        dtype: of the products, e.g. ``jnp.bfloat16``; parameters and result are float32.

    Returns:
        ``apply(params, x (n, c)) -> (n, p)``, >= 0, in the units of the spectra.

    Source: upstream `mcr.py` (`EBSelectiveMCR`).
    """
    init, apply = _perceptron(
        layer_widths(bands, size, extension, layers), jax.nn.relu, CONCENTRATION_DEVIATION, dtype
    )
    return Network(init, lambda params, x: jnp.abs(apply(params, x)))
