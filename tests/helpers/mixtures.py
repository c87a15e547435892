"""Small mixtures in noise units, for the tests of the default solver.

Tables of 40 spectra of 50 bands under `OPTIONS` share what is compiled.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxhsi.gmcr.component_pool import ComponentPool
from jaxhsi.gmcr.options import SolverOptions

OPTIONS = SolverOptions(max_active=4, steps_per_phase=40, noise_refit_every=20)
CANDIDATES = 6
"""Candidates of a table of rank 3, for tables of another rank."""


class SyntheticMixture(NamedTuple):
    """Float32 arrays: the data with noise of deviation 1, unit components, concentrations."""

    x: jnp.ndarray
    components: jnp.ndarray
    codes: jnp.ndarray


def make_mixture(
    seed: int = 0, rows: int = 40, count: int = 3, bands: int = 50
) -> SyntheticMixture:
    """One or two of a few components a spectrum, 60 to 200 noise deviations of each."""
    random = np.random.default_rng(seed)
    components = np.abs(np.linalg.qr(random.normal(size=(bands, count)))[0].T)
    present = random.permuted(np.arange(count) < random.integers(1, 3, (rows, 1)), axis=1)
    codes = present * random.uniform(60, 200, (rows, count))
    x = codes @ components + random.normal(size=(rows, bands))
    return SyntheticMixture(*(jnp.asarray(a, jnp.float32) for a in (x, components, codes)))


def pool_from_rows(rows, slots: int) -> ComponentPool:
    """Unit rows in a pool with free slots."""
    rows = jnp.asarray(rows, jnp.float32)
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    components = jnp.pad(rows, ((0, slots - len(rows)), (0, 0)))
    place = jnp.arange(slots)
    return ComponentPool(components, place < len(rows), place < 0)


def best_cosines(found, true) -> np.ndarray:
    """Best cosine of each true component among the found unit rows."""
    return np.asarray(jnp.max(true @ jnp.asarray(found).T, axis=1))
