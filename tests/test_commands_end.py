"""Commands end on one core, on two and on all; with jaxlib 0.10 some waited for themselves.

Each runs in a process of its own, whose cores are set before XLA makes its thread pool.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

LIMIT = 400  # seconds, many times what is needed: not a timing
ALL_CORES = {os.cpu_count()} - {1, 2, None}

SHORT = (
    "--solver.steps_per_phase 2 --solver.noise_refit_every 2 --solver.max_phases 2 "
    "--solver.refits 1 --solver.prune_candidates 1 --num_pixels 2048 "
    "--restarts 1 --amortised.training_steps 1 --amortised.steps_per_call 1"
)

MAPPED = """
import jax, jax.numpy as jnp
import numpy as np
import jaxhsi.gmcr.rotation_search as search
import jaxhsi.gmcr.rotational_ambiguity as ambiguity
from jaxhsi.gmcr.fitted_mixture import FittedMixture
from jaxhsi.gmcr.component_pool import component_gains
from jaxhsi.gmcr.sparse_coding import sparse_codes

search._NUM_STEPS = 5
for count, components in ((3000, 4), (4096, 16)):
    keys = jax.random.split(jax.random.key(0), 3)
    spectra = jnp.abs(jax.random.normal(keys[0], (components, 24)))
    spectra /= jnp.linalg.norm(spectra, axis=1, keepdims=True)
    codes = 50 * jax.random.uniform(keys[1], (count, components))
    codes *= jax.random.uniform(keys[2], codes.shape) < 0.5
    bands, none = np.ones(24), np.zeros(components, bool)
    found = ambiguity.band_boundaries(
        FittedMixture(*map(np.asarray, (codes, spectra, spectra, bands, codes != 0, none)))
    )
    assert np.isfinite(found.signal_share).all()

    def restart(x):  # two loops that do not need each other, as `end_phase` has
        gates = jnp.ones(components)
        code = lambda x: sparse_codes(x, spectra, gates, jnp.array(8.0))
        return code(x), component_gains(code(x[::-1]), spectra, gates > 0)

    restarts = jnp.stack([codes @ spectra] * 4)
    jax.block_until_ready(jax.jit(jax.vmap(restart))(restarts))
    print(count, components, flush=True)
"""

COMMANDS = """
from jaxhsi.train import main as train
from jaxhsi.unmix import main as unmix
short, cube, out = sys.argv[1].split(), sys.argv[2], sys.argv[3]
given = ["--data", cube, "--layout", "hwc", "--num_components", "4"]
assert train(["gmcr", *given, *short, "--out", out + "/cube"]) == 0
assert unmix([out + "/cube", cube, "--layout", "hwc", "--out", out + "/new"]) == 0
"""


def run(code: str, cores: int, *arguments: str) -> str:
    code = f"import os, sys\nos.sched_setaffinity(0, range({cores}))\n" + code
    flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
    one_device = os.environ | {"XLA_FLAGS": " ".join(flags)}  # as users have
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=one_device,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system does not let a process choose cores"
)


@pytest.mark.parametrize("cores", [1, 2, *ALL_CORES])
@pytest.mark.slow
def test_what_is_mapped_ends(cores):
    assert len(run(MAPPED, cores).splitlines()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("cores", [2, *ALL_CORES])
def test_commands_on_images_end(cores, tmp_path):
    draw = np.random.default_rng(0)
    spectra = np.abs(np.cumsum(draw.normal(size=(4, 24)), axis=1))
    shares = draw.dirichlet(np.full(4, 0.5), size=(64, 64))
    cube = shares @ spectra + 0.05 * draw.normal(size=(64, 64, 24))
    np.save(tmp_path / "cube.npy", cube.astype(np.float32))
    run(COMMANDS, cores, SHORT, str(tmp_path / "cube.npy"), str(tmp_path))
    assert (tmp_path / "new" / "concentrations").is_dir()
