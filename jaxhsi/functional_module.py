"""Flax modules seen from outside as pure functions."""

from collections.abc import Callable
from typing import Any

from flax import nnx
from jaxtyping import Array, Key

Params = Any
"""A nested dictionary of arrays."""


def functional_module(build: Callable[[nnx.Rngs], nnx.Module]) -> tuple[Callable, Callable]:
    """An NNX module as ``init(key) -> params`` and ``apply(params, *inputs)``, params a dict."""
    structure = nnx.graphdef(nnx.eval_shape(lambda: build(nnx.Rngs(0))))

    def init(key: Key[Array, ""]) -> Params:
        return nnx.to_pure_dict(nnx.state(build(nnx.Rngs(key)), nnx.Param))

    def apply(params: Params, *inputs: Any) -> Any:
        return nnx.merge(structure, nnx.State(params))(*inputs)

    return init, apply
