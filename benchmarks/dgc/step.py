"""Time and memory of DGC beside the PyTorch reference, at the reference's defaults.

    python -m benchmarks.dgc.step --reference PATH [--reference-python PYTHON] --out FILE.json

For every task each implementation runs in a fresh process of its own; requests alternate between
the processes, so that both see the same machine. 301 bands, 4 pairs of crops of 64 x 64, 4
clusters, 5 mean-shift iterations, float32; inference on one cube of 256 x 256.

Tasks: ``step``, a whole training step (for the reference: gradients, clip, AdamW, second forward
pass, centroids; the default method also cuts and augments its views); ``encoder``, its forward
pass on 8 crops; ``inference``, labels of a cube. The first run of a task, which compiles, is
reported as ``first_seconds``. This file runs under two interpreters: it imports neither torch nor
jax before it knows which one it is.
"""

import importlib
import sys
import types
from collections.abc import Callable

from benchmarks.side_by_side import Comparison
from benchmarks.side_by_side import main as compare

BANDS, PAIRS, CROP, DIM, CLUSTERS, CUBE = 301, 4, 64, 32, 4, 256
TASKS = {
    "step": ("upstream", "parity", "default"),
    "encoder": ("upstream", "parity"),
    "inference": ("upstream", "parity", "default"),
}
REACH = {("step", "parity"): 8, ("step", "default"): 20, ("inference", "parity"): 10}


def upstream(task: str, reference: str) -> Callable[[], None]:
    """The reference's own code, as its trainer calls it."""
    import torch

    sys.path.insert(0, reference)
    sys.modules["torch.utils.tensorboard"] = types.SimpleNamespace(SummaryWriter=None)
    package = "hsi_global_clustering"
    defaults = importlib.import_module(f"{package}.default_argument")
    trainer = importlib.import_module(f"{package}.trainer")
    torch.manual_seed(0)
    model = trainer.HyperspectralClusteringModel(**defaults.DEFAULT_MODEL_KWARGS)
    crops = torch.randn(2, PAIRS, BANDS, CROP, CROP)
    if task == "inference":
        cube = torch.randn(1, BANDS, CUBE, CUBE)
        return lambda: model.inference(cube)
    if task == "encoder":
        return lambda: torch.no_grad()(model.encoder)(crops.flatten(0, 1))
    optimizer = torch.optim.AdamW(model.parameters(), **defaults.DEFAULT_OPTIMIZER_KWARGS)
    holder = types.SimpleNamespace(model=model)

    def step() -> None:
        optimizer.zero_grad()
        model.train_step(*crops)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            seen = model.train_step(*crops)[2]
        update = trainer.HSIClusteringTrainer._ema_update_centroids
        update(holder, seen["z1"], seen["p1"], seen["z2"], seen["p2"], 0.99, 0.05)

    return step


def parity(task: str, reference: str) -> Callable[[], None]:
    """The same maths in jaxhsi."""
    import jax
    import jax.numpy as jnp

    from jaxhsi.upstream.dgc.algorithm import prototype_dgc, upstream_optimizer
    from jaxhsi.upstream.dgc.encoder import upstream_encoder
    from jaxhsi.upstream.dgc.loss_terms import ViewPair
    from jaxhsi.upstream.dgc.losses import random_balanced_labels
    from jaxhsi.upstream.dgc.options import PrototypeOptions

    key = jax.random.key(0)
    encoder = upstream_encoder(BANDS, DIM)
    dgc = prototype_dgc(encoder, CLUSTERS, DIM, upstream_optimizer(), PrototypeOptions())
    state = jax.jit(dgc.init)(key)
    if task == "inference":
        cube, predict = jax.random.normal(key, (1, CUBE, CUBE, BANDS)), jax.jit(dgc.predict)
        return lambda: jax.block_until_ready(predict(state, cube))
    crops = jax.random.normal(key, (2, PAIRS, CROP, CROP, BANDS))
    if task == "encoder":
        flat, apply = crops.reshape(-1, *crops.shape[2:]), jax.jit(encoder.apply)
        return lambda: jax.block_until_ready(apply(state.params["encoder"], flat))

    def whole(key: jax.Array, state: tuple, crops: jax.Array) -> tuple:
        k_kick, *k_labels = jax.random.split(key, 3)
        pixels = PAIRS * CROP * CROP
        labels = jnp.stack([random_balanced_labels(k, pixels, CLUSTERS) for k in k_labels])
        kick = 0.05 * jax.random.normal(k_kick, (CLUSTERS, DIM))
        return dgc.update(state, ViewPair(crops, labels, kick))

    return _loop(jax.jit(whole, donate_argnums=1), key, state, crops)


def default(task: str, reference: str) -> Callable[[], None]:
    """The default method of jaxhsi at the same sizes, its views cut and augmented in the step."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxhsi.config.dgc import DGCConfig
    from jaxhsi.dgc.options import ViewOptions
    from jaxhsi.dgc.state import Batch
    from jaxhsi.dgc.views import window_size
    from jaxhsi.training.process_memory import keep_freed_memory, limit_malloc_arenas
    from jaxhsi.workflows.dgc_method import build_method

    limit_malloc_arenas(4)  # both as ``jaxhsi train dgc`` does
    keep_freed_memory()
    key, views = jax.random.key(0), ViewOptions(crop=CROP)
    dgc = build_method(DGCConfig(num_clusters=CLUSTERS, views=views), BANDS)
    state = dgc.init(key, jax.random.normal(key, (4096, BANDS)))
    if task == "inference":
        cube, valid = (
            jax.random.normal(key, (1, CUBE, CUBE, BANDS)),
            jnp.ones((1, CUBE, CUBE), bool),
        )
        predict = jax.jit(dgc.predict)
        return lambda: jax.block_until_ready(predict(state, cube, valid))
    side = window_size(views)
    numbers = np.random.default_rng(0).standard_normal((PAIRS, side, side, BANDS), np.float32)
    window = jnp.asarray(numbers)
    del numbers
    batch = Batch(window, jnp.ones(window.shape[:3], bool))
    return _loop(jax.jit(dgc.step, donate_argnums=1), key, state, batch)


def _loop(step: Callable, key: object, state: object, batch: object) -> Callable[[], None]:
    """Keep the state and draw a new key each time; the donated state is gone after a step."""
    import jax

    held = [state, 0]

    def run() -> None:
        held[1] += 1
        held[0], info = step(jax.random.fold_in(key, held[1]), held[0], batch)
        jax.block_until_ready((held[0], info))

    return run


def main() -> None:
    makers = {"upstream": upstream, "parity": parity, "default": default}
    description = __doc__.splitlines()[0]
    package = "hsi_global_clustering"
    compare(Comparison("benchmarks.dgc.step", description, package, makers, TASKS, REACH))


if __name__ == "__main__":
    main()
