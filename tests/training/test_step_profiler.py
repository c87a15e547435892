import gzip
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxhsi.training.step_profiler import TRACED_STEPS, WARM_UP_STEPS, StepProfiler
from jaxhsi.training.stop_signals import StopRequest

NUM_STEPS = WARM_UP_STEPS + TRACED_STEPS


@jax.jit
def marked_step(x):
    return jnp.sin(x) + 1


def traced_calls(folder: Path) -> int:
    [path] = folder.glob("profile/plugins/profile/*/*.trace.json.gz")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    calls = [event.get("args", {}) for event in events]
    return len({call["run_id"] for call in calls if call.get("hlo_module") == "jit_marked_step"})


def take_steps(profiler: StepProfiler, count: int) -> None:
    x = jnp.zeros(())
    for _ in range(count):
        profiler.next_step(x)
        x = marked_step(x)


def test_a_few_steps_after_the_warm_up_are_traced(tmp_path):
    lines = []
    with StepProfiler(tmp_path, say=lines.append) as profiler:
        profiler.expect_steps(100, 41)
        take_steps(profiler, NUM_STEPS + 4)
    assert traced_calls(tmp_path) == TRACED_STEPS
    first = 41 + WARM_UP_STEPS
    assert lines[0].startswith(f"profile of steps {first} to {first + TRACED_STEPS - 1}: open ")
    assert "ui.perfetto.dev" in lines[0]
    assert f"xprof --logdir {tmp_path / 'profile'}" in lines[0]


def test_a_stopped_command_leaves_the_trace_of_the_steps_before(tmp_path):
    lines = []

    def stopped_command() -> None:
        with StepProfiler(tmp_path, say=lines.append) as profiler:
            take_steps(profiler, WARM_UP_STEPS + 2)
            raise StopRequest(2)

    with pytest.raises(StopRequest):
        stopped_command()
    assert traced_calls(tmp_path) == 2
    assert lines[0].startswith("profile of steps 4 to 5: ")


@pytest.mark.parametrize(("count", "warm_up"), [(1, 0), (2, 1), (6, 1), (7, 2), (8, 3), (100, 3)])
def test_a_short_command_has_a_short_warm_up(count, warm_up, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *_, **__: started.append(True))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: None)
    profiler = StepProfiler(tmp_path)
    profiler.expect_steps(count)
    for number in range(count):
        assert bool(started) == (number > warm_up)
        profiler.next_step()
    assert started == [True]


def test_items_are_steps_and_their_end_is_none(tmp_path):
    lines = []
    with StepProfiler(tmp_path, "tiles", lines.append) as profiler:
        profiler.expect_steps(2)
        assert list(profiler.trace_items([1])) == [1]
        assert list(profiler.trace_items([2])) == [2]
    assert lines[0].startswith("profile of tiles 2 to 2: ")


def test_without_steps_it_is_said_that_there_is_no_profile(tmp_path):
    lines = []
    with StepProfiler(tmp_path, say=lines.append) as profiler:
        profiler.expect_steps(0)
    assert lines == ["no profile: there were only 0 steps"]
