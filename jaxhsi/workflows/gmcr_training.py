"""The fit of gMCR with checkpoints, by one process or by several that share the work."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxhsi.callbacks import OnProgress, ignore_progress
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.gmcr.state import Info, State
from jaxhsi.processes import check_same_everywhere, is_first_process
from jaxhsi.sharding import device_mesh
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.metrics_writer import MetricsWriter
from jaxhsi.training.process_group import leave_processes
from jaxhsi.training.shared_outputs import SharedCheckpoints, SilentMetrics, shared_checkpoints
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.state_digest import state_digest
from jaxhsi.training.stop_signals import deferred_stop
from jaxhsi.unmixing import unmix
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.workflows.gmcr_inputs import GMCRInputs
from jaxhsi.workflows.gmcr_upstream_run import SUMMARY
from jaxhsi.workflows.same_command import check_same_command

PhaseCheckpoints = Checkpoints | SharedCheckpoints
"""Checkpoints of phases, of one process or of several."""
PhaseMetrics = MetricsWriter | SilentMetrics
"""What takes the metrics: files of the first process, nothing in the others."""


class _FitIsComplete(Exception):
    """The components are found; the first process does the rest."""


def _leave_to_first_process() -> None:
    leave_processes()
    if not is_first_process():
        raise _FitIsComplete


def take_part_in_fit(config: GMCRConfig, inputs: GMCRInputs) -> None:
    """Find the components together with the first process, which writes them.

    Args:
        config: the options.
        inputs: the table, and what is known of it.
    """
    check_shared_inputs(config, inputs)
    with suppress(_FitIsComplete):
        unmix_with_checkpoints(config, inputs, None, StageTimes(), ignore_progress)


def check_shared_inputs(config: GMCRConfig, inputs: GMCRInputs) -> None:
    """Refuse processes that cannot fit one table together.

    Args:
        config: the options.
        inputs: the table, and what is known of it.

    Raises:
        ValueError: upstream's method, or processes that were given other options or spectra.
    """
    check_same_command(config)
    if config.method == "upstream" and jax.process_count() > 1:
        raise ValueError(
            "--method upstream of train gmcr works in one process, on all devices of its machine; "
            "start it once, or with --num_processes 1"
        )
    check_same_everywhere("spectra", state_digest(inputs.table.spectra))


def unmix_with_checkpoints(
    config: GMCRConfig,
    inputs: GMCRInputs,
    folder: Path | None,
    times: StageTimes,
    on_progress: OnProgress,
) -> UnmixingResult:
    """`jaxhsi.unmix` with the options of the command; goes on from the newest checkpoint.

    Args:
        config: the options.
        inputs: the table, and what is known of it.
        folder: of the run; None in processes that write nothing and have the checkpoint of the
            first one.
        times: of the stages, which are written with every phase.
        on_progress: called as steps are taken.
    """
    mesh = device_mesh(config.devices, of_all_processes=True)
    own_checkpoints = None if folder is None else Checkpoints(folder / "checkpoints")
    checkpoints = shared_checkpoints(mesh, own_checkpoints)
    # Checkpoints are numbered by phase, metrics by step.
    first_step = (checkpoints.latest_step() or 0) * config.solver.steps_per_phase
    writer = SilentMetrics()
    if folder is not None:
        writer = MetricsWriter(folder, first_step, None, SUMMARY)
    with checkpoints, writer.open(show_bar=False):
        table = inputs.table
        is_missing = table.missing_mask is not None
        return unmix(
            np.where(table.missing_mask, np.nan, table.spectra) if is_missing else table.spectra,
            num_components=config.num_components,
            num_candidates=config.num_candidates,
            restarts=config.restarts,
            tolerance=config.tolerance,
            replicates=table.sample_names,
            missing="mask" if is_missing else None,
            library=inputs.library,
            library_names=inputs.library_names,
            mixing=config.mixing,
            priors=config.priors.chosen(inputs.run_lengths),
            ordered=inputs.is_ordered,
            runs=inputs.run_lengths,
            **_constraints(inputs),
            options=config.solver,
            network_options=config.amortised,
            ranges=config.ranges,
            seed=config.seed,
            devices=config.devices,
            precision=config.precision,
            axis=table.axis,
            axis_name=table.axis_name,
            of_all_processes=True,
            on_progress=on_progress,
            on_solution=_leave_to_first_process,
            on_epoch=partial(_write_metrics, writer),
            on_phase=partial(_save_phase, checkpoints, writer, times),
            restore=partial(_newest_state, checkpoints),
        )


def _constraints(inputs: GMCRInputs) -> dict[str, Any]:
    """What is known of single components, as arguments of `jaxhsi.unmix`."""
    constraints = inputs.constraints
    if constraints is None:
        return {}
    return {
        "known": constraints.spectra,
        "known_names": constraints.names,
        "absent": constraints.absent,
        "known_concentrations": constraints.concentrations,
    }


def _write_metrics(writer: PhaseMetrics, step: int, info: Info) -> None:
    writer.write(step, info._asdict())


def _save_phase(
    checkpoints: PhaseCheckpoints, writer: PhaseMetrics, times: StageTimes, phase: int, state: State
) -> None:
    writer.write_timing(int(state.step), times.as_metrics())
    with deferred_stop() as deferral:  # a phase that is at its end is saved before a stop
        checkpoints.save(phase, state)
        deferral.saved = f"phase {phase} is saved"


def _newest_state(checkpoints: PhaseCheckpoints, template: State) -> State | None:
    return None if checkpoints.latest_step() is None else checkpoints.restore(template)
