import threading
import time

import jax
import numpy as np
import pytest

from jaxhsi.data.prefetch import DevicePrefetcher, prefetch
from jaxhsi.data.stream import window_stream
from jaxhsi.sharding import device_mesh, shard_batch
from tests.helpers.cubes import make_cube


def stream_of(cube):
    return window_stream([cube], 3, 2, seed=0, num_threads=2, prefetch_windows=2)


@pytest.fixture
def cube(tmp_path):
    values = np.random.default_rng(0).normal(size=(12, 12, 2)).astype(np.float32)
    return make_cube(tmp_path, "c", values)


def plain(cube, count: int) -> list[np.ndarray]:
    stream = stream_of(cube)
    return [next(stream)[0] for _ in range(count)]


class Counted:
    """Numbers 0, 1, ..., with a state like that of a stream; fails where it is told to."""

    def __init__(self, fails_at: int | None = None):
        self.next, self.fails_at = 0, fails_at

    def __next__(self) -> int:
        if self.next == self.fails_at:
            raise ValueError(f"block {self.next} is damaged")
        self.next += 1
        return self.next - 1

    def get_state(self) -> dict:
        return {"next": self.next}

    def set_state(self, state: dict) -> None:
        self.next = state["next"]


def same(batch: int) -> int:
    return batch


def test_batches_are_those_of_the_stream_and_lie_on_the_devices(cube):
    mesh = device_mesh(2)
    with DevicePrefetcher(stream_of(cube), lambda batch: shard_batch(mesh, batch)) as batches:
        for expected in plain(cube, 6):
            values, valid = next(batches)
            assert isinstance(values, jax.Array)
            assert len(values.sharding.device_set) == 2
            np.testing.assert_array_equal(values, expected)
            assert valid.all()
        assert batches.wait_seconds > 0


@pytest.mark.parametrize("depth", [1, 4])
def test_state_is_that_of_the_last_batch_handed_out(cube, depth):
    whole, raw = plain(cube, 9), stream_of(cube)
    with DevicePrefetcher(raw, same, depth) as batches:
        for _ in range(3):
            next(batches)
        saved = batches.get_state()
        np.testing.assert_array_equal(next(batches)[0], whole[3])
    again = stream_of(cube)
    again.set_state(saved)
    np.testing.assert_array_equal(next(again)[0], whole[3])
    np.testing.assert_array_equal(next(raw)[0], whole[4])  # left where it was used up to
    with DevicePrefetcher(again, same, depth) as batches:
        next(batches)
        batches.set_state(saved)
        assert batches.get_state() == saved
        np.testing.assert_array_equal(next(batches)[0], whole[3])


def test_so_many_are_fetched_and_no_more():
    source, fetched = Counted(), threading.Semaphore(0)

    def place(number: int) -> int:
        fetched.release()
        return number

    with DevicePrefetcher(source, place, 2) as batches:
        assert source.next == 0  # nothing before it is asked for
        assert next(batches) == 0
        for _ in range(3):
            assert fetched.acquire(timeout=5)
        assert not fetched.acquire(timeout=0.05)
        assert batches.get_state() == {"next": 1}
    assert source.next == 1


def test_only_idle_devices_wait():
    def slowly(number: int) -> int:
        time.sleep(0.05)
        return number

    with DevicePrefetcher(Counted(), slowly, devices_busy=lambda: True) as batches:
        next(batches)
        assert batches.wait_seconds < 0.03
    with DevicePrefetcher(Counted(), slowly) as batches:
        next(batches)
        assert batches.wait_seconds > 0.04


def test_an_error_comes_with_the_batch_that_it_belongs_to():
    with DevicePrefetcher(Counted(fails_at=2), same) as batches:
        assert [next(batches), next(batches)] == [0, 1]
        with pytest.raises(ValueError, match="block 2 is damaged"):
            next(batches)
        assert batches.get_state() == {"next": 2}


def test_nothing_ahead_is_refused():
    with pytest.raises(ValueError, match="at least 1 batch"):
        DevicePrefetcher(Counted(), same, 0)


@pytest.mark.parametrize(("ahead", "threads"), [(0, 1), (1, 1), (3, 2), (9, 2)])
def test_results_come_in_order(ahead, threads):
    assert list(prefetch(lambda i: i * i, range(7), ahead, threads)) == [i * i for i in range(7)]
    assert list(prefetch(abs, [], ahead, threads)) == []


@pytest.mark.parametrize("ahead", [1, 2])
def test_no_more_are_read_than_said(ahead):
    begun = []
    for used, _ in enumerate(prefetch(begun.append, range(20), ahead), 1):
        assert len(begun) <= used + ahead


def test_the_next_is_read_while_one_is_used():
    begun = threading.Event()
    reads = prefetch(lambda i: begun.set() if i else None, range(2), 1)
    next(reads)
    assert begun.wait(5)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_errors_come_where_their_result_would(ahead):
    def read(i: int) -> int:
        if i == 2:
            raise ConnectionError("gone")
        return i

    reads = prefetch(read, range(5), ahead)
    assert [next(reads), next(reads)] == [0, 1]
    with pytest.raises(ConnectionError, match="gone"):
        next(reads)


def test_a_loop_that_is_left_ends_its_thread():
    before = threading.active_count()
    reads = prefetch(abs, range(100), 2)
    next(reads)
    reads.close()
    assert threading.active_count() == before
