"""The best state of a DGC run, by labels of fixed validation views, and when to stop early."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxhsi.data.cube import Cube
from jaxhsi.data.stream import window_stream
from jaxhsi.data.windows import WindowReader
from jaxhsi.dgc.monitor import (
    ValidationViews,
    ViewScores,
    draw_validation_views,
    evaluate_views,
    score_views,
)
from jaxhsi.dgc.options import ViewOptions
from jaxhsi.dgc.state import Batch, SegmentationAlgorithm
from jaxhsi.dgc.views import window_size
from jaxhsi.normalisation import band_stats
from jaxhsi.sharding import compile_evaluation, shard_batch
from jaxhsi.training.outputs import MetricsOutput

METRIC_PREFIX = "monitor"  # of the names of the scores in the lines of metrics
MAX_CROP_VALUES = 2**24
"""Numbers in the crops of the validation views at most: 64 MiB of float32. Set by hand."""
VALIDATION_SEED_OFFSET = 2**31
"""Added to the seed of a run, so that the validation windows are no batch of the training."""


def read_validation_views(
    cubes: Sequence[Cube],
    view_options: ViewOptions,
    batch: int,
    seed: int,
    max_windows: int,
    read: WindowReader,
) -> ValidationViews:
    """Draw the validation views of a run: the same for a seed, on whatever devices.

    Args:
        cubes: that are trained on.
        view_options: how pairs of views are drawn and augmented.
        batch: windows of a training step; their number is a multiple of it.
        seed: of the run.
        max_windows: windows, rounded down to a multiple of ``batch`` (at least one batch); fewer
            where their crops would hold more than 64 MiB.
        read: how windows are read.
    """
    fitting = MAX_CROP_VALUES // (3 * view_options.crop**2 * cubes[0].shape[2])
    count = max(1, min(max_windows, fitting) // batch) * batch
    validation_seed = (seed + VALIDATION_SEED_OFFSET) % 2**32
    stream = window_stream(
        cubes, window_size(view_options), count, validation_seed, read_window_fn=read
    )
    values, valid = next(stream)
    draw = jax.jit(draw_validation_views, static_argnums=3)
    stats = band_stats(jnp.asarray(values[valid]))
    return draw(jax.random.key(seed), Batch(values, valid), stats, view_options)


class BestState:
    """The best state so far and what the monitor needs to go on; kept in checkpoints.

    Attributes:
        state: the best state of the regular evaluations, the initial one among them.
        best_step: its step.
        best_scores: its scores.
        last_step: of the last evaluation.
        last_scores: its scores.
        degraded_evaluations: evaluations in a row that a state was degraded.
        flat_evaluations: evaluations in a row without improvement.
        improved_criterion: the criterion at the last improvement.
        previous_labels: of the clean views at the last regular evaluation.
        skipped_steps: steps so far that were not finite and were left out.
    """

    def __init__(self):
        """Before any evaluation."""
        self.state, self.best_step, self.best_scores = None, 0, None
        self.last_step, self.last_scores = 0, None
        self.degraded_evaluations, self.previous_labels = 0, None
        self.skipped_steps = 0
        self.flat_evaluations, self.improved_criterion = 0, 0.0

    def chosen_step(self, step: int) -> int:
        """Step of the best of all evaluated states, where ``step`` is the newest."""
        is_newest = step == self.last_step
        return step if is_newest and self._last_is_best() else self.best_step

    def chosen_state(self, state: Any) -> Any:
        """The best of all evaluated states, where ``state`` is the newest."""
        step = int(state.step)
        return state if self.chosen_step(step) == step else self.state

    def get_record(self) -> dict[str, Any]:
        """All but the best state, as JSON."""
        return {
            "best_step": self.best_step,
            "best_scores": list(self.best_scores),
            "last_step": self.last_step,
            "last_scores": list(self.last_scores),
            "degraded_evaluations": self.degraded_evaluations,
            "flat_evaluations": self.flat_evaluations,
            "improved_criterion": self.improved_criterion,
            "previous_labels": self.previous_labels.tolist(),
            "skipped_steps": self.skipped_steps,
        }

    def set_record(self, record: dict[str, Any]) -> None:
        """Restore what :meth:`get_record` gave."""
        self.best_step, self.best_scores = record["best_step"], ViewScores(*record["best_scores"])
        self.last_step, self.last_scores = record["last_step"], ViewScores(*record["last_scores"])
        self.degraded_evaluations = record["degraded_evaluations"]
        # Checkpoints of earlier versions begin to count anew.
        self.flat_evaluations = record.get("flat_evaluations", 0)
        self.improved_criterion = record.get("improved_criterion", 0.0)
        self.previous_labels = np.asarray(record["previous_labels"], np.int32)
        self.skipped_steps = record.get("skipped_steps", 0)  # earlier versions did not count

    def _last_is_best(self) -> bool:
        return _criterion(self.last_scores) >= _criterion(self.best_scores)


def _criterion(scores: ViewScores) -> float:
    return scores.mutual_information


class StateMonitor:
    """Evaluates states at fixed steps, by the criterion of `jaxhsi.dgc.monitor`.

    Attributes:
        best_state: what it has seen; with it a resumed run goes on as an uninterrupted one would.
    """

    def __init__(
        self,
        mesh: Mesh,
        algorithm: SegmentationAlgorithm,
        num_clusters: int,
        validation_views: ValidationViews,
        *,
        every: int,
        patience: int | None,
        margin: float,
        no_improvement: int | None = None,
        min_improvement: float = 0.0,
    ):
        """Evaluate nothing yet.

        Args:
            mesh: that the states are on.
            algorithm: that is trained.
            num_clusters: number of clusters k.
            validation_views: from :func:`read_validation_views`.
            every: steps between evaluations.
            patience: evaluations in a row after which a degraded run ends; None for never.
            margin: share of the best criterion that a degraded state has lost.
            no_improvement: evaluations in a row without improvement after which a run ends; None
                for never.
            min_improvement: share by which the criterion rises in an improvement.
        """
        self.best_state = BestState()
        evaluate = partial(evaluate_views, algorithm, num_clusters)
        self._evaluate = compile_evaluation(mesh, evaluate, len(validation_views.crops))
        self._validation_views = shard_batch(mesh, validation_views)
        self._every, self._patience, self._margin = every, patience, margin
        self._no_improvement, self._min_improvement = no_improvement, min_improvement

    def is_due(self, step: int) -> bool:
        """Whether a state is evaluated on its way, whatever step is the last.

        Args:
            step: its number.
        """
        return step % self._every == 0

    def evaluate(
        self, step: int, state: Any, metrics_writer: MetricsOutput, *, is_last: bool = False
    ) -> None:
        """Evaluate a state if its step is a multiple of ``every``, or the last of the run.

        An evaluation of a last step between two multiples decides which state is chosen, and is
        forgotten when the run goes on: a run of 10 steps and one of 5 and 5 more are the same.
        """
        is_regular = self.is_due(step)
        if not is_regular and not is_last:
            return
        best, statistics = self.best_state, self._statistics(state)
        scores = score_views(statistics, best.previous_labels)
        present = {name: value for name, value in scores._asdict().items() if value is not None}
        metrics_writer.write(
            step, {f"{METRIC_PREFIX}/{name}": value for name, value in present.items()}
        )
        best.last_step, best.last_scores = step, scores
        if not is_regular:
            return
        best.previous_labels = statistics.clean_labels
        if best.state is None or _criterion(scores) >= _criterion(best.best_scores):
            # Of two that are equal the one trained longer; copied, for a step uses its state up.
            best.state = jax.tree.map(jnp.copy, state)
            best.best_step, best.best_scores = step, scores
        is_degraded = _criterion(scores) < (1 - self._margin) * _criterion(best.best_scores)
        best.degraded_evaluations = best.degraded_evaluations + 1 if is_degraded else 0
        # Against the last improvement, so that slow ones add up to one.
        is_better = _criterion(scores) > (1 + self._min_improvement) * best.improved_criterion
        best.flat_evaluations = 0 if is_better else best.flat_evaluations + 1
        best.improved_criterion = _criterion(scores) if is_better else best.improved_criterion

    def _statistics(self, state: Any) -> Any:
        return jax.device_get(self._evaluate(state, self._validation_views))

    @property
    def ended(self) -> bool:
        """Whether the run is to end before its last step; :meth:`stop_message` says why."""
        return self.degraded or self._is_flat

    @property
    def degraded(self) -> bool:
        """Whether for so long clusters have merged, or labels are noise."""
        return self._patience is not None and self.best_state.degraded_evaluations >= self._patience

    @property
    def _is_flat(self) -> bool:
        limit = self._no_improvement
        return limit is not None and self.best_state.flat_evaluations >= limit

    def stop_message(self) -> str:
        """Why a run was stopped, for people."""
        best, last = self.best_state.best_scores, self.best_state.last_scores
        lost = _criterion(best) - _criterion(last)
        lost_entropy = np.log(best.effective_clusters / last.effective_clusters)
        merging = lost_entropy > lost / 2  # more than half of what was lost is entropy of usage
        reason = "clusters are merging" if merging else "labels are turning into noise"
        if not self.degraded:
            reason = (
                f"no improvement of {self._min_improvement:.1%} in {self._no_improvement} "
                "evaluations (monitor.no_improvement null takes all steps)"
            )
        last_step, best_step = self.best_state.last_step, self.best_state.best_step
        return (
            f"step {last_step}: the two views' labels share {_criterion(last):.2f} nats, "
            f"{_criterion(best):.2f} at step {best_step}: {reason}; stopped, the state of "
            f"step {best_step} is kept"
        )
