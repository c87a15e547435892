"""The quick form of the benchmark of faults: one command, killed at a few of its changes."""

import numpy as np

from benchmarks.runtime.kills import kill_tries
from benchmarks.runtime.outcomes import Ended, Try, count_outcomes, judged, run, table
from benchmarks.runtime.subjects import copy_inputs, make_inputs, read_result, subjects


def test_an_ingest_that_is_killed_comes_to_the_same_cube(tmp_path):
    subject, inputs = subjects()["ingest fresh"], tmp_path / "inputs"
    inputs.mkdir()
    make_inputs(inputs)
    copy_inputs(inputs, tmp_path / "reference", subject)
    assert run(list(subject.arguments), folder=tmp_path / "reference").code == 0
    reference = read_result(subject, tmp_path / "reference")
    made = list(kill_tries(subject, inputs, tmp_path, reference, num_tries=2, seed=0))
    assert [one.outcome for one in made] == ["right", "right"], made
    assert made[0].detail.startswith("before change ")


def test_outcomes_of_a_damaged_file():
    traceback = Ended(1, "Traceback ...\nKeyError: 'labels'", 1.0)
    assert judged(traceback, ("tree.json",), is_right=False) == "unclear"
    assert (
        judged(Ended(1, "error: no such thing", 1.0), ("tree.json",), is_right=False) == "unclear"
    )
    assert judged(Ended(-11, "", 1.0), (), is_right=False) == "unclear"
    assert judged(Ended(-9, "", 150.0, timed_out=True), (), is_right=False) == "stuck"
    assert judged(Ended(0, "", 1.0), (), is_right=True) == "right"


def test_the_table_has_a_row_for_each_kind_and_a_sum():
    tries = [Try("kill", "predict", "", outcome) for outcome in ("right", "right", "lost")]
    assert table(count_outcomes(tries)).splitlines()[-2:] == [
        "| kill | predict | 3 | 2 | 0 | 1 | 0 | 0 | 0 |",
        "| all |  | 3 | 2 | 0 | 1 | 0 | 0 | 0 |",
    ]


def test_results_are_read_from_what_commands_write(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    assert read_result(subjects()["train dgc"], tmp_path) is None
