"""The loop of upstream's joint training: exact resume, its end, the best states by bands of fit."""

import json
from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.mixing import UnmixedSpectra
from jaxhsi.sharding import device_mesh
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import MetricsWriter
from jaxhsi.upstream.gmcr.adamw import zero_moments
from jaxhsi.upstream.gmcr.fit_levels import LevelStates
from jaxhsi.upstream.gmcr.options import JointOptions
from jaxhsi.upstream.gmcr.state import EpochInfo, Evaluation, Joint, LossTerms, State
from jaxhsi.upstream.gmcr.training import JointResult, joint_method, train_joint

OPTIONS = JointOptions(pool_sizes=(5,), hidden_width_factor=None, batch_size=12)
X = np.random.default_rng(0).uniform(size=(12, 7)).astype(np.float32)


def fitted(method: Joint, folder, epochs: int, save_every: int = 2) -> JointResult:
    folder.mkdir(exist_ok=True)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        summary = "loss {loss:.4f}, {num_active} components"
        logbook = partial(MetricsWriter, folder, last_step=epochs, summary_format=summary)
        states = LevelStates(folder / "band_states")
        run = (jax.random.key(0), method, jnp.asarray(X), epochs, logbook, checkpoints, states)
        return train_joint(*run, save_every=save_every)


def test_four_epochs_are_two_and_two_bit_for_bit(tmp_path):
    method = joint_method(7, OPTIONS)
    whole = fitted(method, tmp_path / "whole", 4)
    fitted(method, tmp_path / "parts", 2)
    parts = fitted(method, tmp_path / "parts", 4)
    chex.assert_trees_all_equal(whole.params, parts.params)
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    assert {"loss", "terms/count", "temperature", "r2"} <= json.loads(lines[0]).keys()
    unmixed = whole.unmix(whole.params, X)
    assert unmixed.concentrations.shape == (12, whole.used.sum())
    np.testing.assert_allclose(
        unmixed.concentrations @ unmixed.components, unmixed.reconstruction, atol=1e-5
    )
    assert (whole.converged, whole.bands) == (False, ())


def test_devices_that_do_not_divide_a_mini_batch_train_what_one_does(tmp_path):
    options = replace(OPTIONS, batch_size=5)  # 12 spectra: 5, 5 and 2, on three devices
    one, three = (
        fitted(joint_method(7, options, mesh=mesh), tmp_path / name, 2)
        for name, mesh in (("one", None), ("three", device_mesh(3)))
    )
    chex.assert_trees_all_close(three.params, one.params, atol=1e-4)
    np.testing.assert_array_equal(three.used, one.used)
    unmixed = [each.unmix(each.params, X).concentrations for each in (one, three)]
    np.testing.assert_allclose(*unmixed, atol=1e-4)


def test_a_library_is_a_pool_of_its_own_that_stays():
    library = np.abs(X[:3])
    method = joint_method(7, OPTIONS, library=library, num_candidates=2)
    assert method.options.pool_sizes == (3, 2)
    assert method.options.learnable_pools == (False, True)
    params = jax.jit(method.init)(jax.random.key(0)).params
    np.testing.assert_array_equal(params[0]["pool"], library)
    assert params[1]["pool"].shape == (2, 7)


def scripted(rows: list[tuple[float, float, float, int]], **options) -> Joint:
    """A method whose epochs have these (nMSE, R2, mean energy, count); params count the epochs."""
    nmse, r2, energy, used = (jnp.asarray(column) for column in zip(*rows, strict=True))
    zero = jnp.zeros(())

    def init(key):
        params = ({"pool": jnp.zeros((1, 7))},)
        return State(jnp.int32(0), jnp.int32(0), zero, params, zero_moments(params))

    def epoch(key, state, x):
        e = state.epoch
        evaluation = Evaluation(nmse[e], r2[e], zero, used[e])
        state = state._replace(epoch=e + 1, params=jax.tree.map(lambda a: a + 1, state.params))
        return state, EpochInfo(
            evaluation, energy[e], zero, zero, zero, LossTerms(zero, zero, zero, zero)
        )

    def unmix(params, x):
        return UnmixedSpectra(x, x[:, :1], params[0]["pool"], x[:, :1])

    nothing = dict.fromkeys(("draw", "loss", "update", "step", "evaluate", "assess"))
    made = JointOptions(pool_sizes=(1,), hidden_width_factor=None, **options)
    return Joint(init=init, epoch=epoch, unmix=unmix, pools=(), options=made, **nothing)


