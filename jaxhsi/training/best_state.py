"""A run looked at on its way: what it does to a probe, its best state, and when it fell apart."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxhsi.data.cube import Cube
from jaxhsi.data.stream import window_stream
from jaxhsi.data.windows import Reader
from jaxhsi.dgc.algorithm import DGC, Batch
from jaxhsi.dgc.monitor import Look, Probe, describe, draw_probe, look
from jaxhsi.dgc.views import ViewOptions, window_size
from jaxhsi.normalisation import band_stats
from jaxhsi.sharding import compile_look, split
from jaxhsi.training.metrics_writer import Logbook

PREFIX = "watch"  # of the names of its figures in the lines of metrics
_VALUES = 2**24  # numbers in the crops of a probe at most: 64 MiB
_OTHER_WINDOWS = 2**31  # added to the seed, so that the probe is no batch of the training


def read_probe(
    cubes: Sequence[Cube], views: ViewOptions, batch: int, seed: int, windows: int, read: Reader
) -> Probe:
    """Draw the probe of a run: the same for a seed, on whatever devices.

    Args:
        cubes: that are trained on.
        views: how pairs of views are drawn and augmented.
        batch: windows of a training step; the probe has a multiple of it, which splits over
            devices as a batch does.
        seed: of the run.
        windows: about so many; fewer where their crops would hold more than 64 MiB.
        read: how windows are read.
    """
    fitting = _VALUES // (3 * views.crop**2 * cubes[0].shape[2])
    count = max(1, min(windows, fitting) // batch) * batch
    other = (seed + _OTHER_WINDOWS) % 2**32
    stream = window_stream(cubes, window_size(views), count, other, read=read)
    values, valid = next(stream)
    draw = jax.jit(draw_probe, static_argnums=3)
    return draw(
        jax.random.key(seed), Batch(values, valid), band_stats(jnp.asarray(values[valid])), views
    )


class Record:
    """The best state so far and what is needed to go on looking; kept in checkpoints.

    Attributes:
        best: the best state of the looks that every run of this kind takes, the start among them.
        best_step: when that was.
        best_look: its figures.
        last_step: of the last look.
        last_look: its figures.
        worse: looks in a row that found a state fallen apart.
        labels: of the clean views at the last look that every run takes.
    """

    def __init__(self):
        """Before any look."""
        self.best, self.best_step, self.best_look = None, 0, None
        self.last_step, self.last_look = 0, None
        self.worse, self.labels = 0, None

    def kept_step(self, step: int) -> int:
        """Step of the best of all states looked at, where ``step`` is the newest."""
        newest = step == self.last_step and _score(self.last_look) >= _score(self.best_look)
        return step if newest else self.best_step

    def kept(self, state: Any) -> Any:
        """The best of all states looked at, where ``state`` is the newest."""
        step = int(state.step)
        return state if self.kept_step(step) == step else self.best

    def get_record(self) -> dict[str, Any]:
        """All but the best state, as JSON."""
        return {
            "best_step": self.best_step,
            "best_look": list(self.best_look),
            "last_step": self.last_step,
            "last_look": list(self.last_look),
            "worse": self.worse,
            "labels": self.labels.tolist(),
        }

    def set_record(self, record: dict[str, Any]) -> None:
        """Go on from there."""
        self.best_step, self.best_look = record["best_step"], Look(*record["best_look"])
        self.last_step, self.last_look = record["last_step"], Look(*record["last_look"])
        self.worse, self.labels = record["worse"], np.asarray(record["labels"], np.int32)


def _score(seen: Look) -> float:
    return seen.mutual_information


class Watch:
    """Looks at states at fixed steps, by the criterion of `jaxhsi.dgc.monitor`.

    Attributes:
        record: what it found; with it a resumed run goes on as if it had never ended.
    """

    def __init__(
        self,
        mesh: Mesh,
        method: DGC,
        clusters: int,
        probe: Probe,
        *,
        every: int,
        patience: int | None,
        margin: float,
    ):
        """Nothing is looked at yet.

        Args:
            mesh: that the states are on.
            method: that is trained.
            clusters: number of clusters k.
            probe: from :func:`read_probe`.
            every: steps between looks.
            patience: looks in a row after which a run that fell apart is to end; None for never.
            margin: share of the best score that a state has lost where it has fallen apart.
        """
        self.record = Record()
        self._look = compile_look(mesh, partial(look, method, clusters))
        self._probe = split(mesh, probe)
        self._every, self._patience, self._margin = every, patience, margin

    def look(self, step: int, state: Any, logbook: Logbook, *, last: bool = False) -> None:
        """Look at a state if its step is a multiple of ``every``, or the last of the run.

        What is seen of a last step between two multiples decides which state is kept, and is
        forgotten when the run goes on: a run of 10 steps and one of 5 and 5 more are the same.
        """
        regular = step % self._every == 0
        if not regular and not last:
            return
        record, seen = self.record, jax.device_get(self._look(state, self._probe))
        found = describe(seen, record.labels)
        known = {name: value for name, value in found._asdict().items() if value is not None}
        logbook.write(step, {f"{PREFIX}/{name}": value for name, value in known.items()})
        record.last_step, record.last_look = step, found
        if not regular:
            return
        record.labels = seen.labels
        if record.best is None or _score(found) >= _score(record.best_look):
            # Of two that are equal the one trained longer; copied, for a step uses its state up.
            record.best = jax.tree.map(jnp.copy, state)
            record.best_step, record.best_look = step, found
        fell = _score(found) < (1 - self._margin) * _score(record.best_look)
        record.worse = record.worse + 1 if fell else 0

    @property
    def degraded(self) -> bool:
        """Whether the run is to end: for so long clusters have merged, or labels are noise."""
        return self._patience is not None and self.record.worse >= self._patience

    def verdict(self) -> str:
        """What is to be said of a run that is degraded."""
        best, last = self.record.best_look, self.record.last_look
        lost = _score(best) - _score(last)
        merged = np.log(best.effective_clusters / last.effective_clusters)
        reason = "clusters are merging" if merged > lost / 2 else "labels are turning into noise"
        return (
            f"step {self.record.last_step}: the two views' labels share {_score(last):.2f} nats, "
            f"{_score(best):.2f} at step {self.record.best_step}: {reason}; stopped, the state of "
            f"step {self.record.best_step} is kept"
        )
