"""The two networks by hand, their start, and their refusals."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.upstream.gmcr.networks import concentration_network, gating_network, layer_widths

KEY = jax.random.key(0)


def layer(kernel, bias):
    return {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}


def test_energies_are_tanh_layers_by_hand():
    """x = (1, 2): hidden tanh(1 - 2 + 0.5, 2); energies (h0 + h1, h0, h1, -h0 + 1)."""
    zero = np.zeros((2, 2))  # two components have four hidden units; the others stay at 0
    params = {
        "0": layer(np.hstack([[[1, 0], [-1, 1]], zero]), [0.5, 0, 0, 0]),
        "1": layer(np.vstack([[[1, 1, 0, -1], [1, 0, 1, 0]], np.zeros((2, 4))]), [0, 0, 0, 1]),
    }
    energies = gating_network(2, 2, width_factor=1, num_layers=1).apply(
        params, jnp.asarray([[1.0, 2.0]])
    )
    a, b = np.tanh([-0.5, 2.0])
    np.testing.assert_allclose(energies[0], [[a + b, a], [b, 1 - a]], rtol=1e-6)


def test_concentrations_are_the_absolute_of_relu_layers():
    """x = (1, 2): hidden relu(-1 + 0, 2); one output -3 h1 + 1 = -5, so 5."""
    params = {"0": layer([[1], [-1]], [0]), "1": layer([[-3]], [1])}
    network = concentration_network(2, 1, width_factor=1, num_layers=1)
    assert network.apply(params, jnp.asarray([[1.0, 2.0], [2.0, 1.0]])).tolist() == [[1.0], [2.0]]


def test_one_linear_layer_without_an_extension():
    params = {"0": layer([[1], [-1]], [0.25])}
    network = concentration_network(2, 1, width_factor=None)
    assert network.apply(params, jnp.asarray([[1.0, 2.0]])).tolist() == [[0.75]]


@pytest.mark.parametrize(("build", "std"), [(gating_network, 0.05), (concentration_network, 0.01)])
def test_weights_and_biases_start_normal(build, std):
    params = jax.jit(build(40, 50, 2, 2).init)(KEY)
    per_layer = [np.std(layer["kernel"]) for layer in params.values()]
    np.testing.assert_allclose(per_layer, std, rtol=0.05)
    biases = np.concatenate([layer["bias"] for layer in params.values()])
    assert np.std(biases) == pytest.approx(std, rel=0.15)


def test_widths_are_upstreams():
    """Pool 1024, 512 channels: 34.6 M parameters in both networks."""
    assert layer_widths(512, 2048, 2, 2) == [512, 4096, 4096, 2048]
    assert layer_widths(512, 1024, 2, 2) == [512, 2048, 2048, 1024]
    pool_sizes = [
        a * b + b
        for w in (layer_widths(512, 2048, 2, 2), layer_widths(512, 1024, 2, 2))
        for a, b in itertools.pairwise(w)
    ]
    assert sum(pool_sizes) == 34_618_368


@pytest.mark.parametrize(("extension", "layers"), [(0, 2), (2, 0)])
def test_no_hidden_layer_is_refused(extension, layers):
    with pytest.raises(ValueError, match="both are at least 1"):
        gating_network(4, 3, extension, layers)


def test_bfloat16_products_give_float32():
    network = gating_network(4, 3, dtype=jnp.bfloat16)
    params = network.init(KEY)
    energies = network.apply(params, jnp.ones((2, 4)))
    assert energies.dtype == jnp.float32
    exact = gating_network(4, 3).apply(params, jnp.ones((2, 4)))
    np.testing.assert_allclose(energies, exact, atol=2e-3)
