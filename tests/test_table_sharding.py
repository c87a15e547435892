"""Functions of whole tables on any number of devices: the padding of shares decides nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.sharding import device_mesh
from jaxhsi.table_sharding import compile_by_rows, place_rows, several_devices, split_rows

X = np.random.default_rng(0).uniform(-3, -1, (21, 4)).astype(np.float32)
"""Negative, so that a padding of zeros would be the largest of each column."""


def statistics(x):
    """What padding would show in: extremes, order, counts, ratios to 0, and a while loop's end."""
    doubled = jax.lax.while_loop(lambda v: jnp.max(v) > -100, lambda v: 2 * v, x)
    return {
        "mean": x.mean(0),
        "median": jnp.median(x, axis=0),
        "largest": x.max(0),
        "last": jnp.argmin(x, axis=0),
        "order": jnp.argsort(x[:, 0]),
        "top": jax.lax.top_k(x[:, 1], 3)[1],
        "log": jnp.log(-x).sum(),
        "gram": x.T @ x,
        "singular": jnp.linalg.svd(x, compute_uv=False),
        "doubled": doubled,
        "rows": x**2,
    }


@pytest.mark.parametrize(("devices", "rows"), [(1, 21), (2, 21), (8, 21), (8, 20), (8, 4)])
def test_what_is_computed_of_a_table_is_that_of_one_device(devices, rows):
    whole = jax.jit(statistics)(X[:rows])
    shares = compile_by_rows(device_mesh(devices), statistics, 0)(X[:rows])
    for name, value in whole.items():
        np.testing.assert_allclose(shares[name], value, rtol=1e-5, err_msg=name)
        assert shares[name].is_fully_replicated


def test_every_device_computes_a_share():
    compiled = (
        compile_by_rows(device_mesh(8), statistics, 0).__wrapped__.lower(X).compile().as_text()
    )
    assert "f32[3,4]" in compiled  # three of the 24 padded rows
    assert "f32[3,4]" not in jax.jit(statistics).lower(X).compile().as_text()


def test_tables_are_placed_as_the_number_of_rows_allows():
    mesh = device_mesh(3)
    shapes = [
        {shard.data.shape for shard in place_rows(mesh, X[:rows]).addressable_shards}
        for rows in (21, 20)
    ]
    assert shapes == [{(7, 4)}, {(20, 4)}]


def test_one_device_needs_no_mesh():
    assert several_devices(1) is None
    assert several_devices().size == 8
    assert split_rows(None, X) is X
    assert split_rows(device_mesh(1), X) is X


def test_options_of_jit_go_by_name_and_by_place():
    def scaled(factor, x, power):
        return factor * x.sum() ** power

    for options in ({"static_argnames": "power"}, {"static_argnums": 2}):
        function = compile_by_rows(device_mesh(2), scaled, 1, **options)
        assert float(function(2.0, jnp.ones((3, 1)), 2)) == 18
