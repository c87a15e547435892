"""Reads ahead of their use, in order, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Place = TypeVar("Place")
Read = TypeVar("Read")


def read_ahead(
    read: Callable[[Place], Read], places: Iterable[Place], ahead: int = 1, threads: int = 1
) -> Iterator[Read]:
    """What `read` gives for each place, in order, the next ones being read meanwhile.

    Args:
        read: called in a thread; its errors are raised where its result would come.
        places: drawn from as reads begin.
        ahead: reads that are under way or wait, beside the one in use; 0 reads when asked.
        threads: that read.
    """
    if not ahead:
        yield from map(read, places)
        return
    places = iter(places)
    pool = ThreadPoolExecutor(threads, "reads")
    try:
        coming = deque(pool.submit(read, place) for place in islice(places, ahead))
        while coming:
            found = coming.popleft().result()
            coming.extend(pool.submit(read, place) for place in islice(places, 1))
            yield found
    finally:
        pool.shutdown(cancel_futures=True)
