"""The number of components that a stated faithfulness asks for."""

import jax
import numpy as np
import pytest

from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.misfit_curve import (
    MisfitCurve,
    count_at_tolerance,
    misfit_curve,
    replicate_misfit,
)
from jaxhsi.gmcr.options import SolverOptions

OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=20)
BANDS = np.arange(60)


def mixtures_of_three(weak: float, noise: float = 1e-4) -> np.ndarray:
    """Three peaks in 40 spectra, the third weak."""
    random = np.random.default_rng(0)
    components = np.exp(-0.5 * ((BANDS - np.array([[12.0], [30.0], [48.0]])) / 4) ** 2)
    amounts = random.dirichlet(np.ones(3), 40) * [1, 1, weak]
    return amounts @ components + noise * random.normal(size=(40, 60))


def test_the_misfit_is_what_mixtures_leave_beyond_the_noise():
    table = mixtures_of_three(0.05)
    curve = misfit_curve(table, 1e-4, 3)
    values = np.linalg.svd(table, compute_uv=False)
    expected = np.sqrt(np.sum(values[2:] ** 2) / np.sum(values**2))
    np.testing.assert_allclose(curve.relative_misfit[2], expected, rtol=1e-2)
    assert curve.relative_misfit[3] < 0.1 * expected
    np.testing.assert_allclose(curve.noise_share, 1e-4 / np.sqrt(np.mean(table**2)), rtol=1e-6)


def test_a_count_is_never_beyond_the_noise_nor_below_one():
    curve = MisfitCurve(np.arange(4), np.array([1.0, 0.3, 0.2, 0.1]), 0.01, 2)
    assert [count_at_tolerance(curve, each) for each in (0.0, 0.01, 0.25, 5.0)] == [2, 2, 2, 1]


@pytest.mark.parametrize(("tolerance", "count"), [(None, 3), (0.1, 2), (0.001, 3)])
@pytest.mark.slow
def test_structure_below_the_tolerance_is_not_counted(tolerance, count):
    table = mixtures_of_three(0.05).astype(np.float32)
    solution = fit_components(jax.random.key(0), table, OPTIONS, restarts=1, tolerance=tolerance)
    assert len(solution.components) == count
    assert solution.misfit_curve.count_at_noise == 3


@pytest.mark.slow
def test_replicates_set_the_tolerance():
    """Repeated scans in which a third peak comes and goes by a tenth of the signal."""
    random = np.random.default_rng(1)
    table = np.repeat(mixtures_of_three(0.0), 3, axis=0)
    table += np.outer(random.uniform(0, 0.2, 120), np.exp(-0.5 * ((BANDS - 48) / 4) ** 2))
    names = [str(i) for i in range(40) for _ in range(3)]
    misfit = replicate_misfit(table, names)
    assert 0.03 < misfit < 0.15
    counts = [
        len(
            fit_components(
                jax.random.key(0),
                table.astype(np.float32),
                OPTIONS,
                restarts=1,
                replicates=replicates,
            ).components
        )
        for replicates in (None, names)
    ]
    assert counts[0] >= 3  # what comes and goes is structure, as far as one scan says
    assert counts[1] == 2


def test_names_of_classes_are_no_replicates():
    table = mixtures_of_three(1.0)
    assert replicate_misfit(table, ["a"] * 20 + ["b"] * 20) is None  # two names
    assert replicate_misfit(table, list("abcd") * 10) is None  # ten spectra each
    assert replicate_misfit(table, [str(i) for i in range(20)] * 2) is None  # nothing in common
