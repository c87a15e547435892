"""The next batches moved to the devices while a step runs."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

_LOOK = 0.001  # seconds between looks at whether the devices are still busy


@runtime_checkable
class BatchStream(Protocol):
    """Batches one after the other from a place that can be kept and gone back to, as Grain's."""

    def __next__(self) -> Any:
        """The next batch."""

    def get_state(self) -> Any:
        """Where it is, as JSON."""

    def set_state(self, state: Any) -> None:
        """Go on from there."""


class DevicePrefetcher:
    """A stream whose next batches are on the devices already, and which resumes as exactly.

    A thread draws batches and places them, so many ahead. `get_state` is that of the batch that
    was handed out last, not of those that wait: a checkpoint made after a step continues with the
    batch that the next step would have seen. When the block ends the stream itself is moved there.

    Attributes:
        wait_seconds: seconds for which a step had to wait for its batch, so far.
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
            devices_busy: whether the devices still work at an earlier step, which no wait holds up.

        Raises:
            ValueError: a depth below 1.
        """
        if depth < 1:
            raise ValueError(f"at least 1 batch must be fetched ahead, got {depth}")
        self._stream, self._place, self._depth, self._busy = (
            stream,
            place_batch,
            depth,
            devices_busy,
        )
        self._coming: deque[Future] = deque()
        self._pool = ThreadPoolExecutor(1, "batches")
        self._state = deepcopy(stream.get_state())
        self.wait_seconds = 0.0

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        while len(self._coming) <= self._depth:
            self._coming.append(self._pool.submit(self._draw))
        future = self._coming.popleft()
        began = time.perf_counter()
        while not future.done():
            wait([future], timeout=_LOOK)
            if self._busy():
                began = time.perf_counter()
        self.wait_seconds += time.perf_counter() - began
        batch, self._state = future.result()
        return batch

    def _draw(self) -> tuple[Any, Any]:
        batch = self._place(next(self._stream))
        return batch, deepcopy(self._stream.get_state())

    def get_state(self) -> Any:
        """Where the stream was when the last batch was handed out."""
        return deepcopy(self._state)

    def set_state(self, state: Any) -> None:
        """Go on from there; what was fetched ahead is dropped."""
        for future in self._coming:
            future.cancel()
        self._pool.submit(int).result()  # one thread: what was running has ended
        self._coming.clear()
        self._stream.set_state(state)
        self._state = deepcopy(state)

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread and leave the stream after the last batch that was handed out."""
        self.set_state(self._state)
        self._pool.shutdown()
