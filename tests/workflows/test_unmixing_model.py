"""What a run keeps to unmix new spectra: the saved model gives the same numbers."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.amortised_training import train_amortised
from jaxhsi.gmcr.mixing import FORWARD_MODELS
from jaxhsi.gmcr.noise_covariance import white_noise
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.sharding import device_mesh
from jaxhsi.workflows.spectra_blocks import block_functions
from jaxhsi.workflows.unmixing_model import UnmixingModel
from jaxhsi.workflows.unmixing_model_file import read_unmixing_model, write_unmixing_model
from tests.helpers.mixtures import make_mixture

OPTIONS = AmortisedOptions(
    hidden_width=4, batch_size=16, training_steps=2, steps_per_call=2, fit_iterations=3
)
SCALE = np.float32(64)


class Answer:
    """A solver's answer."""

    def __init__(self, components, concentrations):
        self.components, self.concentrations = components, concentrations
        self.noise_level = SignalDependentNoise(jnp.zeros(()), jnp.zeros(()))


@pytest.fixture(scope="module")
def spectra() -> np.ndarray:
    return np.asarray(make_mixture().x) * SCALE


@pytest.fixture(scope="module")
def model() -> UnmixingModel:
    """Networks of two steps on data in units of 64."""
    data = make_mixture()
    _, state = train_amortised(
        jax.random.key(0), Answer(data.components, data.codes), np.asarray(data.x), OPTIONS
    )
    return UnmixingModel(
        components=np.asarray(data.components),
        component_names=("salt", "sugar", "tea"),
        data_unit=float(SCALE),
        component_norms=np.ones(3, np.float32),
        noise_model=white_noise(50),
        networks=state.params,
        network_options=OPTIONS,
    )


@pytest.fixture
def coloured_model(model) -> UnmixingModel:
    """With bands of different noise, an offset, component norms and an axis."""
    random = np.random.default_rng(0)
    noise_model = model.noise_model._replace(
        band_deviations=random.uniform(0.5, 1.5, 50), offset=random.uniform(0, 1, 50)
    )
    return replace(
        model,
        noise_model=noise_model,
        component_norms=np.array([1.0, 2.0, 4.0], np.float32),
        axis=np.linspace(400.0, 700.0, 50),
        axis_name="wavelength (nm)",
    )


def saved(tmp_path, model: UnmixingModel) -> UnmixingModel:
    write_unmixing_model(tmp_path / "solution.npz", model)
    assert [p.name for p in tmp_path.iterdir()] == ["solution.npz"]
    return read_unmixing_model(tmp_path / "solution.npz")


def assert_same(first: UnmixingModel, second: UnmixingModel) -> None:
    for field in fields(UnmixingModel):
        a, b = getattr(first, field.name), getattr(second, field.name)
        assert jax.tree.structure(a) == jax.tree.structure(b)
        for one, two in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("refine_steps", [0, 3])
def test_a_saved_model_gives_the_same_numbers(tmp_path, coloured_model, spectra, refine_steps):
    loaded = saved(tmp_path, coloured_model)
    assert_same(loaded, coloured_model)
    concentrations = coloured_model.transform(spectra, refine_steps)
    np.testing.assert_array_equal(loaded.transform(spectra, refine_steps), concentrations)
    one, two = (each.evaluate(spectra, concentrations) for each in (coloured_model, loaded))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mixing", ["bilinear", "polynomial", "generalised_bilinear"])
def test_parameters_of_the_mixing_are_saved(tmp_path, model, spectra, mixing):
    forward = FORWARD_MODELS[mixing]()
    parameters = (
        ()
        if forward.per_spectrum
        else jax.tree.map(lambda a: a + 1e-3, forward.initial_parameters(1, 3))
    )
    mixed_model = replace(model, mixing=mixing, mixing_parameters=parameters)
    loaded = saved(tmp_path, mixed_model)
    assert_same(loaded, mixed_model)
    assert (loaded.shared_mixing is None) == forward.per_spectrum
    np.testing.assert_array_equal(loaded.transform(spectra), mixed_model.transform(spectra))


def test_several_devices_unmix_as_one_does(coloured_model, spectra):
    mesh = device_mesh(3)
    for refine_steps in (0, 3):
        one, three = (
            coloured_model.transform(spectra[:5], refine_steps, each) for each in (None, mesh)
        )
        np.testing.assert_allclose(three, one, rtol=1e-4, atol=1e-3)
    one, three = (coloured_model.evaluate(spectra[:5], one, each) for each in (None, mesh))
    np.testing.assert_allclose(three.reduced_chi2, one.reduced_chi2, rtol=1e-5)
    compiled = block_functions(mesh).reduced_chi2.__wrapped__.lower(
        *(jnp.ones((5, 8)), jnp.ones((5, 3)), jnp.ones((3, 8))),
        SignalDependentNoise(jnp.zeros(()), jnp.zeros(())),
    )
    assert "f32[2,8]" in compiled.compile().as_text()  # two spectra on each device


def test_residuals_of_the_true_mixture_are_noise_in_the_units_of_the_data(model, spectra):
    data = make_mixture()
    evaluation = model.evaluate(spectra, np.asarray(data.codes) * SCALE)
    np.testing.assert_array_equal(evaluation.spectra, spectra)
    np.testing.assert_allclose(
        evaluation.reconstruction, SCALE * data.codes @ data.components, rtol=1e-4, atol=1e-2
    )
    assert 0.85 < evaluation.reduced_chi2.mean() < 1.15
    assert evaluation.reduced_chi2.shape == (len(spectra),)
    other = model.evaluate(spectra, 2 * np.asarray(data.codes) * SCALE)
    assert (other.reduced_chi2 > 10).all()


def test_refinement_never_leaves_a_larger_residual(model, spectra):
    def squares(steps: int) -> np.ndarray:
        reconstruction = model.evaluate(spectra, model.transform(spectra, steps)).reconstruction
        return ((spectra - reconstruction) ** 2).sum(1)

    before, after = squares(0), squares(5)
    assert (after <= before * (1 + 1e-4)).all()
    assert after.sum() < before.sum()


def test_component_norms_divide_concentrations(model, spectra):
    norms = np.array([1.0, 2.0, 4.0], np.float32)
    scaled_model = replace(model, component_norms=norms)
    plain, scaled = (each.transform(spectra) for each in (model, scaled_model))
    np.testing.assert_array_equal(scaled, plain / norms)
    one = model.evaluate(spectra, plain).reconstruction
    two = scaled_model.evaluate(spectra, scaled).reconstruction
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_damaged_files_are_named(tmp_path, model):
    path = tmp_path / "solution.npz"
    write_unmixing_model(path, model)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"solution\.npz is damaged: it is cut"):
        read_unmixing_model(path)
    write_unmixing_model(path, replace(model, network_options=AmortisedOptions(hidden_width=5)))
    with pytest.raises(ValueError, match="expected"):
        read_unmixing_model(path)
