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
    arguments: Sequence[str],
    num_processes: int,
    others: Sequence[str] | None = None,
    *,
    by_slurm: bool = False,
) -> list[subprocess.Popen]:
    """Start a training in several processes.

    Args:
        arguments: of ``jaxhsi train``, as of the first process.
        num_processes: how many.
        others: arguments of all but the first; the same if None.
        by_slurm: variables as of Slurm tell the processes their places, not options.
    """
    port = str(free_port())

    def start(number: int) -> subprocess.Popen:
        place = _options(number, num_processes, port)
        variables = {"XLA_FLAGS": XLA_FLAGS}
        if by_slurm:
            place, variables = (), variables | _slurm_variables(number, num_processes, port)
        given = arguments if number == 0 or others is None else others
        return subprocess.Popen(
            [sys.executable, "-m", "jaxhsi.train", *given, *place, "--devices", "1"],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return [start(number) for number in range(num_processes)]


def _options(number: int, num_processes: int, port: str) -> tuple[str, ...]:
    shared = ("--coordinator", f"127.0.0.1:{port}", "--num_processes", str(num_processes))
    return (*shared, "--process_id", str(number))


def _slurm_variables(number: int, num_processes: int, port: str) -> dict[str, str]:
    """Of a task of ``srun`` on this machine."""
    return {
        "SLURM_JOB_ID": "7",
        "SLURM_NTASKS": str(num_processes),
        "SLURM_STEP_NUM_TASKS": str(num_processes),
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
        "JAX_COORDINATOR_PORT": port,
    }


def end_of(processes: Sequence[subprocess.Popen], seconds: float = 480) -> list[tuple]:
    """Exit code, standard output and standard error of each process.

    Args:
        processes: from `start_processes`.
        seconds: that they have. Each compiles for itself, for some 30 s of a core's time: four of
            them take a minute on two free cores, and many on cores that others use.
    """
    try:
        outputs = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        (process.returncode, *output) for process, output in zip(processes, outputs, strict=True)
    ]
