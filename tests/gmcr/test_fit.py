"""The default solver from a table to its answer: number, library, resume, devices, bad tables."""

from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.goodness_of_fit import goodness_of_fit
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.priors import smoothness
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitened_solution import spectra_whitening, whiten_solution
from jaxhsi.report.gmcr_sentences import unsettled_sentences
from jaxhsi.sharding import device_mesh
from jaxhsi.training.checkpoints import Checkpoints
from tests.helpers.mixtures import CANDIDATES, OPTIONS, SyntheticMixture, best_cosines, make_mixture

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def mixed() -> SyntheticMixture:
    return make_mixture(2)


@pytest.fixture(scope="module")
def solution(mixed):
    return fit_components(KEY, mixed.x, OPTIONS)


def test_the_number_the_spectra_and_the_amounts(solution, mixed):
    assert solution.components.shape == (3, 50)
    assert best_cosines(solution.components, mixed.components).min() > 0.999
    order = np.argmax(np.asarray(mixed.components) @ solution.components.T, axis=1)
    np.testing.assert_allclose(solution.concentrations[:, order], mixed.codes, atol=5)
    assert solution.converged
    assert (solution.gate_probabilities > 0.9).all()
    assert not solution.in_library.any()


def test_the_most_frequent_component_comes_first(solution):
    power = (solution.concentrations**2).sum(0)
    assert (np.diff(power) <= 0).all()


def test_components_of_a_library_are_named_and_an_unknown_one_is_found(mixed):
    """Two known spectra that are present, three that are not, one component not in the library."""
    absent = np.abs(np.random.default_rng(9).normal(size=(3, 50)))
    library = np.concatenate([3 * np.asarray(mixed.components[:2]), absent.astype(np.float32)])
    found = fit_components(KEY, mixed.x, OPTIONS, library=library, restarts=1)
    assert sorted(found.in_library.tolist()) == [False, True, True]
    known = found.components[found.in_library]
    np.testing.assert_allclose(best_cosines(known, mixed.components[:2]), 1, atol=1e-5)
    assert best_cosines(found.components[~found.in_library], mixed.components[2:])[0] > 0.999


@pytest.mark.parametrize("number", [2, 3, 5])
def test_as_many_components_as_are_asked_for(mixed, solution, number):
    """What was found on their own is told; where it is that number, it is the answer."""
    found = fit_components(KEY, mixed.x, OPTIONS, num_components=number, restarts=2)
    assert len(found.components) == number
    assert found.restart_vote.component_counts.tolist() == [3, 3]
    closest = np.sort(best_cosines(found.components, mixed.components))[::-1]
    assert (closest[: min(number, 3)] > 0.9).all()
    if number == 3:
        np.testing.assert_allclose(found.components, solution.components, atol=1e-2)


@pytest.mark.slow
def test_an_image_of_far_more_components_than_are_asked_for_begins_at_pure_spectra():
    """Three materials under light of many colours: more than three stand out of the noise."""
    random = np.random.default_rng(1)
    pure = random.random((3, 50)) + 0.1
    shares = random.dirichlet((0.3,) * 3, 40)
    light = random.uniform(0.2, 2.5, (40, 1)) ** np.linspace(0, 1, 50)
    x = (shares @ pure * light + 0.002 * random.normal(size=(40, 50))).astype(np.float32)
    found = fit_components(KEY, x, OPTIONS, num_components=3, num_candidates=12, restarts=1)
    assert found.restart_vote.component_counts[0] > 6
    assert len(found.components) == 3
    size = np.linalg.norm(pure, axis=1, keepdims=True)
    assert best_cosines(found.components, (pure / size).astype(np.float32)).min() > 0.96


def test_fewer_components_than_are_asked_for_are_reported(mixed, monkeypatch):
    monkeypatch.setattr("jaxhsi.gmcr.fit.fit_given_number", lambda run, state, data, number: state)
    fitted = fit_components(KEY, mixed.x, OPTIONS, num_components=5, restarts=1)
    assert len(fitted.components) == 3
    (sentence,) = unsettled_sentences(len(fitted.components), fitted.converged, 5)
    assert "3 components in the place of 5" in sentence


def newest_state(checkpoints: Checkpoints, template: State) -> State | None:
    return None if checkpoints.latest_step() is None else checkpoints.restore(template)


