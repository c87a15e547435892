"""Commands in several real processes on this machine, which work as one."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence

XLA_FLAGS = " ".join(
    flag
    for flag in os.environ.get("XLA_FLAGS", "").split()
    if "host_platform_device_count" not in flag
)
"""Those of the tests, with one device a process."""


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_processes(
    arguments: Sequence[str], num_processes: int, others: Sequence[str] | None = None
) -> list[subprocess.Popen]:
    """Start a training in several processes.

    Args:
        arguments: of ``jaxhsi train``, as of the first process.
        num_processes: how many.
        others: arguments of all but the first; the same if None.
    """
    shared = ("--coordinator", f"127.0.0.1:{free_port()}", "--num_processes", str(num_processes))
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "jaxhsi.train"),
                *(arguments if number == 0 or others is None else others),
                *(*shared, "--process_id", str(number), "--devices", "1"),
            ],
            env=os.environ | {"XLA_FLAGS": XLA_FLAGS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(num_processes)
    ]


def end_of(processes: Sequence[subprocess.Popen], seconds: float = 240) -> list[tuple]:
    """Exit code, standard output and standard error of each process.

    Args:
        processes: from `start_processes`.
        seconds: that they have.
    """
    try:
        outputs = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        (process.returncode, *output) for process, output in zip(processes, outputs, strict=True)
    ]
