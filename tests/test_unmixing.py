"""The function `jaxhsi.unmix` and the command give the same numbers; results print and save."""

import csv
import json
from dataclasses import fields
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

import jaxhsi
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import Mixtures, mixtures
from jaxhsi.data.tables.table_files import read_table
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.gmcr.data_scale import data_scale
from jaxhsi.gmcr.options import AmortisedOptions as NetworkOptions
from jaxhsi.train import main
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.unmixing_units import library_component_names
from tests.helpers.commands import GMCR_ARGUMENTS
from tests.helpers.mixtures import OPTIONS

NETWORK_OPTIONS = NetworkOptions(
    training_steps=100, batch_size=32, steps_per_call=100, hidden_width=8
)
CASES = ("white", "coloured", "library", "num_components", "bilinear")


@pytest.fixture(scope="module")
def made() -> Mixtures:
    """White noise; the same table in all cases but those of other noise or mixing."""
    options = MixtureOptions(num_components=3, bands=50, max_mixed=2, snr_db=30.0)
    return jax.device_get(mixtures(jax.random.key(0), 40, options))


def with_coloured_noise(made: Mixtures) -> np.ndarray:
    """Noise averaged over five bands, an offset, and numbers of thousands."""
    white = np.random.default_rng(0).normal(size=(40, 54))
    noise = np.mean([white[:, i : i + 50] for i in range(5)], axis=0)
    spectra = made.clean + 0.5 + 0.05 * made.clean.mean() * noise
    return (1000 * spectra).astype(np.float32)


@pytest.fixture(scope="module", params=CASES)
def pair(request, made, tmp_path_factory) -> tuple[Path, UnmixingResult]:
    """The folder of the command, and the result of the function, on the same spectra."""
    folder, case = tmp_path_factory.mktemp("unmixing"), request.param
    spectra, options, arguments = made.data, {}, []
    if case == "coloured":
        spectra = with_coloured_noise(made)
    elif case == "library":
        library = made.components[:2] * 5
        np.savez(folder / "library.npz", library=library, names=["salt", "sugar"])
        options = {"library": library, "library_names": ("salt", "sugar")}
        arguments = ["--library", str(folder / "library.npz")]
    elif case == "num_components":
        options = {"num_components": 4, "precision": "bfloat16"}
        arguments = ["--num_components", "4", "--precision", "bfloat16"]
    elif case == "bilinear":
        options, arguments = {"mixing": "bilinear"}, ["--mixing", "bilinear"]
    np.save(folder / "spectra.npy", spectra)
    data = ["--data", str(folder / "spectra.npy"), "--out", str(folder / "run")]
    assert main([*GMCR_ARGUMENTS, *data, *arguments]) == 0
    shared = {"restarts": 2, "network_options": NETWORK_OPTIONS, "devices": 1, "options": OPTIONS}
    return folder / "run", jaxhsi.unmix(spectra, **shared, **options)


def test_networks_multiply_in_the_precision_of_the_run(pair):
    precision = yaml.safe_load((pair[0] / "config.yaml").read_text())["precision"]
    assert pair[1].model.network_options.product_dtype == precision


def assert_equal(first: UnmixingResult, second: UnmixingResult) -> None:
    """All arrays of both results are equal, bit for bit."""
    for one, two in ((first, second), (first.model, second.model)):
        for field in fields(one):
            if field.name == "model":
                continue
            a, b = getattr(one, field.name), getattr(two, field.name)
            assert jax.tree.structure(a) == jax.tree.structure(b), field.name
            for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
                np.testing.assert_array_equal(x, y, err_msg=field.name)


def test_files_of_the_command_hold_the_numbers_of_the_function(pair, tmp_path):
    folder, result = pair
    loaded = jaxhsi.load(folder)
    assert_equal(loaded, result)
    components = read_table(folder / "components.csv", TableOptions())
    assert components.sample_names == result.component_names
    np.testing.assert_array_equal(components.values.astype(np.float32), result.components)
    with (folder / "concentrations.csv").open() as csv_file:
        _, *rows = csv.reader(csv_file)
    concentrations = np.array([row[1:] for row in rows], np.float32)
    np.testing.assert_array_equal(concentrations, result.concentrations)
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["num_components"] == result.num_components
    assert tuple(scores["diagnostics"]["plausible_counts"]) == tuple(result.plausible_counts)
    np.testing.assert_allclose(scores["diagnostics"]["confidence"], result.confidence, atol=1e-4)
    # New spectra: the function's result, the loaded run and a saved copy agree.
    spectra = np.load(folder.parent / "spectra.npy")
    np.testing.assert_array_equal(loaded.transform(spectra, 2), result.transform(spectra, 2))
    result.save(tmp_path / "copy")
    assert_equal(jaxhsi.load(tmp_path / "copy"), result)


