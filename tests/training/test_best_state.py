import json
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import MagicMock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.data.cube import Cube
from jaxhsi.data.stream import window_stream
from jaxhsi.data.windows import read_window
from jaxhsi.dgc.monitor import ValidationViews, ViewScores
from jaxhsi.dgc.state import SegmentationAlgorithm
from jaxhsi.dgc.views import window_size
from jaxhsi.sharding import device_mesh, replicate
from jaxhsi.training import best_state as watching
from jaxhsi.training.best_state import BestState, StateMonitor, read_validation_views
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.loop import run_training
from jaxhsi.training.metrics_writer import MetricsWriter
from tests.helpers.cubes import make_cube
from tests.helpers.dgc_method import VIEWS
from tests.helpers.scenes import BANDS, CLASSES, blobs

FALL = 6  # step at which the method below falls apart


class State(NamedTuple):
    step: jax.Array


class Info(NamedTuple):
    loss: jax.Array
    active_clusters: jax.Array


def falling(how: str) -> SegmentationAlgorithm:
    """Two materials are told apart, until all is one cluster, or labels are noise."""

    def step(key, state, batch):
        return State(state.step + 1), Info(jnp.ones(()), jnp.array(2))

    def predict(state, x, valid):
        good = x[..., -1] > x[..., 0]
        noise = jnp.floor(x.sum(-1)).astype(int) % 2 == 0
        bad = {"merge": jnp.zeros_like(good), "noise": noise}[how]
        labels = jnp.where(state.step < FALL, good, bad)
        return jnp.where(valid, labels, -1).astype(jnp.int32), valid.astype(jnp.float32)

    return SegmentationAlgorithm(
        lambda *_: State(jnp.zeros((), jnp.int32)), step, predict, 0, False
    )


@pytest.fixture(scope="module")
def cube(tmp_path_factory) -> Cube:
    return make_cube(tmp_path_factory.mktemp("cube"), "blobs", blobs(0)[0])


def probe_of(cube: Cube, **options) -> ValidationViews:
    given = {"view_options": VIEWS, "batch": 2, "seed": 0, "max_windows": 8} | options
    return read_validation_views([cube], read=read_window, **given)


@pytest.fixture(scope="module")
def data(cube) -> tuple[Cube, ValidationViews]:
    """The probe is drawn once for all runs."""
    return cube, probe_of(cube)


def run(
    dgc: SegmentationAlgorithm,
    data: tuple,
    folder: Path,
    steps: int,
    *,
    resume: bool = False,
    patience=3,
    **monitor_options,
) -> tuple:
    """The last state and the watch, looked at every second step."""
    folder.mkdir(exist_ok=True)
    cube, probe = data
    mesh = device_mesh(2)
    stream = window_stream([cube], window_size(VIEWS), 2, seed=0)
    state = replicate(mesh, dgc.init())
    options = {"every": 2, "patience": patience, "margin": 0.1} | monitor_options
    watch = StateMonitor(mesh, dgc, CLASSES, probe, **options)
    training_options = {"batch_size": 2, "log_every": 50}
    with Checkpoints(folder / "checkpoints") as checkpoints:
        if resume:
            state = checkpoints.restore(state, stream, watch.best_state)
        logbook, key = MetricsWriter(folder, int(state.step), steps), jax.random.key(3)
        outputs = logbook, checkpoints, watch
        state = run_training(
            key, state, dgc.step, stream, mesh, steps, *outputs, **training_options
        )
    return jax.device_get(state), watch


def looks(folder: Path) -> dict[int, dict]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row for row in rows if "monitor/mutual_information" in row}


@pytest.mark.parametrize(
    ("how", "reason"),
    [("merge", "clusters are merging"), ("noise", "labels are turning into noise")],
)
def test_a_run_that_falls_apart_is_recognised_stopped_and_its_best_state_kept(
    data, tmp_path, how, reason
):
    state, watch = run(falling(how), data, tmp_path / "run", 40)
    # The looks at 6, 8 and 10 find it fallen apart: the third in a row ends it.
    assert int(state.step) == 10
    assert watch.degraded
    record = watch.best_state
    assert int(record.chosen_state(state).step) == record.chosen_step(10) == record.best_step == 4
    seen = looks(tmp_path / "run")
    assert list(seen) == [0, 2, 4, 6, 8, 10]
    scores = [row["monitor/mutual_information"] for row in seen.values()]
    assert scores[0] == scores[2] > 0.15
    assert max(scores[3:]) < 0.05
    assert watch.stop_message() == (
        f"step 10: the two views' labels share {scores[-1]:.2f} nats, {scores[2]:.2f} at step 4: "
        f"{reason}; stopped, the state of step 4 is kept"
    )


def test_a_stopped_run_takes_no_step_more_unless_it_is_told_to(data, tmp_path):
    dgc = falling("merge")
    run(dgc, data, tmp_path / "run", 40)
    state, watch = run(dgc, data, tmp_path / "run", 40, resume=True)
    assert (int(state.step), watch.degraded) == (10, True)
    state, watch = run(dgc, data, tmp_path / "run", 13, resume=True, patience=None)
    assert (int(state.step), watch.degraded) == (13, False)
    assert watch.best_state.chosen_step(13) == 4


