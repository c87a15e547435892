from functools import cache, partial
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.sharding import Mesh

from jaxhsi.dgc.algorithm import update
from jaxhsi.dgc.gaussian_mixture import fit_mixture
from jaxhsi.dgc.options import ViewOptions
from jaxhsi.dgc.state import Batch, SegmentationAlgorithm
from jaxhsi.process_sharding import process_rows, shard_process_rows
from jaxhsi.sharding import (
    compile_step,
    device_mesh,
    map_rows,
    pad_rows,
    padded_length,
    replicate,
    shard_batch,
    unpad_rows,
    view_mesh,
)
from tests.helpers.dgc_method import OPTIMIZER, batch, first_state, method
from tests.helpers.scenes import BANDS, blobs
from tests.helpers.upstream_method import upstream_method


def steps_on(mesh: Mesh, dgc: SegmentationAlgorithm, state, windows: int, steps: int) -> tuple:
    pairs = view_mesh(mesh, windows)
    step = compile_step(pairs, dgc.step, windows)
    state = replicate(mesh, state)
    for number in range(steps):
        key = jax.random.fold_in(jax.random.key(1), number)
        state, info = step(key, state, shard_batch(pairs, batch(number, windows)))
    return jax.device_get((state, info))


@cache
def five_steps(devices: int) -> tuple:
    mesh = device_mesh(devices)
    dgc = method(mesh=mesh)
    return steps_on(mesh, dgc, first_state(dgc), 4, 5)


