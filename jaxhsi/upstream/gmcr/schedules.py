"""What changes from epoch to epoch in upstream's training, as pure updates of small states.

Temperature, weight of the count, checkpoints by bands of fit, and the test of convergence: all
under jit, so that epochs can be scanned. Source: upstream `utils.py` and `analyzer.py`.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

Scalar = Array | float | int
FitLevel = tuple[float, float]
"""Start and end of a range of a score, in the direction of a better fit."""


def gate_temperature(
    epoch: Scalar,
    maximum: float = 1.0,
    minimum: float = 0.4,
    drop: float = 0.01,
    every: int = 100,
) -> Float[Array, ""]:
    """Temperature of the gates, max(minimum, maximum - drop floor(epoch / every)).

    Args:
        epoch: epochs done, from 0.
        maximum: where it starts.
        minimum: where it stays.
        drop: taken off each time.
        every: epochs between drops; 0 for a constant temperature.
    """
    # `every` is static: 0 means no drops, and must not be divided by.
    num_drops = jnp.asarray(epoch) // every if every > 0 else 0
    return jnp.maximum(maximum - drop * jnp.asarray(num_drops, jnp.float32), minimum)


# The weight of the count --------------------------------------------------------------------------


def next_count_weight(
    old_weight: Scalar,
    nmse: Scalar,
    mse: Scalar,
    num_used: Scalar,
    num_slots: Scalar,
    *,
    penalty_error_ratio: float = 1.0,
    nmse_threshold: float = 0.005,
    smoothing: float = 0.95,
) -> Float[Array, ""]:
    """Next weight of `losses.component_share`, >= 0: s * old + (1 - s) * target, s smoothing.

    The target is 0 while nmse >= nmse_threshold (or num_used = 0), and then
    max(0, penalty_error_ratio mse num_slots / num_used): where the penalty for the share in use
    equals the error.

    Meant for ``num_used`` is the number of components in use. Defect: upstream's trainer passes the
    mean energy there, whose size has nothing to do with the count; where it is negative the
    weight decays to 0. Parity needs that value passed, too.

    Args:
        old_weight: weight of the last epoch; upstream starts at 0.
        nmse: of the evaluation.
        mse: mean over mini-batches of the evaluation.
        num_used: components in use (as meant), or the mean energy (as upstream).
        num_slots: slots of all pools.
        penalty_error_ratio: upstream's min_component_coef; 0 switches the penalty off.
        nmse_threshold: nMSE under which the penalty begins.
        smoothing: in [0, 1).

    Source: upstream `utils.py`, `EnergyL1Scheduler`.
    """
    num_used = jnp.asarray(num_used, jnp.float32)
    is_idle = (jnp.asarray(nmse) >= nmse_threshold) | (num_used == 0)
    # The divisor is replaced where it is 0: both branches of a where are computed.
    raw_weight = mse * penalty_error_ratio * num_slots / jnp.where(num_used == 0, 1.0, num_used)
    target_weight = jnp.where(is_idle, 0.0, jnp.maximum(raw_weight, 0.0))
    return smoothing * jnp.asarray(old_weight, jnp.float32) + (1 - smoothing) * target_weight


# Checkpoints by bands of fit ----------------------------------------------------------------------


def fit_levels(
    criterion: str, threshold: float = 0.97, interval: float = 0.005
) -> tuple[FitLevel, ...]:
    """Bands (start, end) of fit, the best checkpoint of each of which is kept.

    R2: upwards from the threshold while the end is <= 1; nMSE: downwards while it is >= 0. Ends
    add up in float64, with the rounding that upstream's folder names show.

    Raises:
        ValueError: criterion other than "R2" and "nMSE", threshold outside (0, 1), or interval
            not positive.

    Source: upstream `utils.py`, `checkpoint_regions`.
    """
    if criterion not in ("R2", "nMSE"):
        raise ValueError(f"criterion {criterion!r} is unknown; use 'R2' or 'nMSE'")
    if not 0 < threshold < 1 or not interval > 0:
        raise ValueError(
            f"threshold {threshold} must be between 0 and 1 and interval {interval} positive"
        )
    signed_interval, levels, level_start = (
        (interval if criterion == "R2" else -interval),
        [],
        threshold,
    )
    # In float64 by addition, for the rounding of upstream's folder names.
    while 0 <= level_start + signed_interval <= 1:
        levels.append((level_start, level_start + signed_interval))
        level_start += signed_interval
    return tuple(levels)


def level_name(fit_level: FitLevel) -> str:
    """Upstream's name of a band and of its folder, such as ``0.97[->]0.975``."""
    return f"{fit_level[0]}[->]{fit_level[1]}"


