"""Compilations of a whole fit: bounded, and none where the shapes are known already."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
import pytest

from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.options import SolverOptions
from tests.helpers.mixtures import make_mixture

OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=20)
CANDIDATES = 6  # given, so that every table takes a pool of the same size
MAX_COMPILATIONS = 70
"""Of a fit with restarts from nothing: functions of the solver, and single operations between; 63
were measured."""

_compiled: list[str] = []


def _count_compilation(event: str, duration: float, **attributes: object) -> None:
    if event == "/jax/core/compile/backend_compile_duration":  # also those found in a disk cache
        _compiled.append(event)


@pytest.fixture(scope="module", autouse=True)
def listener() -> None:
    """Counts from here on; jax has no public way to unregister a listener."""
    jax.monitoring.register_event_duration_secs_listener(_count_compilation)


@contextmanager
def compilations() -> Iterator[list[int]]:
    """The number of compilations in the block, in a list once it has ended."""
    before, count = len(_compiled), []
    yield count
    count.append(len(_compiled) - before)


def fit(seed: int, restarts: int):
    spectra = np.asarray(make_mixture(seed).x)
    key = jax.random.key(seed)
    return fit_components(key, spectra, OPTIONS, num_candidates=CANDIDATES, restarts=restarts)


@pytest.fixture(scope="module")
def first_fit() -> int:
    jax.clear_caches()
    with compilations() as count:
        fit(2, restarts=3)
    return count[0]


def test_a_fit_with_restarts_compiles_a_bounded_number_of_functions(first_fit):
    assert 0 < first_fit <= MAX_COMPILATIONS


@pytest.mark.parametrize("restarts", [1, 5])
def test_a_fit_of_the_same_shape_compiles_nothing(first_fit, restarts):
    """Whatever the data, and however many restarts."""
    with compilations() as count:
        fit(3, restarts)
    assert count == [0]
