import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.dgc.state import Batch, State
from jaxhsi.sharding import (
    compile_step,
    device_mesh,
    map_rows,
    pad_rows,
    padded_length,
    replicate,
    shard_batch,
    unpad_rows,
    valid_rows,
)
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


def test_any_number_of_rows_is_split_over_any_number_of_devices():
    mesh, values = device_mesh(3), np.arange(10.0).reshape(5, 2)
    split = shard_batch(mesh, (values, np.ones(5, bool)))
    assert {shard.data.shape for shard in split[0].addressable_shards} == {(2, 2)}
    assert padded_length(mesh, 5) == len(valid_rows(mesh, 5)) == 6
    np.testing.assert_array_equal(split[0][5], values[4])  # as finite as the data
    np.testing.assert_array_equal(unpad_rows(split[0], 5), values)
    weights = shard_batch(mesh, valid_rows(mesh, 5).astype(np.float32))
    weighted = jax.jit(lambda x, w: (x * w[:, None]).sum(0) / w.sum())(split[0], weights)
    np.testing.assert_allclose(weighted, values.mean(0), rtol=1e-6)


def test_fewer_rows_than_devices_are_padded():
    assert padded_length(device_mesh(8), 3) == 8
    assert valid_rows(device_mesh(8), 3).sum() == 3
    keys = jax.random.split(jax.random.key(0), 3)
    padded = pad_rows(keys, 5)
    assert (padded[:3] == keys).all()
    assert (padded[3:] == keys[2]).all()


@pytest.mark.parametrize("devices", [1, 3, 8])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_rows_are_mapped_on_all_devices(devices, batch_size):
    mesh = device_mesh(devices)

    def steps_below(row, start):  # of 3 x + 1, a loop of another length for every row
        number, steps = row
        _, steps = jax.lax.while_loop(
            lambda carry: carry[0] > start,
            lambda carry: (jnp.where(carry[0] % 2, 3 * carry[0] + 1, carry[0] // 2), carry[1] + 1),
            (number, steps),
        )
        return {"steps": steps}

    rows = jnp.arange(1, 12), jnp.zeros(11, int)
    mapped = jax.jit(lambda rows: map_rows(mesh, steps_below, rows, 1, batch_size=batch_size))(rows)
    assert mapped["steps"].tolist() == [0, 1, 7, 2, 5, 8, 16, 3, 19, 6, 14]


def test_all_devices_are_taken():
    assert device_mesh().size == 8
    assert device_mesh(5).size == 5


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