def fit_with_checkpoints(x, folder, restarts: int | None = None, **callbacks):
    with Checkpoints(folder) as checkpoints:
        callbacks |= {
            "on_phase": checkpoints.save,
            "restore": partial(newest_state, checkpoints),
        }
        return fit_components(KEY, x, OPTIONS, restarts=restarts, **callbacks)


def test_a_stopped_run_goes_on_bit_for_bit(mixed, solution, tmp_path, monkeypatch):
    save = Checkpoints.save

    def once(self, *args):
        save(self, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", once)
    steps = []

    def on_epoch(step, info):
        assert np.isfinite(info.loss)
        steps.append(step)

    with pytest.raises(KeyboardInterrupt):
        fit_with_checkpoints(mixed.x, tmp_path, on_epoch=on_epoch)
    assert steps == [20, 40]
    monkeypatch.setattr(Checkpoints, "save", save)
    resumed = fit_with_checkpoints(mixed.x, tmp_path, on_epoch=on_epoch)
    chex.assert_trees_all_equal(resumed, solution)
    assert steps == list(range(20, len(steps) * 20 + 1, 20))


def test_devices_that_do_not_divide_the_spectra_find_the_same(mixed):
    """40 spectra on three devices; sums in another order move the last digits."""
    one, three = (
        fit_components(KEY, mixed.x, OPTIONS, restarts=1, mesh=device_mesh(devices))
        for devices in (1, 3)
    )
    assert three.components.shape == (3, 50)
    np.testing.assert_allclose(three.components, one.components, atol=1e-4)
    np.testing.assert_allclose(three.concentrations, one.concentrations, atol=1e-2)
    np.testing.assert_allclose(three.noise_level, one.noise_level, atol=1e-4)


def test_an_end_without_convergence_is_reported(mixed, monkeypatch):
    for module in ("state_solution", "fit_phases"):
        monkeypatch.setattr(f"jaxhsi.gmcr.{module}.converged", lambda state: jnp.array(False))
    phases = []
    fitted = fit_components(
        KEY,
        mixed.x,
        replace(OPTIONS, max_phases=2),
        restarts=1,
        on_phase=lambda phase, state: phases.append(phase),
    )
    assert phases == [1, 2]
    assert not fitted.converged
    (sentence,) = unsettled_sentences(len(fitted.components), fitted.converged)
    assert "still changed" in sentence


X = np.abs(np.random.default_rng(0).normal(size=(6, 8))).astype(np.float32)


@pytest.mark.parametrize(
    ("spectra", "options", "told"),
    [
        (X[:1], {}, "1 spectra of 8 bands cannot be unmixed"),
        (X[:, :3], {}, "spectra of 3 bands cannot be unmixed; at least 3 spectra and 4 bands"),
        (X[:, :1], {}, "6 spectra of 1 bands"),
        (np.where(X[2, 3] == X, np.nan, X), {}, "1 values are not finite"),
        (np.delete(np.insert(X, 4, 0, 0), 5, 0), {}, "1 spectra are all zero, e.g. row 4"),
        (X, {"library": np.ones((2, 7), np.float32)}, "the library has 7 bands and the spectra 8"),
        (X, {"num_candidates": 6}, "give 1 to 5"),
        (X, {"num_components": 6}, "6 components cannot be told apart .* give 1 to 5"),
        (X, {"num_components": 0}, "0 components"),
        (X, {"num_components": 3, "num_candidates": 2}, "2 candidates are fewer than 3 components"),
        (X, {"num_components": 3, "library": X[:2]}, "leave num_components out"),
    ],
)
def test_tables_that_cannot_be_solved_are_refused(spectra, options, told):
    with pytest.raises(ValueError, match=told):
        fit_components(KEY, spectra, OPTIONS, **options)


def test_equal_spectra_are_one_component():
    """Duplicates, without any noise: one component, and nothing breaks."""
    row = np.abs(np.random.default_rng(3).normal(size=50)).astype(np.float32)
    x = np.outer(np.arange(1, 41, dtype=np.float32), row)
    found = fit_components(KEY, x, OPTIONS, num_candidates=CANDIDATES, restarts=1)
    assert len(found.components) == 1
    np.testing.assert_allclose(found.components[0], row / np.linalg.norm(row), atol=1e-4)
    assert np.isfinite(found.concentrations).all()


@pytest.mark.slow
def test_repeated_spectra_without_noise_break_nothing():
    """Five spectra four times each: five components, though most candidates are the same."""
    x = np.repeat(np.random.default_rng(0).random((5, 60)), 4, axis=0).astype(np.float32)
    options = SolverOptions(steps_per_phase=40, noise_refit_every=20, max_phases=2)
    found = fit_components(KEY, x, options, restarts=1)
    assert len(found.components) == 5
    np.testing.assert_allclose(found.concentrations @ found.components, x, atol=2e-3)


@pytest.fixture(scope="module")
def spoiled() -> tuple[np.ndarray, SyntheticMixture]:
    """Correlated noise, an offset, and a baseline of every spectrum, on top of the mixtures."""
    clean, random = make_mixture(3, rows=48, bands=96), np.random.default_rng(3)
    noise = random.normal(size=(48, 96 + 50))
    for band in range(1, noise.shape[1]):
        noise[:, band] += 0.7 * noise[:, band - 1]
    drift = 4 * random.normal(size=(48, 1)) * np.linspace(-1, 1, 96)
    exact = np.asarray(clean.codes) @ np.asarray(clean.components)
    return (exact + noise[:, 50:] + drift + 5).astype(np.float32), clean


@pytest.fixture(scope="module")
def coloured(spoiled):
    return fit_components(KEY, spoiled[0], OPTIONS, restarts=1)


def test_noise_that_is_not_white_is_told_and_makes_no_components(spoiled, coloured):
    clean, found = spoiled[1], coloured
    assert len(found.components) == 3
    assert best_cosines(found.components, clean.components).min() > 0.995
    np.testing.assert_allclose(np.linalg.norm(found.components, axis=1), 1, rtol=1e-5)
    assert (found.components >= -1e-5).all()
    order = np.argmax(np.asarray(clean.components) @ found.components.T, axis=1)
    np.testing.assert_allclose(found.concentrations[:, order], clean.codes, atol=12)
    told = found.noise_model
    np.testing.assert_allclose(told.ar_coefficients[0], 0.7, atol=0.15)
    np.testing.assert_allclose(told.offset.mean(), 5, atol=1)
    assert told.drift_deviations[1] > 5
    assert told.spike_mask is None


def test_a_stopped_run_on_coloured_noise_goes_on_bit_for_bit(
    spoiled, coloured, tmp_path, monkeypatch
):
    x, save = spoiled[0], Checkpoints.save

    def once(self, *args):
        save(self, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", once)
    with pytest.raises(KeyboardInterrupt):
        fit_with_checkpoints(x, tmp_path, restarts=1)
    monkeypatch.setattr(Checkpoints, "save", save)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 1
    chex.assert_trees_all_equal(fit_with_checkpoints(x, tmp_path, restarts=1), coloured)


def test_networks_see_spectra_where_noise_is_white(spoiled, coloured, mixed, solution):
    """Whitened mixtures are the concentrations times the whitened components."""
    x, found = spoiled[0], coloured
    white = whiten_solution(found, x)
    framed, seen = white.solution_white, white.x_white
    prepare = spectra_whitening(found.noise_model)
    fit = found.concentrations @ found.components + found.noise_model.offset
    mixture = found.concentrations @ framed.components
    np.testing.assert_allclose(prepare(fit), mixture, atol=1e-3 * np.abs(mixture).max())
    np.testing.assert_array_equal(seen, prepare(x))
    assert np.std(seen - mixture) < 0.6 * np.std(x - fit + found.noise_model.offset)
    again = whiten_solution(found, x, whitener_of=white)
    chex.assert_trees_all_equal(again.x_white, white.x_white)
    same = whiten_solution(solution, np.asarray(mixed.x))
    assert same.solution_white is solution
    np.testing.assert_array_equal(same.x_white, mixed.x)


def test_priors_see_the_data_where_their_noise_is_white(spoiled, coloured):
    """Without prior knowledge to add, the refinement stays at the answer that it began with."""
    x, clean = spoiled
    found = fit_components(KEY, x, OPTIONS, restarts=1, priors=[smoothness(1e-6)])
    assert found.noise_model.drift_deviations[1] == coloured.noise_model.drift_deviations[1]
    np.testing.assert_allclose(best_cosines(found.components, coloured.components), 1, atol=2e-3)
    assert best_cosines(found.components, clean.components).min() > 0.995
    assert 0.7 < goodness_of_fit(whiten_solution(found, x), x).reduced_chi2 < 1.4
