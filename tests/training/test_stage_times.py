import json
import threading
import time

import pytest

from jaxhsi.training.stage_times import ProgressTimes, StageTimes


def test_threads_add_to_one_stage():
    times = StageTimes()
    read = times.timed("read", lambda seconds: time.sleep(seconds))
    threads = [threading.Thread(target=read, args=(0.05,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert times.seconds()["read"] >= 0.2


def test_a_stage_that_fails_is_timed(tmp_path):
    times = StageTimes()
    with pytest.raises(ValueError, match="no cube"), times.measure("label"):
        raise ValueError("no cube")
    times.write(tmp_path)
    record = json.loads((tmp_path / "times.json").read_text())
    assert list(record["stages"]) == ["label"]
    assert 0 <= record["stages"]["label"] <= record["total"]


def test_rounds_and_restarts_are_one_stage():
    times, reports = StageTimes(), []
    on_progress = ProgressTimes(times, lambda *report: reports.append(report), "noise")
    for stage in ("start", "components, restart 1 of 2", "components, restart 2 of 2"):
        on_progress(stage, 0)
    on_progress("round 2: components", 20, None, "loss 1")
    on_progress("networks", 0, 100)
    on_progress.close()
    assert list(times.seconds()) == ["noise", "start", "step", "networks"]
    assert reports[3:] == [("round 2: components", 20, None, "loss 1"), ("networks", 0, 100)]
