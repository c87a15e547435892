"""Where the solver starts: rank, noise and purest spectra of a table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr.initialisation import estimate_rank, successive_projection

SURVEY, PICK = jax.jit(estimate_rank), jax.jit(successive_projection, static_argnums=1)


def test_the_purest_spectra_are_picked():
    """Mixtures of three spectra, and each of them pure in one row, whatever its strength."""
    random = np.random.default_rng(0)
    pure = np.abs(random.normal(size=(3, 20)))
    x = random.dirichlet(np.ones(3), 30) @ pure
    x[[4, 11, 25]] = pure * [[0.1], [1.0], [50.0]]
    assert set(PICK(jnp.asarray(x, jnp.float32), 3).tolist()) == {4, 11, 25}


def test_each_pick_is_the_longest_that_is_left():
    """Unit rows e1, e2, (e1 + e2) / sqrt 2: the third adds nothing once the first two are out."""
    x = jnp.array([[2.0, 0, 0], [0, 3.0, 0], [1.0, 1.0, 0], [1.0, 0, 0.5]])
    assert PICK(x, 3).tolist() == [0, 1, 3]


def noisy(seed: int, rank: int, exponent: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    pure = np.abs(np.linalg.qr(random.normal(size=(150, rank)))[0].T)
    clean = random.uniform(0, 10, (60, rank)) * (random.random((60, rank)) < 0.5)
    clean[:, 0] += 1
    clean = clean @ pure
    deviation = 0.02 * np.sqrt((clean**2).mean(1)) ** exponent
    return clean, clean + deviation[:, None] * random.normal(size=clean.shape)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.parametrize("rank", [2, 6])
def test_rank_and_noise_of_a_table(rank, exponent):
    """No direction is missed; a few too many are possible where noise does not grow with signal."""
    clean, x = noisy(rank, rank, exponent)
    found = SURVEY(jnp.asarray(x, jnp.float32))
    assert rank <= found.rank <= rank + (0 if exponent else 3)
    np.testing.assert_allclose(found.noise_level.exponent, exponent, atol=0.25)
    gone = clean - clean @ found.singular_vectors[:rank].T @ found.singular_vectors[:rank]
    assert (gone**2).sum() < 1e-3 * (clean**2).sum()


def test_rank_does_not_depend_on_the_unit():
    _, x = noisy(3, 4, 1.0)
    small, large = (SURVEY(jnp.asarray(x * unit, jnp.float32)) for unit in (1e-3, 1e3))
    assert small.rank == large.rank == 4
    np.testing.assert_allclose(small.noise_level.exponent, large.noise_level.exponent, atol=1e-3)
