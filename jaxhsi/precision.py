"""Precision of matrix products and convolutions.

Networks may multiply in bfloat16; parameters, sums, losses, softmax, norms, running means and the
distances of the Gaussian mixture are float32 whatever is chosen. What is to be float32 is computed
as such: accelerators round the operands of float32 products unless they are told not to.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, Literal

import jax

Precision = Literal["float32", "bfloat16"]


def default_precision() -> Precision:
    """Type of the products of networks where none is asked for: bfloat16 on accelerators.

    CPUs compute float32, since most of them only emulate bfloat16.
    """
    return "float32" if jax.default_backend() == "cpu" else "bfloat16"


def float32_products() -> AbstractContextManager:
    """A block in which the products of float32 arrays are float32 on every device.

    By default GPUs of NVIDIA round the operands to TF32 (10 bits of mantissa), TPUs to bfloat16
    (7 bits). CPUs compute float32 anyway.

    >>> import jax.numpy as jnp
    >>> with float32_products():
    ...     float(jnp.array([1.0009765625]) @ jnp.array([1.0]))
    1.0009765625
    """
    if jax.default_backend() == "cpu":
        # The context is part of the name of a compiled program: none is compiled twice.
        return nullcontext()
    return jax.default_matmul_precision("highest")


def with_float32_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function inside of `float32_products`.

    Args:
        function: that computes, or that JAX traces.
    """

    @wraps(function)
    def compute(*arguments: Any, **options: Any) -> Any:
        with float32_products():
            return function(*arguments, **options)

    return compute
