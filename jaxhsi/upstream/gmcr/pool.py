"""The pool: more candidate spectra than are needed, as free parameters and as components."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.gmcr.initialisation import successive_projection

_START = 0.1  # deviation of a random start, as upstream
_TINY = 1e-6  # least value a softplus can be asked for: its inverse stays finite


class Pool(NamedTuple):
    """Candidate spectra in p slots; a pruned one stays as a False in ``alive``.

    Attributes:
        raw: the parameters; `components` makes spectra of them (upstream's vanilla_components).
        alive: slots that take part.
    """

    raw: Float[Array, "p c"]
    alive: Bool[Array, " p"]


@dataclass(frozen=True)
class PoolOptions:
    """How parameters become spectra.

    Attributes:
        non_negative: "abs" |r| (as upstream), "softplus" log(1 + exp r), None leaves the sign.
        norm: length 1 in this norm: p of the p-norm (1, 2, ...), "max", or None to leave it.

    Raises:
        ValueError: an unknown non-negativity or norm.
    """

    non_negative: Literal["abs", "softplus"] | None = "abs"
    norm: int | Literal["max"] | None = 2

    def __post_init__(self):
        if self.non_negative not in ("abs", "softplus", None):
            raise ValueError(f"non_negative {self.non_negative!r}: use 'abs', 'softplus' or None")
        if self.norm not in ("max", None) and not (isinstance(self.norm, int) and self.norm >= 1):
            raise ValueError(f"norm {self.norm!r}: use a whole number of 1 or more, 'max' or None")


def components(
    raw: Float[Array, "p c"], options: PoolOptions = PoolOptions()
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
    empty = jnp.all(rows == 0, axis=1, keepdims=True)
    safe = jnp.where(empty, 1.0, rows)  # the norm's gradient at zero is NaN
    order = jnp.inf if norm == "max" else norm
    unit = rows / jnp.linalg.norm(safe, ord=order, axis=1, keepdims=True)
    return jnp.where(empty, 0.0, unit)


def parameters(spectra: Float[Array, "p c"], options: PoolOptions) -> Float[Array, "p c"]:
    """Parameters whose components are these spectra, but for their length.

    Of rows brought to the norm of the options, so that a step of an optimiser means the same for
    all. Negative values are turned over by "abs", and become 1e-6 with "softplus".
    """
    rows = normalised(spectra, options.norm)
    if options.non_negative != "softplus":
        return rows
    rows = jnp.maximum(rows, _TINY)
    return rows + jnp.log(-jnp.expm1(-rows))  # log(exp(s) - 1), without overflow


def random_pool(
    key: Key[Array, ""], size: int, bands: int, options: PoolOptions = PoolOptions()
) -> Pool:
    """Start without data: r ~ N(0, 0.1^2), |r| if components are non-negative.

    Source: upstream `mcr.py`, `EBSelectiveMCR.__init__`.
    """
    raw = _START * jax.random.normal(key, (size, bands))
    if options.non_negative == "abs":
        raw = jnp.abs(raw)
    elif options.non_negative == "softplus":
        raw = parameters(jnp.abs(raw), options)
    return Pool(raw, jnp.ones(size, bool))


def data_pool(
    key: Key[Array, ""], x: Float[Array, "n c"], size: int, options: PoolOptions = PoolOptions()
) -> Pool:
    """Start from data: the spectra that successive projection picks, the most different first.

    Where more slots are asked for than min(n, c) can be told apart, the others hold convex
    mixtures of two random spectra.

    Args:
        key: for the mixtures alone.
        x: spectra, rows of any scale.
        size: number of slots, static.
        options: how the pool will be read.
    """
    picked = min(size, *x.shape)
    spectra = x[successive_projection(x, picked)]
    if size > picked:
        rows_key, share_key = jax.random.split(key)
        pairs = normalised(x, 2)[jax.random.randint(rows_key, (size - picked, 2), 0, len(x))]
        share = jax.random.uniform(share_key, (size - picked, 1))
        mixed = share * pairs[:, 0] + (1 - share) * pairs[:, 1]
        spectra = jnp.concatenate([spectra, mixed])
    return Pool(parameters(spectra, options), jnp.ones(size, bool))


def library_pool(
    library: Float[Array, "l c"] | Float[np.ndarray, "l c"],
    size: int | None = None,
    options: PoolOptions = PoolOptions(),
) -> Pool:
    """Known spectra as a pool, in their order; slots beyond them are dead and hold zeros.

    Whether they are then learned or kept fixed is the caller's choice. Not for use under jit, as
    it looks at the values.

    Args:
        library: spectra of any scale, (l, c).
        size: number of slots, at least l; None for l.
        options: how the pool will be read.

    Raises:
        ValueError: values that are not finite, negative where components are non-negative, or a
            spectrum of zeros; more spectra than slots.
    """
    spectra = np.asarray(library, np.float32)
    size = len(spectra) if size is None else size
    _check_library(spectra, size, options)
    raw = parameters(jnp.asarray(spectra), options)
    empty = size - len(spectra)
    return Pool(jnp.pad(raw, ((0, empty), (0, 0))), jnp.arange(size) < len(spectra))


def _check_library(spectra: np.ndarray, size: int, options: PoolOptions) -> None:
    if size < len(spectra):
        raise ValueError(f"{len(spectra)} spectra in {size} slots; raise the pool's size")
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