def test_upstreams_rule_ends_the_training(tmp_path):
    """Fit reached in epoch 3, left with the 100 epochs after it, energy at a quarter in 106."""
    reached = [(0.5, 0.5, 1.0, 1)] * 2 + [(0.005, 0.9, 1.0, 1)]
    method = scripted(reached + [(0.02, 0.9, 0.3, 1)] * 102 + [(0.02, 0.9, 0.25, 1)] * 10)
    cut = fitted(method, tmp_path, 60, save_every=50)
    assert not cut.converged
    ended = fitted(method, tmp_path, 115, save_every=50)
    assert ended.converged
    assert (ended.params[0]["pool"] == 106).all()
    again = fitted(method, tmp_path, 115, save_every=50)  # it stays at its end
    assert again.converged
    assert (again.params[0]["pool"] == 106).all()


BANDS = [(0.1, 0.0, 5), (0.1, 0.975, 4), (0.1, 0.972, 4), (0.1, 0.98, 3), (0.1, 0.979, 3),
         (0.1, 0.976, 2)]  # fmt: skip
"""nMSE, R2 and count: no band, the second one, the first, the third, the second twice."""


def test_the_best_state_of_each_band_survives_a_resume(tmp_path):
    method = scripted([(nmse, r2, 0.5, count) for nmse, r2, count in BANDS])
    fitted(method, tmp_path, 4)
    assert sorted(p.name for p in (tmp_path / "band_states").iterdir()) == [
        "0-3.npz", "1-2.npz", "2-4.npz"]  # fmt: skip
    kept = fitted(method, tmp_path, 6).bands
    assert [band.name for band in kept] == [
        "0.97[->]0.975", "0.975[->]0.98", "0.98[->]0.985"]  # fmt: skip
    # The band from 0.975: 4 components in epoch 2, 3 in epoch 5, 2 in epoch 6.
    assert [band.params[0]["pool"][0, 0] for band in kept] == [3, 6, 4]
    assert [band.count for band in kept] == [4, 2, 3]
    assert [band.r2 for band in kept] == pytest.approx([0.972, 0.976, 0.98])
    assert {band.mean_energy for band in kept} == {0.5}


def test_bands_of_nmse_or_none(tmp_path):
    rows = [(0.022, 0.0, 0.5, 1), (0.021, 0.0, 0.5, 1)]
    method = scripted(rows, level_criterion="nMSE", first_level=0.025)
    [kept] = fitted(method, tmp_path / "nmse", 2).bands
    assert kept.name == "0.025[->]0.02"
    assert (kept.params[0]["pool"] == 2).all()
    assert fitted(scripted(rows, level_criterion=None), tmp_path / "none", 2).bands == ()


@pytest.mark.parametrize(("name", "start"), [("2-4.npz", "step 2"), ("1-2.npz", "its start")])
def test_a_damaged_state_of_a_band_is_computed_anew(tmp_path, caplog, name, start):
    """Both checkpoints need the state of epoch 2, the newest one that of epoch 4."""
    method = scripted([(nmse, r2, 0.5, count) for nmse, r2, count in BANDS])
    whole = fitted(method, tmp_path / "whole", 6)
    fitted(method, tmp_path / "parts", 4)
    path = tmp_path / "parts" / "band_states" / name
    path.write_bytes(path.read_bytes()[:-1])
    parts = fitted(method, tmp_path / "parts", 6)
    assert f"{name} is damaged: " in caplog.text
    assert f"it is computed anew: the run goes on from {start}" in caplog.text
    chex.assert_trees_all_equal(whole.bands, parts.bands)
    lines = [(tmp_path / each / "metrics.jsonl").read_text() for each in ("whole", "parts")]
    assert lines[0] == lines[1]