@pytest.mark.parametrize("devices", [8, 3])  # a view on each; windows that are padded
def test_any_number_of_devices_gives_the_same_numbers(devices):
    assert len(jax.devices()) == 8
    (state_1, info_1), (state_n, info_n) = five_steps(1), five_steps(devices)
    chex.assert_trees_all_close(info_1, info_n, rtol=2e-3, atol=2e-4)
    chex.assert_trees_all_close(state_1.mixture, state_n.mixture, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_close(
        state_1.teacher_params, state_n.teacher_params, rtol=1e-2, atol=2e-4
    )


@pytest.mark.slow
def test_upstreams_steps_are_the_same_on_padded_pairs_of_devices():
    results = []
    for mesh in (device_mesh(1), device_mesh(4)):
        dgc = upstream_method(mesh)
        state = dgc.init(jax.random.key(0), jnp.zeros((1, BANDS)))
        results.append(steps_on(mesh, dgc, state, 5, 2))
    chex.assert_trees_all_close(*results, rtol=1e-4, atol=1e-5)


def test_both_views_of_a_window_are_on_their_own_devices_where_windows_are_few():
    assert view_mesh(device_mesh(8), 4).shape == {"batch": 4, "view": 2}
    assert view_mesh(device_mesh(6), 4).shape == {"batch": 6}
    assert view_mesh(device_mesh(4), 5).shape == {"batch": 2, "view": 2}
    for devices, windows in ((8, 8), (4, 4), (2, 4), (1, 4), (7, 4)):
        assert view_mesh(device_mesh(devices), windows).shape == {"batch": devices}


@pytest.mark.slow
def test_twenty_steps_are_those_of_pmap():
    """Gradients and statistics averaged by hand, in the place of a sharded batch."""
    # Views that coincide: every window then has as many matched pixels, and means can be averaged.
    views = ViewOptions(crop=12, overlap=(1.0, 1.0), degrees=0.0, shift=0.0, scale=(1.0, 1.0))
    average = partial(lax.pmean, axis_name="batch")
    averaging = optax.chain(optax.stateless(lambda gradient, _: average(gradient)), OPTIMIZER)
    # Without neighbours, whose statistics are no means but ratios.
    of_mean = method(optimizer=averaging, views=views, neighbour_radius=0)
    plain, start = method(views=views, neighbour_radius=0), first_state(of_mean)

    def own_step(keys, noise_key, state, own_batch):
        state, info = update(of_mean.step.args[0], keys, noise_key, state, own_batch)
        averages = {
            name: average(getattr(state, name))
            for name in ("mixture", "cluster_usage", "cluster_relations")
        }
        return state._replace(**averages), average(info.loss)

    pmapped = jax.pmap(own_step, axis_name="batch", in_axes=(0, None, 0, 0))
    mesh = device_mesh(8)
    step = compile_step(mesh, plain.step, 8)
    by_hand = jax.tree.map(lambda leaf: jnp.stack([leaf] * 8), start)
    by_mesh = replicate(mesh, start._replace(optimizer_state=first_state(plain).optimizer_state))
    for number in range(20):
        key, windows = jax.random.fold_in(jax.random.key(1), number), batch(number, 8)
        own_windows = jax.tree.map(lambda leaf: leaf[:, None], windows)
        keys, noise_key = jax.random.split(key, (8, 1, 3)), jax.random.fold_in(key, 8)
        by_hand, loss = pmapped(keys, noise_key, by_hand, own_windows)
        by_mesh, info = step(key, by_mesh, shard_batch(mesh, windows))
        np.testing.assert_allclose(loss[0], info.loss, rtol=1e-4)
    by_hand = jax.tree.map(lambda leaf: leaf[0], by_hand)
    chex.assert_trees_all_close(by_hand.mixture, by_mesh.mixture, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(by_hand.params, by_mesh.params, rtol=1e-3, atol=1e-4)
    bias = by_mesh.params["encoder"]["bias"]  # zero at the start: far from what is tolerated
    assert np.abs(bias).max() > 1e-2


def test_starts_of_the_mixture_are_spread_over_devices():
    spectra = jnp.asarray(blobs(0)[0].reshape(-1, BANDS))[:, :2]
    fits = [
        fit_mixture(jax.random.key(0), spectra, 3, 10, mesh=mesh)
        for mesh in (None, device_mesh(1), device_mesh(8))
    ]
    chex.assert_trees_all_close(*jax.device_get(fits), rtol=1e-4)


def test_a_batch_is_split_and_a_state_is_not():
    mesh = device_mesh(4)
    values = shard_batch(mesh, Batch(jnp.zeros((8, 4, 4, 2)), jnp.ones((8, 4, 4), bool)))
    assert {shard.data.shape[0] for shard in values.window.addressable_shards} == {2}
    assert replicate(mesh, jnp.zeros(3)).is_fully_replicated


def test_any_number_of_rows_is_split_over_any_number_of_devices():
    mesh, values = device_mesh(3), np.arange(10.0).reshape(5, 2)
    split = shard_batch(mesh, (values, np.ones(5, bool)))
    assert {shard.data.shape for shard in split[0].addressable_shards} == {(2, 2)}
    assert padded_length(mesh, 5) == 6
    np.testing.assert_array_equal(split[0][5], values[4])  # as finite as the data
    np.testing.assert_array_equal(unpad_rows(split[0], 5), values)


def test_fewer_rows_than_devices_are_padded():
    assert padded_length(device_mesh(8), 3) == 8
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


@pytest.mark.parametrize(("devices", "named"), [(9, "devices 9 .* there are 8"), (0, "devices 0")])
def test_impossible_numbers_of_devices_are_refused(devices, named):
    with pytest.raises(ValueError, match=named):
        device_mesh(devices)


def test_each_process_has_its_own_devices(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert device_mesh().size == 8
    devices = [SimpleNamespace(id=i, process_index=i // 2) for i in range(3)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    with pytest.raises(ValueError, match=r"the processes have \[2, 1\] devices; all need equally"):
        device_mesh(of_all_processes=True)


def test_rows_of_a_process_and_their_padding():
    mesh, values = device_mesh(3), np.arange(10.0).reshape(5, 2)
    rows = process_rows(mesh, 5)
    assert rows == [0, 1, 2, 3, 4, 4]
    split = shard_process_rows(mesh, values, 5)
    np.testing.assert_array_equal(split, values[rows])
