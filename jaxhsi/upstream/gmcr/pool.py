"""The pool: more candidate spectra than are needed, as free parameters and as components."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxhsi.upstream.gmcr.options import PoolOptions

_START_DEVIATION = 0.1
"""Deviation of a random start: value of the PyTorch code, `mcr.py`."""
_MIN_SOFTPLUS = 1e-6
"""Least value that a softplus is asked for, so that its inverse stays finite. Chosen by hand; not
tuned."""


def components(
    raw: Float[Array, "p c"],
    options: PoolOptions = PoolOptions(),  # noqa: B008 -- frozen
) -> Float[Array, "p c"]:
    """Spectra of the parameters, s = f(r) / ||f(r)||: non-negativity first, then the norm.

    A row of zeros stays a row of zeros (upstream: NaN), with zero gradient if it is normalised. In
    other rows the gradient of |r| at 0 is 1, so that the zeros of a library can be learned away
    from (upstream's is 0: they cannot).

    Source: upstream `mcr.py`, `EBSelectiveMCR.components`.
    """
    if options.non_negative == "abs":
        raw = jnp.abs(raw)
    elif options.non_negative == "softplus":
        raw = jax.nn.softplus(raw)
    return normalised(raw, options.norm)


def normalised(rows: Float[Array, "p c"], norm: int | Literal["max"] | None) -> Float[Array, "p c"]:
    """Rows divided by their p-norm (sum |v|^p)^(1/p), or by max |v|; rows of zeros stay zero."""
    if norm is None:
        return rows
    is_empty = jnp.all(rows == 0, axis=1, keepdims=True)
    safe_rows = jnp.where(is_empty, 1.0, rows)  # the norm's gradient at zero is NaN
    norm_order = jnp.inf if norm == "max" else norm
    unit_rows = rows / jnp.linalg.norm(safe_rows, ord=norm_order, axis=1, keepdims=True)
    # Zero, where the PyTorch code gives NaN.
    return jnp.where(is_empty, 0.0, unit_rows)


def parameters(spectra: Float[Array, "p c"], options: PoolOptions) -> Float[Array, "p c"]:
    """Parameters whose components are these spectra, but for their length.

    Of rows brought to the norm of the options, so that a step of an optimiser means the same for
    all. Negative values are turned over by "abs", and become 1e-6 with "softplus".
    """
    rows = normalised(spectra, options.norm)
    if options.non_negative != "softplus":
        return rows
    # Zeros of a spectrum have no finite inverse.
    rows = jnp.maximum(rows, _MIN_SOFTPLUS)
    return rows + jnp.log(-jnp.expm1(-rows))  # log(exp(s) - 1), without overflow


def random_parameters(
    key: Key[Array, ""],
    pool_size: int,
    num_bands: int,
    options: PoolOptions = PoolOptions(),  # noqa: B008 -- frozen
) -> Float[Array, "p c"]:
    """Start without data: r ~ N(0, 0.1^2), |r| if components are non-negative.

    Source: upstream `mcr.py`, `EBSelectiveMCR.__init__`.
    """
    raw = _START_DEVIATION * jax.random.normal(key, (pool_size, num_bands))
    if options.non_negative == "abs":
        return jnp.abs(raw)
    if options.non_negative == "softplus":
        return parameters(jnp.abs(raw), options)
    return raw


def library_parameters(
    library: Float[Array, "l c"] | Float[np.ndarray, "l c"],
    options: PoolOptions = PoolOptions(),  # noqa: B008 -- frozen
) -> Float[Array, "l c"]:
    """Start from known spectra, in their order: parameters whose components they are.

    Whether they are then learned or stay fixed is the caller's choice. Not for use under jit, as
    it looks at the values.

    Args:
        library: spectra of any scale, (l, c).
        options: how the pool will be read.

    Raises:
        ValueError: values that are not finite, negative where components are non-negative, or a
            spectrum of zeros.
    """
    # On the host, where values can be looked at before anything is compiled.
    spectra = np.asarray(library, np.float32)
    _check_library(spectra, options)
    if options.non_negative == "softplus":
        return parameters(jnp.asarray(spectra), options)
    return jnp.asarray(spectra)  # `components` leaves them as they are but for their length


def _check_library(spectra: np.ndarray, options: PoolOptions) -> None:
    if not np.isfinite(spectra).all():
        row, band = np.argwhere(~np.isfinite(spectra))[0]
        raise ValueError(f"the library's spectrum {row} is not finite at band {band}; repair it")
    if options.non_negative and (spectra < 0).any():
        raise ValueError(
            f"the library holds {(spectra < 0).sum()} negative values, down to {spectra.min():.3g};"
            " set them to 0, or set non_negative to None"
        )
    if not spectra.any(1).all():
        raise ValueError(f"the library's spectrum {spectra.any(1).argmin()} is zero; leave it out")
