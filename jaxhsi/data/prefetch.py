"""Work done ahead of its use: reads in order, and batches that are on the devices already.

Both keep so many results ready and no more, so that memory stays bounded. They share
:class:`OrderedTasks`.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from copy import deepcopy
from itertools import islice
from typing import Any, Protocol, TypeVar, runtime_checkable

Place = TypeVar("Place")
Read = TypeVar("Read")

BUSY_POLL_SECONDS = 0.001
"""Time between two questions whether the devices are still busy. Set by hand: a step takes tens
of milliseconds, so that the waiting is measured to a few percent."""


class OrderedTasks:
    """Calls in threads, whose results are taken in the order of submission.

    >>> tasks = OrderedTasks("squares", threads=2)
    >>> for number in range(3):
    ...     tasks.submit(pow, number, 2)
    >>> [tasks.pop().result() for _ in range(len(tasks))]
    [0, 1, 4]
    >>> tasks.close()
    """

    def __init__(self, name: str, threads: int = 1):
        """Start no thread yet; they start with the first tasks."""
        self._pool = ThreadPoolExecutor(threads, name)
        self._pending: deque[Future] = deque()

    def __len__(self) -> int:
        """Number of tasks whose results have not been taken."""
        return len(self._pending)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Add a call at the end of the queue."""
        self._pending.append(self._pool.submit(function, *arguments))

    def pop(self) -> Future:
        """The oldest task whose result has not been taken; it may still run."""
        return self._pending.popleft()

    def clear(self) -> None:
        """Drop all tasks, and wait for those that run."""
        wait([task for task in self._pending if not task.cancel()])
        self._pending.clear()

    def close(self) -> None:
        """Drop all tasks and end the threads."""
        self._pool.shutdown(cancel_futures=True)


def prefetch(
    read: Callable[[Place], Read], places: Iterable[Place], ahead: int = 1, threads: int = 1
) -> Iterator[Read]:
    """What ``read`` gives for each place, in order, the next ones being read meanwhile.

    Args:
        read: called in a thread; its errors are raised where its result would come.
        places: drawn from as reads begin.
        ahead: reads that run or wait, beside the one in use; 0 reads when asked.
        threads: that read.

    >>> list(prefetch(abs, [-1, 2, -3], ahead=2))
    [1, 2, 3]
    """
    if not ahead:
        yield from map(read, places)
        return
    places = iter(places)
    tasks = OrderedTasks("reads", threads)
    try:
        for place in islice(places, ahead):
            tasks.submit(read, place)
        while tasks:
            # A list, emptied as it is handed out: a name would hold the memory of the result.
            results = [tasks.pop().result()]
            for place in islice(places, 1):
                tasks.submit(read, place)
            yield results.pop()
    finally:
        tasks.close()


@runtime_checkable
class BatchStream(Protocol):
    """Batches one after the other, from a position that can be saved and restored, as Grain's."""

    def __next__(self) -> Any:
        """The next batch."""

    def get_state(self) -> Any:
        """The position, as JSON."""

    def set_state(self, state: Any) -> None:
        """Go on from a position."""


class DevicePrefetcher:
    """A stream whose next batches are on the devices already, and which resumes exactly.

    A thread draws batches and places them. `get_state` is that of the batch that was handed out
    last, not of those that wait: a checkpoint made after a step continues with the batch that the
    next step would have taken. When the block ends the stream itself is moved there.

    Attributes:
        wait_seconds: time for which steps have waited for their batches, so far.
    """

    def __init__(
        self,
        stream: BatchStream,
        place_batch: Callable[[Any], Any],
        depth: int = 2,
        devices_busy: Callable[[], bool] = lambda: False,
    ):
        """Wrap a stream.

        Args:
            stream: of batches; nobody else may draw from it meanwhile.
            place_batch: moves a batch to the devices.
            depth: batches that wait, at least 1; each takes the devices' memory of a batch.
            devices_busy: whether the devices still work at an earlier step; waiting then costs
                nothing and does not count.

        Raises:
            ValueError: a depth below 1.
        """
        if depth < 1:
            raise ValueError(f"at least 1 batch must be fetched ahead, got {depth}")
        self._stream, self._place_batch, self._depth = stream, place_batch, depth
        self._devices_busy = devices_busy
        self._tasks = OrderedTasks("batches")  # one thread: the stream is drawn from in order
        self._state = deepcopy(stream.get_state())
        self.wait_seconds = 0.0

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        while len(self._tasks) <= self._depth:
            self._tasks.submit(self._draw)
        task = self._tasks.pop()
        wait_start = time.perf_counter()
        while not task.done():
            wait([task], timeout=BUSY_POLL_SECONDS)
            if self._devices_busy():
                wait_start = time.perf_counter()
        self.wait_seconds += time.perf_counter() - wait_start
        batch, self._state = task.result()
        return batch

    def _draw(self) -> tuple[Any, Any]:
        batch = self._place_batch(next(self._stream))
        return batch, deepcopy(self._stream.get_state())

    def get_state(self) -> Any:
        """Position of the stream when the last batch was handed out."""
        return deepcopy(self._state)

    def set_state(self, state: Any) -> None:
        """Go on from a position; what was fetched ahead is dropped."""
        self._tasks.clear()
        self._stream.set_state(state)
        self._state = deepcopy(state)

    def __enter__(self) -> "DevicePrefetcher":
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread and leave the stream after the last batch that was handed out."""
        self.set_state(self._state)
        self._tasks.close()
