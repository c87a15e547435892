"""Folders of bands: scores, upstream's checkpoints, and what is said where those cannot be."""

import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.upstream.gmcr.checkpoint import load_upstream_mcrs
from jaxhsi.upstream.gmcr.fit_levels import Band, LevelStates, write_fit_levels
from jaxhsi.upstream.gmcr.options import JointOptions, PoolOptions

OPTIONS = JointOptions(pool_sizes=(2,), hidden_width_factor=None)
NAME = "0.97[->]0.975"


def pool(value: float) -> tuple:
    arrays = {"kernel": jnp.full((3, 4), value), "bias": jnp.zeros(4)}
    small = {"kernel": jnp.full((3, 2), value), "bias": jnp.ones(2)}
    return ({"pool": jnp.ones((2, 3)), "gating": {"0": arrays}, "concentration": {"0": small}},)


def band() -> Band:
    return Band(NAME, 0.25, 0.5, 0.125, 2, jax.tree.map(np.asarray, pool(1.0)))


def test_a_band_is_upstreams_checkpoint_with_its_scores(tmp_path):
    write_fit_levels(tmp_path, OPTIONS, [band()])
    text = (tmp_path / NAME / "result.csv").read_text()
    assert text == "nMSE,R2,mean_energy,effective_components\n0.25,0.5,0.125,2\n"
    chex.assert_trees_all_equal(load_upstream_mcrs(tmp_path / NAME)[1], pool(1.0))


def test_without_safetensors_scores_are_written_and_it_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    write_fit_levels(tmp_path, OPTIONS, [band()])
    assert [p.name for p in (tmp_path / NAME).iterdir()] == ["result.csv"]
    assert "the scores of 1 bands but not their checkpoints" in caplog.text
    assert "pip install 'jaxhsi[io]'" in caplog.text


def test_pools_that_upstream_does_not_know_are_said(tmp_path, caplog):
    options = JointOptions(pool_sizes=(2,), hidden_width_factor=None, pool=PoolOptions("softplus"))
    write_fit_levels(tmp_path, options, [band()])
    assert [p.name for p in (tmp_path / NAME).iterdir()] == ["result.csv"]
    assert "upstream knows no pool with non_negative='softplus'" in caplog.text


@pytest.fixture
def states(tmp_path) -> LevelStates:
    return LevelStates(tmp_path)


def test_files_stay_as_long_as_a_checkpoint_needs_them(states, tmp_path):
    for epoch, files in (
        (2, {"0-2.npz"}),
        (4, {"0-2.npz", "0-4.npz"}),
        (6, {"0-4.npz", "0-6.npz"}),
    ):
        states.keep(0, pool(epoch))
        states.write(np.array([epoch, -1]))
        states.prune(np.array([epoch, -1]))
        assert {p.name for p in tmp_path.iterdir()} == files
    again = LevelStates(tmp_path)
    again.load(np.array([4, -1]), pool(0.0))
    chex.assert_trees_all_equal(again.get(0), pool(4.0))


def test_a_copy_does_not_follow_its_source(states):
    source = {"pool": np.ones((1, 2))}
    states.keep(0, (source,))
    source["pool"][:] = 5
    assert (states.get(0)[0]["pool"] == 1).all()
