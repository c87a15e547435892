"""LossTerms of upstream's objective: values by hand, and against the formulas of its trainer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxhsi.upstream.gmcr import losses


def test_reconstruction_by_hand():
    x = jnp.array([[1.0, 2.0], [0.0, 0.0]])
    assert losses.reconstruction_error(x, x + jnp.array([[1.0, 0.0], [0.0, 3.0]])) == 2.5


def test_mean_count_by_hand():
    """Two spectra with 1.5 and 2 open of 4: mean 0.4375; a shut second pool of 4 quarters it."""
    z = jnp.array([[1.0, 0.5, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    assert losses.component_share([z]) == pytest.approx(0.4375)
    assert losses.component_share([z, 0 * z]) == pytest.approx(0.4375 / 4)
    assert losses.component_share([z], total=8) == pytest.approx(0.4375 / 2)


def test_mean_count_of_equal_pools_is_upstreams():
    """`torch.cat(counts, 0).sum(-1)`, then the mean of it over the size of all pools."""
    z = np.random.default_rng(0).uniform(size=(2, 3, 5)).astype(np.float32)
    expected = (np.concatenate(z, 0).sum(-1) / 10).mean()
    assert losses.component_share([jnp.asarray(part) for part in z]) == pytest.approx(expected)


def test_energies_by_hand():
    parts = [jnp.array([[1.0, -2.0]]), jnp.array([3.0])]
    assert losses.energy_penalty(parts) == pytest.approx(14 / 3)
    assert losses.mean_energy(parts) == pytest.approx(2 / 3)


def test_gradients():
    a, b = jnp.array([[0.2, 0.7]]), jnp.array([[0.5, 0.1, 0.4]])
    for term in (losses.component_share, losses.energy_penalty, losses.mean_energy):
        check_grads(jax.jit(term), ([a, b],), 1, ["rev"], eps=1e-2, rtol=1e-2, atol=1e-3)
    check_grads(
        jax.jit(losses.reconstruction_error), (a, 2 * a), 1, ["rev"], eps=1e-2, rtol=1e-2, atol=1e-3
    )
