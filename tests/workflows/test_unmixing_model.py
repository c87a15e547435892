"""What a run keeps to unmix new spectra: exact, whole, and one way for run and loader."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.amortised import Options
from jaxhsi.gmcr.amortised_training import train_amortised
from jaxhsi.gmcr.mixing import MODELS
from jaxhsi.gmcr.noise_covariance import white_noise
from jaxhsi.gmcr.noise_model import NoiseLaw
from jaxhsi.workflows.unmixing_model import (
    Solved,
    explainer,
    mixer,
    read_solved,
    unmixer,
    write_solved,
)
from tests.gmcr.solved import made

OPTIONS = Options(hidden=4, batch=16, steps=2, steps_per_call=2, iterations=3)
SCALE = np.float32(64)


class Answer:
    """A solver's answer."""

    def __init__(self, components, concentrations):
        self.components, self.concentrations = components, concentrations
        self.noise = NoiseLaw(jnp.zeros(()), jnp.zeros(()))


@pytest.fixture(scope="module")
def spectra() -> np.ndarray:
    return np.asarray(made().x) * SCALE


@pytest.fixture(scope="module")
def solved() -> Solved:
    """Networks of two steps on data in units of 64."""
    data = made()
    _, state = train_amortised(
        jax.random.key(0), Answer(data.components, data.codes), np.asarray(data.x), OPTIONS
    )
    components = np.asarray(data.components)
    names, sizes = ("salt", "sugar", "tea"), np.ones(3, np.float32)
    noise = white_noise(50)
    return Solved(components, names, float(SCALE), sizes, noise, state.params, OPTIONS)


@pytest.fixture
def coloured(solved) -> Solved:
    """With channels of different noise, an offset, sizes and an axis."""
    random = np.random.default_rng(0)
    noise = solved.noise._replace(
        channels=random.uniform(0.5, 1.5, 50), offset=random.uniform(0, 1, 50)
    )
    axis = np.linspace(400.0, 700.0, 50)
    sizes = np.array([1.0, 2.0, 4.0], np.float32)
    return solved._replace(noise=noise, sizes=sizes, axis=axis, axis_name="wavelength (nm)")


def saved(tmp_path, solved: Solved) -> Solved:
    write_solved(tmp_path / "solution.npz", solved)
    assert [p.name for p in tmp_path.iterdir()] == ["solution.npz"]
    return read_solved(tmp_path / "solution.npz")


def same(a: Solved, b: Solved) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, two in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("refine", [0, 3])
def test_what_is_read_unmixes_as_what_was_written(tmp_path, coloured, spectra, refine):
    found = saved(tmp_path, coloured)
    same(found, coloured)
    concentrations = unmixer(coloured, refine)(spectra)
    np.testing.assert_array_equal(unmixer(found, refine)(spectra), concentrations)
    one, two = (explainer(each)(spectra, concentrations) for each in (coloured, found))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mixing", ["bilinear", "polynomial", "generalised_bilinear"])
def test_parameters_of_the_mixing_are_kept(tmp_path, solved, spectra, mixing):
    model = MODELS[mixing]()
    parameters = () if model.local else jax.tree.map(lambda a: a + 1e-3, model.begin(1, 3))
    given = solved._replace(mixing=mixing, parameters=parameters)
    found = saved(tmp_path, given)
    same(found, given)
    assert (mixer(found) is None) == model.local
    np.testing.assert_array_equal(unmixer(found)(spectra), unmixer(given)(spectra))


def test_explained_spectra_are_noise_alone_in_the_units_of_the_file(solved, spectra):
    data = made()
    found = explainer(solved)(spectra, np.asarray(data.codes) * SCALE)
    np.testing.assert_array_equal(found.spectra, spectra)
    np.testing.assert_allclose(
        found.reconstruction, SCALE * data.codes @ data.components, rtol=1e-4, atol=1e-2
    )
    assert 0.85 < found.misfit.mean() < 1.15
    assert found.misfit.shape == (len(spectra),)
    other = explainer(solved)(spectra, 2 * np.asarray(data.codes) * SCALE)
    assert (other.misfit > 10).all()


def test_refinement_never_leaves_a_larger_residual(solved, spectra):
    explain = explainer(solved)
    before, after = (
        ((spectra - explain(spectra, unmixer(solved, steps)(spectra)).reconstruction) ** 2).sum(1)
        for steps in (0, 5)
    )
    assert (after <= before * (1 + 1e-4)).all()
    assert after.sum() < before.sum()


def test_sizes_divide_concentrations(solved, spectra):
    sizes = np.array([1.0, 2.0, 4.0], np.float32)
    plain, sized = (unmixer(each)(spectra) for each in (solved, solved._replace(sizes=sizes)))
    np.testing.assert_array_equal(sized, plain / sizes)
    one = explainer(solved)(spectra, plain).reconstruction
    two = explainer(solved._replace(sizes=sizes))(spectra, sized).reconstruction
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_damaged_files_are_named(tmp_path, solved):
    path = tmp_path / "solution.npz"
    write_solved(path, solved)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"solution\.npz cannot be read.*--resume"):
        read_solved(path)
    write_solved(path, solved._replace(options=Options(hidden=5)))
    with pytest.raises(ValueError, match="is meant"):
        read_solved(path)
