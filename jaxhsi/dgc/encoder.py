"""Patch encoders, seen from outside as pure functions of parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Key

Params = Any
"""A pytree of arrays."""


class Encoder(NamedTuple):
    """A patch encoder as a pair of pure functions.

    Attributes:
        init: ``init(key) -> params``, a nested dictionary of float32 arrays.
        apply: ``apply(params, x) -> z`` from ``(b, h, w, c)`` to ``(b, h, w, d)``.
        halo: how far in rows (and, unless ``full_rows``, columns) a pixel of the input can
            reach into the output; tiles predicted with this margin agree with the whole image.
        full_rows: the encoder also mixes pixels along the flattened row, so that tiles must span
            the full width of the cube.
    """

    init: Callable[[Key[Array, ""]], Params]
    apply: Callable[[Params, Float[Array, "b h w c"]], Float[Array, "b h w d"]]
    halo: int
    full_rows: bool = False
