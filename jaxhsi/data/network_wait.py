"""How long a server may be silent: a bound on every wait for one, told while it lasts."""

import logging
import time
from dataclasses import dataclass
from typing import Any

DEFAULT_TIMEOUT_SECONDS = 30.0
"""Time for all tries of a request together. Set by hand: a window of a cube is a few megabytes."""
_FIRST_MESSAGE_SECONDS = 5.0
"""Silence after which it is said that a server is waited for; again after twice the time."""


@dataclass
class _Wait:
    """The bound of this process."""

    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS


_wait = _Wait()


def set_network_timeout(seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
    """Bound the wait for a server, for all that is read from now on.

    Args:
        seconds: for all tries of a request together, above 0.

    Raises:
        ValueError: no positive time.

    >>> set_network_timeout(30)
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"timeout {seconds} is out of range; give seconds above 0")
    _wait.timeout_seconds = float(seconds)


def network_timeout() -> float:
    """Seconds that a server may take for a request.

    >>> network_timeout()
    30.0
    """
    return _wait.timeout_seconds


def gdal_http_options() -> dict[str, str]:
    """Options of GDAL by which a silent server is given up after that time.

    Opening a raster asks twice, and each question is repeated once. An answer that comes slowly has
    the whole time.

    >>> gdal_http_options()["GDAL_HTTP_LOW_SPEED_TIME"]
    '7'
    """
    silence, whole = (str(max(1, int(_wait.timeout_seconds / part))) for part in (4, 1))
    return {
        "GDAL_HTTP_CONNECTTIMEOUT": silence,
        "GDAL_HTTP_LOW_SPEED_TIME": silence,
        "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
        "GDAL_HTTP_TIMEOUT": whole,
        "GDAL_HTTP_MAX_RETRY": "1",
        "GDAL_HTTP_RETRY_DELAY": "1",
    }


def wait_for(future: Any, location: str) -> Any:
    """The result of a read of TensorStore, for which a server has so many seconds.

    Args:
        future: of TensorStore.
        location: path or URL of the store; local ones are waited for without a bound.

    Raises:
        ConnectionError: the server took longer.
    """
    if "://" not in location or location.startswith(("file://", "memory://")):
        return future.result()
    start, limit, next_message = time.monotonic(), _wait.timeout_seconds, _FIRST_MESSAGE_SECONDS
    while (waited := time.monotonic() - start) < limit:
        try:
            return future.result(timeout=max(0.001, min(next_message, limit) - waited))
        except TimeoutError:
            if next_message < limit:
                text = "waiting for %s for %.0f s; it is given up after %.0f s"
                logging.getLogger(__name__).info(text, location, next_message, limit)
            next_message *= 2
    future.cancel()
    raise silence_error(location)


def silence_error(location: str) -> ConnectionError:
    """What is raised where a server took too long.

    Args:
        location: path or URL of what was asked for.
    """
    return ConnectionError(
        f"{location} has not answered within {network_timeout():g} s; check the address and the "
        "connection, or allow more time with timeout"
    )