def test_a_run_that_does_not_improve_is_stopped_and_resumed_when_told_to(data, tmp_path):
    dgc, flat = falling("merge"), {"no_improvement": 2, "min_improvement": 0.01}
    state, watch = run(dgc, data, tmp_path / "run", 40, **flat)
    # The same at 0, 2 and 4.
    assert (int(state.step), watch.ended, watch.degraded) == (4, True, False)
    assert "no improvement of 1.0% in 2 evaluations" in watch.stop_message()
    assert watch.best_state.chosen_step(4) == 4
    state, _ = run(dgc, data, tmp_path / "run", 40, resume=True, **flat)
    assert int(state.step) == 4
    state, _ = run(dgc, data, tmp_path / "run", 5, resume=True)
    assert int(state.step) == 5


def scored(mutual_information: float) -> ViewScores:
    return ViewScores(mutual_information, *[None] * 7)


@pytest.mark.parametrize(
    ("criteria", "flat"),
    [([1.0, 1.005, 1.011, 1.016], 1), ([1.0, 1.005, 1.0, 1.005], 3), ([1.0, 1.02, 1.04], 0)],
)
def test_slow_improvements_add_up(data, monkeypatch, criteria, flat):
    _, probe = data
    options = {"every": 1, "patience": None, "margin": 0.1, "min_improvement": 0.01}
    watch = StateMonitor(device_mesh(1), falling("merge"), CLASSES, probe, **options)
    scores = iter(map(scored, criteria))
    monkeypatch.setattr(watching, "score_views", lambda *_: next(scores))
    monkeypatch.setattr(watch, "_statistics", lambda _: SimpleNamespace(clean_labels=None))
    for step in range(len(criteria)):
        watch.evaluate(step, State(jnp.asarray(step)), MagicMock())
    assert watch.best_state.flat_evaluations == flat


def test_without_steps_the_start_is_looked_at_and_kept(data, tmp_path):
    run(falling("merge"), data, tmp_path / "run", 0)
    state, watch = run(falling("merge"), data, tmp_path / "run", 0, resume=True)
    assert int(watch.best_state.chosen_state(state).step) == 0
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1
    with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
        restored = checkpoints.restore(state, best_state=(record := BestState()))
    assert int(record.chosen_state(restored).step) == 0


def test_a_last_step_between_looks_counts(data, tmp_path):
    state, watch = run(falling("merge"), data, tmp_path / "run", 5)
    assert list(looks(tmp_path / "run")) == [0, 2, 4, 5]
    assert (watch.best_state.best_step, watch.best_state.chosen_step(5)) == (4, 5)
    assert int(watch.best_state.chosen_state(state).step) == 5


def test_looks_do_not_disturb_exact_resume(data, tmp_path):
    dgc = falling("noise")
    whole, seen = run(dgc, data, tmp_path / "whole", 8, patience=None)
    run(dgc, data, tmp_path / "parts", 3, patience=None)  # ends between two looks
    parts, again = run(dgc, data, tmp_path / "parts", 8, resume=True, patience=None)
    chex.assert_trees_all_equal(whole, parts)
    chex.assert_trees_all_equal(
        jax.device_get(seen.best_state.state), jax.device_get(again.best_state.state)
    )
    assert seen.best_state.get_record() == again.best_state.get_record()
    lines = looks(tmp_path / "parts")
    del lines[3]
    assert lines == looks(tmp_path / "whole")


def test_the_probe_is_fixed_by_the_seed_and_is_no_batch_of_the_training(cube, monkeypatch):
    probe = probe_of(cube)
    assert len(probe.crops) == 8
    chex.assert_trees_all_equal(
        probe, probe_of(cube, max_windows=9)
    )  # down to a multiple of the batch
    assert np.abs(probe.crops - probe_of(cube, seed=1).crops).max() > 1
    seeds = []

    def record(cubes, *arguments, **options):
        seeds.append(arguments[2])
        return window_stream(cubes, *arguments, **options)

    monkeypatch.setattr(watching, "window_stream", record)
    probe_of(cube, seed=5)
    assert 5 not in seeds


def test_the_memory_of_a_probe_is_bounded(cube, monkeypatch):
    monkeypatch.setattr(watching, "MAX_CROP_VALUES", 5 * 3 * 12**2 * BANDS)
    assert len(probe_of(cube).crops) == 4


def test_a_checkpoint_without_a_best_state_is_an_error(tmp_path):
    state = {"a": jnp.ones(2)}
    with Checkpoints(tmp_path / "old") as checkpoints:
        checkpoints.save(3, state)
    with (
        Checkpoints(tmp_path / "old") as checkpoints,
        pytest.raises(ValueError, match=r"checkpoint 3 has no best and no record: .* --overwrite"),
    ):
        checkpoints.restore(state, best_state=BestState())