def level_index(
    score_value: Scalar, level_edges: tuple[FitLevel, ...], criterion: str
) -> Int[Array, ""]:
    """Index of the band that a score is in, -1 for none.

    R2: start <= value < end. nMSE: end < value <= start. In float32.

    Source: upstream `utils.py`, `specify_checkpoint_region`.
    """
    if not level_edges:
        return jnp.int32(-1)
    # float32 as the scores are: at a border both must round alike.
    level_starts, level_ends = np.float32(level_edges).T
    score_value = jnp.asarray(score_value, jnp.float32)
    if criterion == "R2":
        in_level = (score_value >= level_starts) & (score_value < level_ends)
    else:
        in_level = (score_value <= level_starts) & (score_value > level_ends)
    return jnp.where(in_level.any(), jnp.argmax(in_level), -1).astype(jnp.int32)


class LevelRecords(NamedTuple):
    """Scores of the checkpoint kept in each of m bands; a count of -1 where there is none yet.

    Attributes:
        nmse: of the evaluation.
        r2: likewise.
        mean_energy: likewise.
        count: components in use.
    """

    nmse: Float[Array, "*m"]
    r2: Float[Array, "*m"]
    mean_energy: Float[Array, "*m"]
    count: Int[Array, "*m"]


def empty_records(num_levels: int) -> LevelRecords:
    """Records of ``num_levels`` bands without a checkpoint."""
    zero_scores = jnp.zeros(num_levels, jnp.float32)
    return LevelRecords(zero_scores, zero_scores, zero_scores, jnp.full(num_levels, -1, jnp.int32))


def update_records(
    records: LevelRecords, new: LevelRecords, level_number: Int[Array, ""], criterion: str
) -> tuple[LevelRecords, Bool[Array, " m"]]:
    """Keep an evaluation in its band if fewer components are in use, or as many at no worse fit.

    Args:
        records: what is kept.
        new: the evaluation; its fields are ().
        level_number: from `level_index`; -1 changes nothing.
        criterion: which score decides between equal counts, "R2" or "nMSE".

    Returns:
        The records, and in which band, if any, the checkpoint is to be replaced.
    """
    fits_better = new.r2 >= records.r2 if criterion == "R2" else new.nmse <= records.nmse
    # Fewer components win even at a worse fit, within one band.
    is_better = (new.count < records.count) | ((new.count == records.count) & fits_better)
    is_level = jnp.arange(len(records.count)) == level_number
    replace = is_level & ((records.count < 0) | is_better)
    updated_fields = (
        jnp.where(replace, after, before).astype(before.dtype)
        for before, after in zip(records, new, strict=True)
    )
    return LevelRecords(*updated_fields), replace


# Convergence --------------------------------------------------------------------------------------

CONVERGENCE_WINDOW = 100
"""Epochs over which upstream averages nMSE: value of the PyTorch code, `analyzer.py`."""


class Convergence(NamedTuple):
    """What upstream remembers to tell whether it has converged.

    Attributes:
        reached: nMSE has once been under the tolerance.
        left: and its mean over the window above it later.
        window: the last values of nMSE since then.
        value_count: how many of these there have been.
        energy_sum: of the mean energies up to ``reached``.
        energy_count: their number.
    """

    reached: Bool[Array, ""]
    left: Bool[Array, ""]
    window: Float[Array, " w"]
    value_count: Int[Array, ""]
    energy_sum: Float[Array, ""]
    energy_count: Int[Array, ""]


def initial_convergence(window: int = CONVERGENCE_WINDOW) -> Convergence:
    """The state before the first epoch."""
    no, none, zero = jnp.zeros((), bool), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32)
    return Convergence(no, no, jnp.zeros(window, jnp.float32), none, zero, none)


def update_convergence(
    state: Convergence,
    nmse: Scalar,
    mean_energy: Scalar,
    tolerance: float = 0.01,
    energy_ratio: float = 0.5,
) -> tuple[Convergence, Bool[Array, ""]]:
    """Account for an epoch's evaluation, and tell whether upstream stops after it.

    It stops once the fit was reached, was left again (mean nMSE of a full window > tolerance) and
    the mean energy is at most energy_ratio times its mean up to where the fit was reached. Defect:
    that is the moment when the fit gets worse, so it stops late or never.

    Source: upstream `analyzer.py`, `BaseEBgMCR.fit`.
    """
    was_reached = state.reached
    # A ring buffer: shapes stay fixed however many epochs there are.
    window_place = state.value_count % len(state.window)
    nmse_window = jnp.where(was_reached, state.window.at[window_place].set(nmse), state.window)
    value_count = state.value_count + was_reached
    # Only up to where the fit was reached, as upstream stops appending there.
    energy_sum = state.energy_sum + jnp.where(was_reached, 0.0, mean_energy)
    energy_count = state.energy_count + ~was_reached
    # Once reached, always reached: upstream keeps a flag.
    reached = was_reached | (jnp.asarray(nmse) < tolerance)
    left = state.left | (
        reached & (value_count >= len(nmse_window)) & (nmse_window.mean() > tolerance)
    )
    is_low = mean_energy <= energy_ratio * energy_sum / jnp.maximum(energy_count, 1)
    new_state = Convergence(reached, left, nmse_window, value_count, energy_sum, energy_count)
    return new_state, reached & left & is_low
