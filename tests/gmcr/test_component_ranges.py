"""The range of components of solved tables."""

import jax
import numpy as np

from jaxhsi.gmcr import component_ranges as module
from jaxhsi.gmcr.component_ranges import rotational_ambiguity
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.options import SolverOptions
from tests.gmcr.solved import make_mixture

OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=20)


def test_sparse_mixtures_are_settled():
    mixed = make_mixture(2)
    solution = fit_components(jax.random.key(0), mixed.x, OPTIONS, restarts=1)
    found = rotational_ambiguity(solution, mixed.x)
    assert found.signal_share.shape == (3, 2)
    own = (solution.concentrations**2).sum(0) / np.sum(
        (solution.concentrations @ solution.components) ** 2
    )
    assert (found.signal_share[:, 0] <= own * 1.001).all()
    assert (found.signal_share[:, 1] >= own * 0.999).all()
    assert (
        np.sum(found.boundary_spectra[:, 0] * found.boundary_spectra[:, 1], axis=1) > 0.995
    ).all()


def test_many_components_are_left_out(monkeypatch):
    mixed = make_mixture(2)
    solution = fit_components(jax.random.key(0), mixed.x, OPTIONS, restarts=1)
    monkeypatch.setattr(module, "MAX_AMBIGUITY_COMPONENTS", 2)
    assert rotational_ambiguity(solution, mixed.x) is None
