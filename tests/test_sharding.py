import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.dgc.state import Batch, State
from jaxhsi.sharding import compile_step, device_mesh, replicate, shard_batch
from tests.helpers.dgc_method import batch, first_state, method


def twenty_steps(devices: int, windows: int = 8) -> tuple:
    dgc = method()
    mesh = device_mesh(devices, windows)
    step = compile_step(mesh, dgc.step)
    state = replicate(mesh, first_state(dgc))
    for number in range(20):
        key = jax.random.fold_in(jax.random.key(1), number)
        state, info = step(key, state, shard_batch(mesh, batch(number, windows)))
    return jax.device_get((state, info))


def test_one_and_eight_devices_give_the_same_numbers():
    assert len(jax.devices()) == 8
    (state_1, info_1), (state_8, info_8) = twenty_steps(1), twenty_steps(8)
    chex.assert_trees_all_close(info_1, info_8, rtol=2e-3, atol=2e-4)
    chex.assert_trees_all_close(state_1.mixture, state_8.mixture, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(
        state_1.teacher_params, state_8.teacher_params, rtol=1e-2, atol=2e-4
    )


def test_pmap_gives_the_same_statistics():
    """For the record: per-device sums under ``jax.pmap``, added up, are those of the mesh."""
    dgc = method()
    state, windows = first_state(dgc), batch(0, 8)

    def labels(state: State, window, valid):
        share = dgc.predict(state, window, valid)[0]
        return jax.lax.psum(jnp.bincount(share.ravel(), length=3), "batch")

    per_device = jax.pmap(labels, axis_name="batch", in_axes=(None, 0, 0))(
        state, windows.window[:, None], windows.valid[:, None]
    )
    mesh = device_mesh(8, 8)
    over_mesh, _ = jax.jit(dgc.predict)(replicate(mesh, state), *shard_batch(mesh, windows))
    np.testing.assert_array_equal(per_device[0], np.bincount(np.ravel(over_mesh), minlength=3))


def test_a_batch_is_split_and_a_state_is_not():
    mesh = device_mesh(4, 8)
    values = shard_batch(mesh, Batch(jnp.zeros((8, 4, 4, 2)), jnp.ones((8, 4, 4), bool)))
    assert {shard.data.shape[0] for shard in values.window.addressable_shards} == {2}
    assert replicate(mesh, jnp.zeros(3)).is_fully_replicated


def test_all_devices_that_divide_the_batch_are_taken():
    assert device_mesh(None, 8).size == 8
    assert device_mesh(None, 6).size == 6
    assert device_mesh(None, 9).size == 3


@pytest.mark.parametrize(
    ("devices", "windows", "named"),
    [
        (9, 18, "devices 9 .* there are 8"),
        (0, 8, "devices 0"),
        (3, 8, "8 windows .* 3 devices"),
    ],
)
def test_impossible_numbers_of_devices_are_refused(devices, windows, named):
    with pytest.raises(ValueError, match=named):
        device_mesh(devices, windows)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    with pytest.raises(ValueError, match=r"one of 4 processes of jax\.distributed"):
        device_mesh(None, 8)
