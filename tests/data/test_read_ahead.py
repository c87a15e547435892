import threading

import pytest

from jaxhsi.data.read_ahead import read_ahead


@pytest.mark.parametrize(("ahead", "threads"), [(0, 1), (1, 1), (3, 2), (9, 2)])
def test_results_come_in_order(ahead, threads):
    assert list(read_ahead(lambda i: i * i, range(7), ahead, threads)) == [i * i for i in range(7)]
    assert list(read_ahead(abs, [], ahead, threads)) == []


@pytest.mark.parametrize("ahead", [1, 2])
def test_no_more_are_read_than_said(ahead):
    begun = []
    for used, _ in enumerate(read_ahead(begun.append, range(20), ahead), 1):
        assert len(begun) <= used + ahead


def test_the_next_is_read_while_one_is_used():
    begun = threading.Event()
    reads = read_ahead(lambda i: begun.set() if i else None, range(2), 1)
    next(reads)
    assert begun.wait(5)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_errors_come_where_their_result_would(ahead):
    def read(i: int) -> int:
        if i == 2:
            raise ConnectionError("gone")
        return i

    reads = read_ahead(read, range(5), ahead)
    assert [next(reads), next(reads)] == [0, 1]
    with pytest.raises(ConnectionError, match="gone"):
        next(reads)


def test_a_loop_that_is_left_ends_its_thread():
    before = threading.active_count()
    reads = read_ahead(abs, range(100), 2)
    next(reads)
    reads.close()
    assert threading.active_count() == before
