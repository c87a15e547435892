"""One command by several processes: its options, and how it joins the others.

JAX is loaded only where there are others.
"""

import os
from typing import Any

from jsonargparse import Namespace

from jaxhsi.config.parser import CommonOption
from jaxhsi.training.cluster_task import (
    DEFAULT_TIMEOUT_SECONDS,
    ProcessOptions,
    cluster_task,
    process_place,
)

PROCESS_OPTIONS = {
    "coordinator": CommonOption(
        *(str, None, "HOST:PORT", "of process 0, where several processes work as one")
    ),
    "num_processes": CommonOption(
        *(int, None, "N", "how many processes work as one; 1: this one works alone")
    ),
    "process_id": CommonOption(int, None, "N", "number of this process, from 0"),
    "process_timeout": CommonOption(
        *(float, DEFAULT_TIMEOUT_SECONDS, "SECONDS"),
        "after which a process that was killed ends the others (60)",
    ),
}
"""Options of commands that several processes can run as one; Slurm and Open MPI tell most."""


def joined_group(parsed: Namespace) -> Any:
    """The `ProcessGroup` that this process belongs to; None where it works alone.

    Args:
        parsed: the options.

    Raises:
        ValueError, ConnectionError: see `training.process_group.join_processes`.
    """
    options = ProcessOptions(**{name: parsed[name] for name in PROCESS_OPTIONS})
    place = process_place(options, os.environ)
    if place is None:
        return None
    from jaxhsi.training.process_group import join_processes

    return join_processes(place, options.process_timeout)


def check_own_part(options: Any) -> None:
    """Refuse a command that divides its inputs, in a task of several that was given no part.

    Args:
        options: of the command; without ``part`` the command may be started any number of times.

    Raises:
        ValueError: all tasks would do, and write, the same.
    """
    task = cluster_task(os.environ)
    is_undivided = getattr(options, "part", "") is None
    if is_undivided and task is not None and task.num_tasks is not None:
        raise ValueError(
            f"this is task {task.task_id} of {task.num_tasks} of {task.name}, which would all do "
            f"the same; give each its share by --part I/{task.num_tasks} with I from 1, such as by "
            "a job array, or --part 1/1 where each has its own inputs and results"
        )
