"""Tables whose values are partly unknown."""

import jax
import numpy as np
import pytest

import jaxhsi
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.noise_estimation import count_bound, estimate_noise
from jaxhsi.gmcr.options import AmortisedOptions, SolverOptions
from jaxhsi.gmcr.weighted_projection import edge_rank, impute
from jaxhsi.unmixing_units import separate_missing

OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=20)
BANDS = np.arange(60)
COMPONENTS = np.exp(-0.5 * ((BANDS - np.array([[12.0], [30.0], [48.0]])) / 5) ** 2)


def table_with_gaps(share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noisy mixtures of three, where values are missing, and the mixtures themselves."""
    random = np.random.default_rng(2)
    clean = random.dirichlet(np.ones(3), 50) @ COMPONENTS
    missing = random.random(clean.shape) < share
    return clean + 1e-3 * random.normal(size=clean.shape), missing, clean


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_missing_values_are_predicted_by_the_others(share):
    table, missing, clean = table_with_gaps(share)
    table[missing] = np.nan
    np.testing.assert_allclose(impute(table, missing)[missing], clean[missing], atol=6e-3)
    noise_model, filled = estimate_noise(separate_missing(table, "mask")[0], missing_mask=missing)
    np.testing.assert_array_equal(noise_model.spike_mask, missing)
    np.testing.assert_allclose(filled[missing], clean[missing], atol=6e-3)


@pytest.mark.slow
def test_a_table_where_removal_would_leave_nothing_is_unmixed():
    table, missing, clean = table_with_gaps(0.3)
    table[missing] = np.nan
    assert missing.any(axis=1).all()
    assert missing.any(axis=0).all()
    result = jaxhsi.unmix(
        table,
        missing="mask",
        restarts=1,
        ranges=False,
        options=OPTIONS,
        network_options=AmortisedOptions(training_steps=20, steps_per_call=20),
    )
    assert result.num_components == 3
    cosines = result.components @ COMPONENTS.T / np.linalg.norm(COMPONENTS, axis=1)
    assert (cosines.max(axis=0) > 0.995).all()
    np.testing.assert_array_equal(result.left_out_mask, missing)
    assert np.sqrt(np.mean((result.reconstruct(result.concentrations) - clean) ** 2)) < 2e-3
    assert result.warnings == ()


def test_missing_values_are_refused_where_nothing_is_said():
    table, missing, _ = table_with_gaps(0.1)
    table[missing] = np.nan
    with pytest.raises(ValueError, match="missing='mask'"):
        jaxhsi.unmix(table)
    with pytest.raises(ValueError, match="'drop' is unknown"):
        separate_missing(table, "drop")
    table[3] = np.nan
    with pytest.raises(ValueError, match="1 spectra have no value"):
        separate_missing(table, "mask")


def few_counts(seed: int) -> np.ndarray:
    """Poisson counts, 0.1 to 10 a value: mixtures of three phases on a falling background."""
    random = np.random.default_rng(seed)
    bands = np.arange(128)
    phases = [np.exp(-0.5 * ((bands - place) / 6) ** 2) for place in (15, 45, 95)]
    rows = np.array(phases) * [[10.0], [3.0], [1.5]] + 0.3 * np.exp(-bands / 40)
    counts = random.poisson(random.dirichlet(np.full(3, 0.7), 200) @ rows)
    return counts[counts.any(axis=1)].astype(np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_of_few_counts_is_right_under_weights_of_the_bands(seed):
    counts = few_counts(seed)
    noise_model, filled = estimate_noise(counts)
    expected = np.sqrt(counts.mean(axis=0))
    strong = counts.mean(axis=0) > 0.1 * counts.mean()
    ratio = noise_model.band_deviations[strong] / expected[strong]
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-6)
    assert edge_rank(counts) > 10  # without weights
    assert count_bound(counts, filled) == 3
    assert count_bound(counts + 0.37, filled) is None  # no counts


@pytest.mark.slow
def test_few_counts_have_the_right_number_of_components():
    counts = few_counts(1).astype(np.float32)
    solution = fit_components(jax.random.key(1), counts, OPTIONS, restarts=1)
    assert len(solution.components) == 3
