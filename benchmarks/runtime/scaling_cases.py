"""Phases of DGC at its default options, as the commands compile them, for `runtime.scaling`.

They are sharded as the commands do it, or under a plain ``jax.jit`` where the mesh is None.
"""

from collections.abc import Callable
from functools import cache, partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.dgc.gaussian_mixture import fit_mixture
from jaxhsi.dgc.monitor import draw_validation_views, evaluate_views
from jaxhsi.dgc.state import Batch, SegmentationAlgorithm
from jaxhsi.dgc.views import window_size
from jaxhsi.normalisation import band_stats
from jaxhsi.process_sharding import process_rows, shard_process_rows
from jaxhsi.sharding import (
    BATCH_AXIS,
    VIEW_AXIS,
    compile_evaluation,
    compile_prediction,
    compile_step,
    padded_length,
    replicate,
    shard_batch,
    view_mesh,
)
from jaxhsi.workflows.dgc_method import build_method

CONFIG = DGCConfig()
MIXTURE_DIMENSIONS = 8


class Case(NamedTuple):
    """A phase.

    Attributes:
        function: jitted.
        arguments: on the devices.
        units: what the busiest device computes: views, windows, starts or tiles.
        uses_up: place of the argument whose memory is reused for the first result, which takes its
            place in the next call; None where there is no such argument.
    """

    function: Callable
    arguments: tuple
    units: int
    uses_up: int | None = None


@cache
def spectra(num_bands: int) -> np.ndarray:
    """Noisy mixtures of smooth spectra, one of sixteen for each pixel."""
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.standard_normal((16, num_bands)), 1)
    values = smooth[rng.integers(0, 16, CONFIG.stream.sample_size)]
    return (values + 0.1 * rng.standard_normal(values.shape)).astype(np.float32)


def windows(count: int, side: int, num_bands: int) -> Batch:
    """Images of such spectra; all pixels are valid."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, CONFIG.stream.sample_size, (count, side, side))
    return Batch(spectra(num_bands)[pixels], np.ones(pixels.shape, bool))


def method_and_state(mesh: Mesh | None, num_bands: int) -> tuple[SegmentationAlgorithm, Any]:
    """The default method and its start, on the host."""
    method = build_method(CONFIG, num_bands, mesh)
    few = build_method(CONFIG, num_bands).init
    return method, jax.device_get(few(jax.random.key(0), jnp.asarray(spectra(num_bands)[:2048])))


def step(mesh: Mesh | None, num_bands: int) -> Case:
    """A training step."""
    batch_size = CONFIG.stream.batch_size
    method, state = method_and_state(mesh, num_bands)
    batch, key = windows(batch_size, window_size(CONFIG.views), num_bands), jax.random.key(1)
    if mesh is None:
        plain_step = jax.jit(method.step, donate_argnums=1)
        return Case(plain_step, (key, *jax.device_put((state, batch))), 2 * batch_size, uses_up=1)
    pairs = view_mesh(mesh, batch_size)
    own_batch = jax.tree.map(itemgetter(process_rows(pairs, batch_size)), batch)
    own_batch = shard_process_rows(pairs, own_batch, batch_size)
    placed = replicate(pairs, key), replicate(pairs, state), own_batch
    num_windows = padded_length(pairs, batch_size) // pairs.shape[BATCH_AXIS]
    views = 2 * num_windows // pairs.shape.get(VIEW_AXIS, 1)
    return Case(compile_step(pairs, method.step, batch_size), placed, views, uses_up=1)


def monitor(mesh: Mesh | None, num_bands: int) -> Case:
    """The evaluation of a state on the validation views."""
    method, state = method_and_state(mesh, num_bands)
    batch = windows(CONFIG.monitor.num_windows, window_size(CONFIG.views), num_bands)
    draw = jax.jit(draw_validation_views, static_argnums=3)
    stats = band_stats(jnp.asarray(spectra(num_bands)))
    views = jax.device_get(draw(jax.random.key(2), batch, stats, CONFIG.views))
    evaluate = partial(evaluate_views, method, CONFIG.num_clusters)
    if mesh is None:
        return Case(jax.jit(evaluate), jax.device_put((state, views)), len(views.crops))
    compiled = compile_evaluation(mesh, evaluate, len(views.crops))
    placed = replicate(mesh, state), shard_batch(mesh, views)
    return Case(compiled, placed, padded_length(mesh, len(views.crops)) // mesh.size)


def starts(mesh: Mesh | None) -> Case:
    """The starts of the Gaussian mixture."""
    rng = np.random.default_rng(3)
    v = rng.standard_normal((CONFIG.stream.sample_size, MIXTURE_DIMENSIONS)).astype(np.float32)
    num_starts = CONFIG.teacher_student.mixture_starts

    def fit(key: Any, v: Any) -> Any:
        return fit_mixture(key, v, CONFIG.num_clusters, num_starts, mesh=mesh)

    arguments = jax.random.key(4), v
    placed = jax.device_put(arguments) if mesh is None else replicate(mesh, arguments)
    num_devices = 1 if mesh is None else mesh.size
    return Case(jax.jit(fit), placed, -(-num_starts // num_devices))


def label(mesh: Mesh | None, num_bands: int, tile: int) -> Case:
    """Labels of a tile on each device."""
    method, state = method_and_state(mesh, num_bands)
    side = tile + 2 * method.halo
    images = windows(1 if mesh is None else mesh.size, side, num_bands)
    if mesh is None:
        return Case(jax.jit(method.predict), jax.device_put((state, *images)), 1)
    compiled = compile_prediction(mesh, method.predict)
    return Case(compiled, (replicate(mesh, state), *shard_batch(mesh, images)), 1)
