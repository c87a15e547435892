"""Checkpoints of the PyTorch reference: read, written, refused."""

import json
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxhsi.upstream.dgc.algorithm import prototype_dgc, upstream_optimizer
from jaxhsi.upstream.dgc.checkpoint import (
    from_state_dict,
    load_upstream_checkpoint,
    save_upstream_checkpoint,
    to_state_dict,
    upstream_settings,
)
from jaxhsi.upstream.dgc.encoder import upstream_encoder
from jaxhsi.upstream.dgc.options import PrototypeOptions

SETTINGS = upstream_settings(
    5,
    {"n_spectral_layers": 2, "spectral_kernel_size": 7, "embed_dim": 6, "bias": True},
    {"embed_dim": 6, "n_clusters": 3},
)

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def params():
    encoder = upstream_encoder(5, 6, layers=2, kernel=7, bias=True)
    dgc = prototype_dgc(encoder, 3, 6, upstream_optimizer(), PrototypeOptions())
    return jax.jit(dgc.init)(KEY).params


@pytest.fixture
def folder(tmp_path, params):
    save_upstream_checkpoint(tmp_path / "run", SETTINGS, params)
    return tmp_path / "run"


def test_a_round_trip_changes_nothing(folder, params):
    settings, loaded = load_upstream_checkpoint(folder, bands=5)
    assert settings == SETTINGS
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(loaded), strict=True):
        assert np.array_equal(ours, theirs)


def test_names_and_shapes_are_those_of_the_state_dict(folder):
    """As torch lists them for spectral_net (Conv1d, ReLU)*2 and spatial_net (Conv2d, ReLU)*2."""
    spectral = {"0.weight": (6, 5, 7), "0.bias": (6,), "2.weight": (6, 6, 7), "2.bias": (6,)}
    spatial = {"0.weight": (6, 6, 3, 3), "0.bias": (6,), "2.weight": (6, 6, 3, 3), "2.bias": (6,)}
    expected = {f"encoder.spectral_net.{k}": v for k, v in spectral.items()}
    expected |= {f"encoder.spatial_net.{k}": v for k, v in spatial.items()}
    expected |= {"cluster.log_bandwidth": (), "cluster.cluster_centers": (3, 6)}
    assert {k: v.shape for k, v in load_file(folder / "weights.safetensors").items()} == expected
    config = json.loads((folder / "config.json").read_text())
    assert set(config) == {"num_bands", "encoder_kwargs", "mean_shift_kwargs", "loss_weights"}


def test_kernels_are_transposed_not_scrambled(params):
    tensors = to_state_dict(params)
    kernel = params["encoder"]["spatial"]["1"]["kernel"]
    stored = tensors["encoder.spatial_net.2.weight"]
    assert stored[4, 2, 0, 1] == kernel[0, 1, 2, 4]
    assert stored.flags.c_contiguous


def test_upstreams_defaults_fill_a_sparse_configuration(tmp_path):
    """Upstream writes the constructor's arguments, which may be empty."""
    settings = upstream_settings(5)
    encoder = upstream_encoder(5, 32, layers=3, kernel=3, bias=True)
    params = {
        "encoder": jax.tree.map(lambda a: np.zeros(a.shape), jax.eval_shape(encoder.init, KEY)),
        "centroids": np.zeros((4, 32)),
        "log_bandwidth": np.zeros(()),
    }
    save_upstream_checkpoint(tmp_path, settings, params)
    empty = {"num_bands": 5, "encoder_kwargs": {}, "mean_shift_kwargs": {}, "loss_weights": {}}
    (tmp_path / "config.json").write_text(json.dumps(empty))
    assert load_upstream_checkpoint(tmp_path)[0] == settings


def test_other_band_counts_are_refused(folder):
    with pytest.raises(ValueError, match="trained on 5 bands and the cubes have 7"):
        load_upstream_checkpoint(folder, bands=7)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"holds no {name}"):
        load_upstream_checkpoint(folder)


def test_a_truncated_file_is_named(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"weights\.safetensors is not a whole safetensors file"):
        load_upstream_checkpoint(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"num_bands": 5}', "3"])
def test_a_foreign_configuration_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json is not a configuration of upstream's model"):
        load_upstream_checkpoint(folder)


def test_weights_that_do_not_fit_the_configuration_are_listed(folder):
    path = folder / "weights.safetensors"
    tensors = load_file(path)
    tensors["extra"] = tensors.pop("encoder.spatial_net.0.bias")
    tensors["cluster.cluster_centers"] = np.zeros((4, 6), np.float32)
    save_file(tensors, path)
    with pytest.raises(ValueError, match=r"weights\.safetensors") as error:
        load_upstream_checkpoint(folder)
    for part in ("extra is unknown", "spatial_net.0.bias is missing", "(4, 6), not (3, 6)"):
        assert part in str(error.value)


def test_params_of_another_shape_are_not_saved(tmp_path, params):
    with pytest.raises(ValueError, match=r"spectral_net\.0\.weight"):
        save_upstream_checkpoint(
            tmp_path / "run", upstream_settings(6, SETTINGS.encoder, {"embed_dim": 6}), params
        )
    assert not (tmp_path / "run").exists()


def test_two_widths_of_the_embedding_are_refused():
    with pytest.raises(ValueError, match="disagree on embed_dim, 8 and 32"):
        upstream_settings(5, {"embed_dim": 8})


def test_a_missing_safetensors_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxhsi\[io\]'"):
        load_upstream_checkpoint(folder)


def test_state_dicts_are_inverse(params):
    again = to_state_dict(from_state_dict(to_state_dict(params), SETTINGS))
    for name, value in to_state_dict(params).items():
        assert np.array_equal(again[name], value)
