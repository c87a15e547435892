"""Which spectra of a library replace components that were found without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.pool_fit import PoolFit, fit_pool
from jaxhsi.gmcr.spectral_library import add_library
from tests.helpers.mixtures import SyntheticMixture, make_mixture, pool_from_rows

OPTIONS = SolverOptions(max_active=4)


@pytest.fixture(scope="module")
def mixed() -> SyntheticMixture:
    return make_mixture(1)


@pytest.fixture(scope="module")
def blind(mixed) -> PoolFit:
    return jax.jit(fit_pool, static_argnums=2)(
        mixed.x, pool_from_rows(mixed.components, 5), OPTIONS, 4, 1.0
    )


def test_a_found_component_becomes_the_librarys(blind, mixed):
    """Two known spectra and a foreign one, of any size: the third component stays as found."""
    foreign = jnp.ones((1, 50))
    library = jnp.concatenate([7 * mixed.components[:2], foreign])
    joined = add_library(blind, library, OPTIONS)
    assert joined.fixed.tolist() == [True] * 3 + [False] * 5
    np.testing.assert_allclose(joined.components[:2], mixed.components[:2], atol=1e-6)
    left = np.flatnonzero(np.asarray(joined.active)[3:])
    assert len(left) == 1
    unknown = joined.components[3 + left[0]]
    assert unknown @ mixed.components[2] > 0.999


def test_a_spectrum_that_is_only_similar_replaces_nothing(blind, mixed):
    """A cosine of 0.98 to a component of 50 to 200 noise deviations is told apart."""
    other = mixed.components[:1] + 0.2 * mixed.components[1:2]
    joined = add_library(blind, other, OPTIONS)
    assert int(joined.active[1:].sum()) == 3
