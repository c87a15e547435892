"""The loop of upstream's joint training: exact resume, a library, and what is left of the pools."""

import json

import jax
import numpy as np
import pytest

from jaxhsi.gmcr.joint import Joint, JointOptions
from jaxhsi.runtime.checkpoint import Checkpoints
from jaxhsi.runtime.joint import Jointly, fit_joint, joint_method
from jaxhsi.runtime.logbook import Logbook

OPTIONS = JointOptions(sizes=(5,), hidden_extension=None, batch=8)
X = np.random.default_rng(0).uniform(size=(12, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def method() -> Joint:
    return joint_method(7, OPTIONS)


def fitted(method: Joint, folder, epochs: int) -> Jointly:
    folder.mkdir(exist_ok=True)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        summary = "loss {loss:.4f}, {active} components"
        logbook = Logbook(folder, checkpoints.latest() or 0, epochs, summary)
        x = jax.numpy.asarray(X)
        return fit_joint(jax.random.key(0), method, x, epochs, logbook, checkpoints, save_every=2)


def test_four_epochs_are_two_and_two_bit_for_bit(method, tmp_path):
    whole = fitted(method, tmp_path / "whole", 4)
    fitted(method, tmp_path / "parts", 2)
    parts = fitted(method, tmp_path / "parts", 4)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), whole.params, parts.params))
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    assert {"loss", "terms/count", "temperature", "r2"} <= json.loads(lines[0]).keys()
    unmixed = whole.unmix(whole.params, X)
    assert unmixed.concentrations.shape == (12, whole.used.sum())
    np.testing.assert_allclose(
        unmixed.concentrations @ unmixed.components, unmixed.reconstruction, atol=1e-5
    )


def test_a_library_is_a_pool_of_its_own_that_stays():
    library = np.abs(X[:3])
    method = joint_method(7, OPTIONS, library=library, num_candidates=2)
    state = method.init(jax.random.key(0))
    np.testing.assert_array_equal(state.params[0]["pool"], library)
    assert state.params[1]["pool"].shape == (2, 7)
    noise = method.draw(jax.random.key(1), 12)
    state, _ = jax.jit(method.step)(noise, state, jax.numpy.asarray(X))
    np.testing.assert_array_equal(state.params[0]["pool"], library)
