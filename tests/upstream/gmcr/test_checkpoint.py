"""Checkpoints of the reference's EB-gMCR: read, written, refused."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxhsi.upstream.gmcr.algorithm import joint
from jaxhsi.upstream.gmcr.checkpoint import (
    from_state_dict,
    load_upstream_mcrs,
    options_from_settings,
    save_upstream_mcrs,
    settings_from_options,
    to_state_dict,
)
from jaxhsi.upstream.gmcr.options import JointOptions, PoolOptions

OPTIONS = JointOptions(pool_sizes=(3, 2), learnable_pools=(True, False))
BANDS = 4


@pytest.fixture(scope="module")
def params():
    return jax.jit(joint(BANDS, OPTIONS).init)(jax.random.key(0)).params


@pytest.fixture
def folder(tmp_path, params):
    save_upstream_mcrs(tmp_path / "run", settings_from_options(OPTIONS, BANDS), params)
    return tmp_path / "run"


def same(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.array_equal(a, b)


def test_several_pools_lie_in_numbered_folders(folder, params):
    assert sorted(p.name for p in folder.iterdir()) == ["0", "1"]
    settings, loaded = load_upstream_mcrs(folder)
    assert settings == settings_from_options(OPTIONS, BANDS)
    same(loaded, params)
    assert options_from_settings(settings) == OPTIONS


def test_numbers_count_not_letters(tmp_path, params):
    """Upstream takes whatever order the file system lists: 10 before 2."""
    settings = settings_from_options(OPTIONS, BANDS)
    for i in range(11):
        save_upstream_mcrs(tmp_path / str(i), [replace(settings[0], hidden_layers=2)], params[:1])
    (tmp_path / "10" / "param.json").write_text(
        json.dumps(json.loads((tmp_path / "9" / "param.json").read_text()) | {"langevin_steps": 7})
    )
    assert [s.langevin_steps for s in load_upstream_mcrs(tmp_path)[0]] == [32] * 10 + [7]


def test_one_pool_lies_in_the_folder_itself(tmp_path, params):
    save_upstream_mcrs(tmp_path, settings_from_options(OPTIONS, BANDS)[:1], params[:1])
    assert {p.name for p in tmp_path.iterdir()} == {"param.json", "model.safetensors"}
    same(load_upstream_mcrs(tmp_path)[1], params[:1])


def test_names_and_shapes_are_those_of_the_references_state_dict():
    """As the reference itself wrote them down for the golden file."""
    with np.load(Path(__file__).parents[2] / "golden" / "gmcr_sparse.npz") as file:
        theirs = {k.removeprefix("start/0."): v for k, v in file.items() if k.startswith("start/")}
    options = JointOptions(pool_sizes=(4,), sparse_components=True)
    [settings] = settings_from_options(options, 6)
    ours = to_state_dict(from_state_dict(theirs, settings), settings)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert np.array_equal(value, theirs[name])
        assert value.flags.c_contiguous


def test_param_json_holds_upstreams_arguments(folder):
    """Those of the constructor, but for functions and the threshold, which upstream leaves out."""
    stored = json.loads((folder / "1" / "param.json").read_text())
    assert stored.pop("learnable_component") is False
    assert stored == {
        "num_components": 2,
        "dim_components": BANDS,
        "sparse_component": False,
        "non_negative_component": True,
        "component_norm": 2,
        "hidden_size_extension": 2,
        "hidden_layers": 2,
        "temperature_train": 1.0,
        "temperature_eval": 0.01,
        "langevin_step_size": 0.05,
        "langevin_noise": 0.1,
        "langevin_steps": 32,
    }


def test_a_single_linear_layer_has_no_number(tmp_path):
    options = JointOptions(pool_sizes=(2,), hidden_width_factor=None)
    params = joint(3, options).init(jax.random.key(0)).params
    save_upstream_mcrs(tmp_path, settings_from_options(options, 3), params)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert {"concentration_regressor.weight", "component_parser.energy_evaluator.bias"} < names
    same(load_upstream_mcrs(tmp_path)[1], params)


@pytest.mark.parametrize("name", ["param.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / "0" / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"holds no {name}"):
        load_upstream_mcrs(folder / "0")


@pytest.mark.parametrize("text", ["{", "[]", '{"num_components": 5}', '{"lr": 3}'])
def test_a_foreign_configuration_is_refused(folder, text):
    (folder / "0" / "param.json").write_text(text)
    with pytest.raises(ValueError, match=r"param.json is not a configuration of upstream's model"):
        load_upstream_mcrs(folder)


def test_weights_that_do_not_fit_are_listed(folder):
    path = folder / "1" / "model.safetensors"
    tensors = load_file(path)
    tensors["extra"] = tensors.pop("concentration_regressor.2.bias")
    tensors["vanilla_components"] = np.zeros((3, 4), np.float32)
    save_file(tensors, path)
    with pytest.raises(ValueError, match=r"1/model\.safetensors") as error:
        load_upstream_mcrs(folder)
    for part in ("extra is unknown", "regressor.2.bias is missing", "(3, 4), not (2, 4)"):
        assert part in str(error.value)


def test_what_upstream_does_not_know_is_not_saved():
    with pytest.raises(ValueError, match="upstream knows no pool with non_negative='softplus'"):
        settings_from_options(JointOptions(pool=PoolOptions("softplus")), BANDS)


def test_pools_of_different_kinds_are_refused():
    first, second = settings_from_options(OPTIONS, BANDS)
    with pytest.raises(ValueError, match="the pools differ in hidden_layers"):
        options_from_settings([first, replace(second, hidden_layers=3)])
