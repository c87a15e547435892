"""One command by several processes: its options, and how it joins the others.

JAX is loaded only where there are others.
"""

import os
from typing import Any

from jsonargparse import Namespace

from jaxhsi.config.parser import CommonOption
from jaxhsi.training.cluster_task import DEFAULT_TIMEOUT_SECONDS, ProcessOptions, process_place

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
