"""Which of several processes this one is: by options, or by the job of a cluster."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Environment = Mapping[str, str]

DEFAULT_TIMEOUT_SECONDS = 60.0
"""Time without a sign of life after which a process counts as lost. Set by hand."""


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """Where processes that work as one meet; what is None is asked of Slurm or Open MPI.

    Attributes:
        coordinator: HOST:PORT at which the first process can be reached, a free port.
        num_processes: how many there are; 1: this process works alone.
        process_id: number of this one, from 0.
        process_timeout: seconds without a sign of life after which a process counts as lost.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    process_timeout: float = DEFAULT_TIMEOUT_SECONDS


class ProcessPlace(NamedTuple):
    """The place of a process among those that work as one.

    Attributes:
        coordinator: HOST:PORT of the first; None where the launcher knows it.
        num_processes: how many there are.
        process_id: number of this one, from 0.
        launcher: that knows what is None, as `jax.distributed.initialize` names it.
        origin: what has started the processes, for messages.
        visible_devices: GPUs of this process, as `jax_cuda_visible_devices` names them.
    """

    coordinator: str | None
    num_processes: int
    process_id: int
    launcher: str | None
    origin: str
    visible_devices: str


class ClusterTask(NamedTuple):
    """The place of a process among those that were started together.

    Attributes:
        name: of what started them, and of the job, for messages.
        launcher: the same as `jax.distributed.initialize` names it; None where it does not tell
            at which address the first of them can be reached.
        num_tasks: how many there are; None where the environment does not tell.
        task_id: number of this one, from 0.
        local_id: its number on its machine, from 0.
        is_alone_on_machine: no other task runs on this machine.
    """

    name: str
    launcher: str | None
    num_tasks: int | None
    task_id: int
    local_id: int
    is_alone_on_machine: bool


def cluster_task(environment: Environment) -> ClusterTask | None:
    """The task of Slurm, Open MPI or Kubernetes that a process is; None for one that is alone.

    Args:
        environment: variables of the process.

    >>> cluster_task({"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"})
    >>> cluster_task({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}).task_id
    1
    """
    return _slurm_task(environment) or _open_mpi_task(environment) or _kubernetes_task(environment)


def _slurm_task(environment: Environment) -> ClusterTask | None:
    """A task of ``srun``: a batch script, or a shell in an allocation, is alone in its step."""
    num_tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if num_tasks < 2 or "SLURM_PROCID" not in environment:
        return None
    return ClusterTask(
        name=f"Slurm job {environment.get('SLURM_JOB_ID', '')}",
        launcher="slurm",
        num_tasks=num_tasks,
        task_id=int(environment["SLURM_PROCID"]),
        local_id=int(environment.get("SLURM_LOCALID", 0)),
        is_alone_on_machine=int(environment.get("SLURM_STEP_NUM_NODES", 1)) == num_tasks,
    )


def _open_mpi_task(environment: Environment) -> ClusterTask | None:
    num_tasks = int(environment.get("OMPI_COMM_WORLD_SIZE", 1))
    if num_tasks < 2:
        return None
    return ClusterTask(
        name="Open MPI",
        # Version 5 no longer says from where it was started.
        launcher="ompi" if "OMPI_MCA_orte_hnp_uri" in environment else None,
        num_tasks=num_tasks,
        task_id=int(environment["OMPI_COMM_WORLD_RANK"]),
        local_id=int(environment.get("OMPI_COMM_WORLD_LOCAL_RANK", 0)),
        is_alone_on_machine=environment.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1",
    )


def _kubernetes_task(environment: Environment) -> ClusterTask | None:
    """A pod of an indexed job, whose pods need not belong together."""
    if not {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys():
        return None
    return ClusterTask(
        name="Kubernetes",
        launcher=None,
        num_tasks=None,
        task_id=int(environment["JOB_COMPLETION_INDEX"]),
        local_id=0,
        is_alone_on_machine=True,
    )


def process_place(options: ProcessOptions, environment: Environment) -> ProcessPlace | None:
    """The place that options and the environment give a process; None where it works alone.

    Args:
        options: of the command; they come before the environment.
        environment: variables of the process.

    Raises:
        ValueError: options that are missing or contradict each other.

    >>> options = ProcessOptions(coordinator="node1:55527", num_processes=2, process_id=1)
    >>> process_place(options, {}).process_id
    1
    """
    if options.num_processes == 1:
        return None
    if options.coordinator and not re.fullmatch(r".+:\d+", options.coordinator):
        raise ValueError(f"coordinator {options.coordinator} has no port; give HOST:PORT")
    task = cluster_task(environment)
    values = {
        "coordinator": options.coordinator or (task.launcher if task else None),
        "num_processes": options.num_processes or (task.num_tasks if task else None),
        "process_id": options.process_id,
    }
    is_started_together = task is not None and task.num_tasks is not None
    is_told = any((options.coordinator, options.num_processes, options.process_id is not None))
    if not is_started_together and not is_told:
        return None
    if task is not None and options.process_id is None:
        values["process_id"] = task.task_id
    _check_place(values, task.name if is_started_together else "")
    by_options = options.coordinator is not None
    return ProcessPlace(
        coordinator=options.coordinator,
        num_processes=values["num_processes"],
        process_id=values["process_id"],
        launcher=None if by_options or task is None else task.launcher,
        origin=task.name if task else "the command line",
        visible_devices=_visible_devices(task, environment),
    )


def _check_place(values: Mapping[str, Any], cluster_name: str) -> None:
    """Refuse a place that is not complete.

    Raises:
        ValueError: names what is missing, and the remedy.
    """
    missing = [name for name, value in values.items() if value is None]
    if missing:
        subject = f"{cluster_name} does not tell" if cluster_name else "several processes need"
        raise ValueError(
            f"{subject} {' and '.join(missing)}; give coordinator HOST:PORT (the machine of "
            "process 0 and a free port there), num_processes and process_id, from 0; or "
            "num_processes 1, where each process is to work alone"
        )
    num_processes, process_id = values["num_processes"], values["process_id"]
    if not 0 <= process_id < num_processes:
        raise ValueError(
            f"process_id {process_id} is out of range; give 0 to {num_processes - 1}, another one "
            "to each process"
        )


def _visible_devices(task: ClusterTask | None, environment: Environment) -> str:
    """All GPUs of the machine for a process that is alone there, else one for each process.

    Where the launcher gives each process its own, that is the only one that it sees.
    """
    is_bound = "," not in environment.get("CUDA_VISIBLE_DEVICES", ",")
    return "all" if task is None or task.is_alone_on_machine or is_bound else str(task.local_id)
