import dataclasses
import json
import re
import signal
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.data.cube import Cube
from jaxhsi.data.stream import describe_windows, window_stream
from jaxhsi.data.windows import read_window
from jaxhsi.dgc.state import Info, SegmentationAlgorithm, State
from jaxhsi.dgc.views import window_size
from jaxhsi.sharding import device_mesh, replicate
from jaxhsi.training.best_state import StateMonitor, read_validation_views
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.loop import run_training
from jaxhsi.training.metrics_writer import MetricsWriter
from jaxhsi.training.stop_signals import StopRequest, stop_signals
from tests.helpers.cubes import make_cube
from tests.helpers.dgc_method import VIEWS, first_state, method
from tests.helpers.scenes import CLASSES, blobs


@pytest.fixture
def cube(tmp_path) -> Cube:
    return make_cube(tmp_path, "blobs", blobs(0)[0])


def run(
    dgc: SegmentationAlgorithm,
    cube: Cube,
    folder,
    steps: int,
    *,
    resume: bool = False,
    writer=MetricsWriter,
    **more,
) -> tuple[State, State]:
    """What a run does, without the rest of it: the last state and the best."""
    folder.mkdir(exist_ok=True)
    mesh = device_mesh(3)
    probe = read_validation_views([cube], VIEWS, 2, 0, 2, read_window)
    watch = StateMonitor(mesh, dgc, CLASSES, probe, every=4, patience=10, margin=0.1)
    stream = window_stream([cube], window_size(VIEWS), 2, seed=0)
    state = replicate(mesh, first_state(dgc))
    with Checkpoints(folder / "checkpoints") as checkpoints:
        if resume:
            state = checkpoints.restore(state, stream, watch.best_state)
        logbook = writer(folder, int(state.step), steps)
        options = {"batch_size": 2, "log_every": 2, "save_every": 5} | more
        options["locate_windows"] = partial(describe_windows, [cube], window_size(VIEWS), 2, 0)
        key = jax.random.key(3)
        state = run_training(
            key, state, dgc.step, stream, mesh, steps, logbook, checkpoints, watch, **options
        )
    return jax.device_get((state, watch.best_state.state))


def rows(folder) -> list[dict]:
    """Those of steps, without those of looks."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.mark.slow
def test_ten_steps_are_five_and_a_restart_and_five_bit_for_bit(cube, tmp_path):
    dgc = method()
    whole = run(dgc, cube, tmp_path / "whole", 10)
    run(dgc, cube, tmp_path / "parts", 5)
    # The process was killed while it wrote the line of a step that no checkpoint holds.
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "loss": 1.0}\n{"step": 8, "lo')
    parts = run(dgc, cube, tmp_path / "parts", 10, resume=True)
    chex.assert_trees_all_equal(whole, parts)
    steps = [row["step"] for row in rows(tmp_path / "parts")]
    assert steps == [2, 4, 5, 6, 8, 10]
    last = [rows(tmp_path / name)[-1] for name in ("whole", "parts")]
    assert last[0] == last[1]


def test_the_logbook_names_every_diagnostic(cube, tmp_path):
    run(method(), cube, tmp_path / "run", 2)
    row = rows(tmp_path / "run")[-1]
    assert {
        "step",
        "loss",
        "active_clusters",
        "teacher_agreement",
        "cluster_usage",
        "gradient_norm",
    } <= row.keys()
    assert len(row["cluster_usage"]) == 3
    assert list((tmp_path / "run" / "events").iterdir())


def brief_method() -> SegmentationAlgorithm:
    """A method whose step averages the windows, compiled at once; overflows at a window of 1e30."""

    def step(key, state, batch):
        mean, square = batch.window.mean(), jnp.square(batch.window).mean()
        noise = jax.random.normal(key)
        usage = state.cluster_usage + mean + noise
        values = dict.fromkeys(Info._fields, mean) | {"cluster_usage": usage}
        info = Info(**values)._replace(loss=mean + square, view_cross_entropy=square)
        return state._replace(step=state.step + 1, cluster_usage=usage), info

    return dataclasses.replace(method(), step=step)


def test_a_step_that_is_not_finite_ends_the_run_and_keeps_the_state_before_it(tmp_path):
    values, _ = blobs(0)
    spoilt = values.copy()
    spoilt[0, 0] = 1e30
    dgc, cube = brief_method(), make_cube(tmp_path, "spoilt", spoilt)
    message = (
        r"step (\d+) is not finite \(loss, view_cross_entropy\), because of rows .*, columns .* of "
        r"spoilt \(values .* to 1e\+30\)\. The state of step"
    )
    with pytest.raises(FloatingPointError, match=message) as error:
        run(dgc, cube, tmp_path / "run", 40)
    first_bad = int(re.search(message, str(error.value))[1])
    with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
        assert checkpoints.latest_step() == first_bad - 1
    kept, _ = run(dgc, cube, tmp_path / "run", first_bad - 1, resume=True)
    whole, _ = run(dgc, cube, tmp_path / "whole", first_bad - 1)
    chex.assert_trees_all_equal(kept, whole)


@pytest.mark.slow
def test_bad_batches_can_be_left_out(tmp_path, caplog):
    values, _ = blobs(0)
    spoilt = values.copy()
    spoilt[0, 0] = 1e30
    dgc, cube = brief_method(), make_cube(tmp_path, "spoilt", spoilt)
    run(dgc, cube, tmp_path / "run", 20, skip_bad_batches=True)
    assert caplog.text.count("left out") > 0
    state, _ = run(dgc, cube, tmp_path / "run", 40, skip_bad_batches=True, resume=True)
    assert int(state.step) == 40
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert "columns" in caplog.text
    counts = [int(each) for each in re.findall(r"left out; (\d+) steps so far", caplog.text)]
    assert counts == sorted(set(counts))  # a resumed run counts on
    assert rows(tmp_path / "run")[-1]["skipped_steps"] == counts[-1]


def test_a_request_to_stop_saves_the_step_and_the_run_goes_on_the_same(cube, tmp_path):
    dgc = brief_method()
    whole = run(dgc, cube, tmp_path / "whole", 8)

    class Interrupting(MetricsWriter):
        def advance_bar(self, step: int) -> None:
            if step == 3:
                signal.raise_signal(signal.SIGTERM)

    with stop_signals(), pytest.raises(StopRequest) as stopped:
        run(dgc, cube, tmp_path / "parts", 8, writer=Interrupting)
    assert (stopped.value.saved, stopped.value.exit_code) == ("step 4 is saved", 143)
    parts = run(dgc, cube, tmp_path / "parts", 8, resume=True)
    chex.assert_trees_all_equal(whole, parts)


def test_a_checkpoint_of_another_shape_is_an_error(cube, tmp_path):
    run(method(), cube, tmp_path / "run", 2)
    wider = first_state(method())
    wider = wider._replace(cluster_usage=np.zeros(5, np.float32))
    folder = tmp_path / "run" / "checkpoints"
    with (
        Checkpoints(folder) as checkpoints,
        pytest.raises(ValueError, match=r"does not fit .* number of bands"),
    ):
        checkpoints.restore(wider)


def test_nothing_to_restore_is_an_error(tmp_path):
    with (
        Checkpoints(tmp_path / "none") as checkpoints,
        pytest.raises(FileNotFoundError, match="no checkpoint in"),
    ):
        checkpoints.restore({})
