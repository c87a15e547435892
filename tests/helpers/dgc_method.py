"""The smallest default method that segments the scene of `scenes.py`, its state and batches."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxhsi.dgc.algorithm import dgc
from jaxhsi.dgc.networks import patch_encoder
from jaxhsi.dgc.options import DGCOptions, ViewOptions
from jaxhsi.dgc.state import Batch, SegmentationAlgorithm, State
from jaxhsi.dgc.views import window_size
from tests.helpers.scenes import BANDS, CLASSES, blobs

VIEWS = ViewOptions(crop=12)
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(3e-3, weight_decay=1e-4))


@cache  # one object for equal options, so that jit knows its functions again
def method(
    dtype=jnp.float32, *, mesh=None, optimizer=OPTIMIZER, views=VIEWS, **options
) -> SegmentationAlgorithm:
    settings = DGCOptions(**{"mixture_starts": 8} | options)
    dim = settings.resolved_dim(CLASSES, BANDS)
    encoder = patch_encoder(
        BANDS,
        settings.normalisations,
        dim,
        hidden_width=8,
        num_channels=6,
        num_blocks=1,
        dtype=dtype,
    )
    return dgc(encoder, optimizer, CLASSES, settings, views, mesh)


def first_state(dgc: SegmentationAlgorithm, seed: int = 0) -> State:
    return dgc.init(jax.random.key(seed), jnp.asarray(blobs(0)[0].reshape(-1, BANDS)))


def batch(number: int, windows: int = 4, noise: float = 0.0) -> Batch:
    cube = noisy(blobs(0)[0], noise)
    rng, size = np.random.default_rng(number), window_size(VIEWS)
    corners = rng.integers(0, cube.shape[0] - size + 1, (windows, 2))
    stack = np.stack([cube[y : y + size, x : x + size] for y, x in corners])
    return Batch(jnp.asarray(stack), jnp.ones(stack.shape[:3], bool))


def noisy(cube: np.ndarray, noise: float) -> np.ndarray:
    """With so many deviations of each band added."""
    more = np.random.default_rng(7).standard_normal(cube.shape)
    return (cube + noise * cube.std((0, 1)) * more).astype(np.float32)


def stirred(params):
    """Parameters without the zeros that they start with."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(5), len(leaves))
    moved = [p + 0.3 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, moved)