def test_spectra_are_reconstructed_in_their_own_units(pair):
    """The residual is noise: offset, scale and mixing are all in the reconstruction."""
    folder, result = pair
    spectra = np.load(folder.parent / "spectra.npy")
    residual = spectra - result.reconstruct(result.concentrations)
    assert (residual**2).sum() < 0.01 * (spectra**2).sum()
    rms = np.sqrt((residual**2).mean())
    assert 0.5 < rms / result.noise_deviation.mean() < 2
    evaluation = result.evaluate(spectra, result.transform(spectra))
    np.testing.assert_array_equal(evaluation.spectra, result.subtract_offset(spectra))


def test_a_result_is_shown_as_a_table_and_as_a_figure(pair):
    _, result = pair
    text, page = repr(result), result._repr_html_()
    for name in result.component_names:
        assert name in text
        assert f"<td>{name}</td>" in page
    assert f"{result.num_components} components of 40 spectra, 50 bands" in text
    assert "confidence" in text
    figure = result.plot()
    assert len(figure.axes) == result.num_components
    np.testing.assert_allclose(result.signal_shares.sum(), 1)


def test_wrong_arguments_are_refused(made, tmp_path):
    with pytest.raises(ValueError, match=r"shape \(50,\); give a table"):
        jaxhsi.unmix(made.data[0])
    with pytest.raises(ValueError, match="mixing 'cubic' is unknown; give linear, "):
        jaxhsi.unmix(made.data, mixing="cubic")
    with pytest.raises(ValueError, match=r"options\.non_negative=False"):
        jaxhsi.unmix(np.diff(made.data, axis=1))
    with pytest.raises(ValueError, match="40 components cannot be told apart"):
        jaxhsi.unmix(made.data, num_components=40)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        jaxhsi.load(tmp_path / "nowhere")


def test_the_scale_is_a_power_of_two_near_the_root_mean_square():
    spectra = np.random.default_rng(0).uniform(1, 3, (5, 4)).astype(np.float32)
    assert data_scale(spectra) == 2
    np.testing.assert_array_equal(data_scale(spectra * 1024), 2048)
    assert data_scale(np.zeros((2, 2), np.float32)) == 1


def test_components_without_a_library_are_numbered():
    none_fixed = np.zeros(2, bool)
    eye = np.eye(2, dtype=np.float32)
    assert library_component_names(eye, none_fixed, None) == ("component 1", "component 2")
    all_fixed = library_component_names(eye, ~none_fixed, 3 * eye)
    assert all_fixed == ("library 1", "library 2")


def test_one_value_and_one_spectrum_far_from_all_others_decide_nothing(made, caplog):
    spectra = made.data.copy()
    spectra[5, 30] = 1e6
    spectra[7] *= 1000
    shared = {"restarts": 2, "network_options": NETWORK_OPTIONS, "devices": 1, "options": OPTIONS}
    odd, plain = (jaxhsi.unmix(table, ranges=False, **shared) for table in (spectra, made.data))
    assert odd.num_components == plain.num_components == 3
    assert np.argwhere(odd.left_out_mask).tolist() == [[5, 30]]
    cosines = (odd.components @ plain.components.T).max(axis=1)
    assert (cosines > 0.999).all()
    best = (odd.components @ plain.components.T).argmax(axis=0)
    sizes = odd.concentrations[7, best] / np.maximum(plain.concentrations[7], 1e-3)
    assert sizes.max() == pytest.approx(1000, rel=0.05)
    assert "the value of spectrum 6 at 31 is more than 8 times all others" in caplog.text
    assert "spectrum 8 is about 2,048 times as strong as all others" in caplog.text


def test_a_value_in_a_table_of_few_spectra_that_hides_all_others_is_named(made):
    spectra = made.data[:8].copy()
    spectra[5, 30] = 1e30
    message = r"the value of spectrum f at 430 is 1e\+30, more than 65,536 times all values"
    with pytest.raises(ValueError, match=message):
        jaxhsi.unmix(spectra, replicates=list("abcdefgh"), axis=400.0 + np.arange(50))
