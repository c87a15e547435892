import chex
import jax
import jax.numpy as jnp
import pytest

from tests.helpers.dgc_method import batch
from tests.helpers.scenes import BANDS
from tests.helpers.upstream_method import upstream_method


@pytest.fixture(scope="module")
def standard():
    """A batch of standardised bands."""
    window, valid = batch(0, 2)
    flat = window.reshape(-1, BANDS)
    return batch(0, 2)._replace(window=(window - flat.mean(0)) / flat.std(0), valid=valid)


def test_upstreams_method_steps_once_compiled(standard):
    dgc = upstream_method()
    state = dgc.init(jax.random.key(0), standard.window.reshape(-1, BANDS))
    step = jax.jit(chex.assert_max_traces(lambda *inputs: dgc.step(*inputs), n=1), donate_argnums=1)
    for number in range(3):
        state, info = step(jax.random.key(number), state, standard)
    chex.clear_trace_counter()
    assert int(state.step) == 3
    chex.assert_tree_all_finite(info)
    # log 3 is the cross-entropy of an even guess against random labels: they cannot be learnt
    assert float(info.terms.uniform_assignment) > 0.9 * float(jnp.log(3))


def test_the_repaired_variant_gets_the_maps_of_its_views(standard):
    dgc = upstream_method(
        grid_consistency=0.0, uniform_assignment=0.0, usage_entropy=-1.0, overlap_consistency=1.0
    )
    state = dgc.init(jax.random.key(0), standard.window.reshape(-1, BANDS))
    _, info = jax.jit(dgc.step)(jax.random.key(0), state, standard)
    assert float(info.terms.overlap_consistency) > 0
    assert float(info.terms.grid_consistency) == 0


def test_invalid_pixels_change_nothing(standard):
    dgc = upstream_method()
    state = dgc.init(jax.random.key(0), standard.window.reshape(-1, BANDS))
    valid = standard.valid.at[:, 4:9, 3:8].set(False)
    step = jax.jit(dgc.step)
    holes = (
        step(
            jax.random.key(0),
            state,
            standard._replace(window=standard.window.at[~valid].set(value), valid=valid),
        )
        for value in (0.0, 7.0)
    )
    chex.assert_trees_all_close(*holes, rtol=1e-5, atol=1e-6)
