"""One training by several real processes: the answer of one, and the end of all if one ends."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jaxhsi.train import main
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.run_folder import SOLUTION_FILE
from jaxhsi.workflows.unmixing_model_file import read_unmixing_model
from tests.helpers.commands import DGC_ARGUMENTS, GMCR_ARGUMENTS
from tests.helpers.cubes import write_cube
from tests.helpers.mixtures import make_mixture
from tests.helpers.processes import end_of, free_port, start_processes
from tests.helpers.scenes import blobs

LONG = ("--steps", "100000", "--monitor.every", "100000", "--process_timeout", "6")


@pytest.fixture
def arguments(tmp_path) -> tuple[str, ...]:
    """Of a run on two cubes."""
    for number in range(2):
        write_cube(tmp_path / "cubes" / f"field{number}.zarr", blobs(number)[0])
    return (*DGC_ARGUMENTS, "--data", str(tmp_path / "cubes"), "--monitor.every", "2")


def assert_same_results(run: Path, other: Path) -> None:
    """The losses of all steps and the labels of all cubes; sums over devices differ by rounding."""
    losses, scores = ([], []), []
    for folder, own_losses in zip((run, other), losses, strict=True):
        for line in (folder / "metrics.jsonl").read_text().splitlines():
            row = json.loads(line)
            own_losses += [(row["step"], row["loss"])] if "loss" in row else []
        scores.append(json.loads((folder / "scores.json").read_text()))
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert scores[0]["steps"] == scores[1]["steps"]
    for name in scores[0]["cubes"]:
        labels = [np.load(folder / "labels" / f"{name}.npy") for folder in (run, other)]
        assert (labels[0] != labels[1]).mean() < 0.01


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.05)


def takes_steps(run: Path) -> bool:
    path = run / "metrics.jsonl"
    return path.is_file() and path.read_text().count("loss") > 2


def test_two_processes_and_then_one_give_what_one_gives(arguments, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "run"
    two_devices = (*arguments, "--devices", "2", "--steps", "4")
    assert main([*two_devices, "--out", str(whole)]) == 0
    given = [*arguments, "--steps", "2", "--out", str(run)]
    first, second = end_of(start_processes(given, 2, by_slurm=True))
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert "2 processes (Slurm job 7) work as one, on 2 devices" in first[2]
    assert "2 cube(s)" in first[1]
    assert second[1:] == ("", "")  # it has nothing to say
    assert main([*two_devices, "--out", str(run), "--resume"]) == 0
    assert_same_results(whole, run)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.slow
def test_the_death_of_one_process_ends_the_other(arguments, tmp_path, victim):
    run = tmp_path / "run"
    processes = start_processes([*arguments, *LONG, "--out", str(run)], 2)
    wait_for(lambda: takes_steps(run) or any(each.poll() is not None for each in processes))
    processes[victim].kill()
    killed = time.monotonic()
    survivor = processes[1 - victim]
    survivor.wait(timeout=60)
    assert time.monotonic() - killed < 20
    code, _, text = end_of(processes)[1 - victim]
    assert code not in (0, None)
    # By a connection that breaks off, or, of the first process, in the words of JAX.
    assert "another process broke off: it was killed" in text or "another task died" in text


def test_an_error_of_one_process_ends_the_other(arguments, tmp_path):
    given = [*arguments, *LONG, "--out", str(tmp_path / "run")]
    other = [*given, "--data", str(tmp_path / "nowhere")]
    first, second = end_of(start_processes(given, 2, other))
    assert (first[0], second[0]) == (1, 1), (first, second)
    assert "nowhere" in second[2]
    assert f"error: process 1 of 2 ended: no data at {tmp_path / 'nowhere'}" in first[2]
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_after_the_same_step(arguments, tmp_path):
    run = tmp_path / "run"
    processes = start_processes([*arguments, *LONG, "--out", str(run)], 2)
    wait_for(lambda: takes_steps(run))
    processes[1].send_signal(signal.SIGTERM)
    first, second = end_of(processes)
    assert (first[0], second[0]) == (143, 143), (first, second)
    with Checkpoints(run / "checkpoints", read_only=True) as checkpoints:
        step = checkpoints.latest_step()
    assert f"step {step} is saved; go on with: jaxhsi train dgc --out {run} --resume" in first[2]


@pytest.mark.slow
def test_four_processes_go_on_with_the_run_of_one(arguments, tmp_path):
    four = (*arguments, "--stream.batch_size", "4")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*four, "--devices", "4", "--steps", "4", "--out", str(whole)]) == 0
    assert main([*four, "--steps", "2", "--out", str(parts)]) == 0
    ends = end_of(start_processes([*four, "--steps", "4", "--out", str(parts), "--resume"], 4))
    assert [end[0] for end in ends] == [0] * 4, ends
    assert_same_results(whole, parts)


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [2, 3, 4])
def test_several_processes_unmix_as_one_does(tmp_path, num_processes):
    """Any number of spectra is shared; one process goes on from the last phase of the others.

    Of the 40 spectra each of 2 or 4 processes has its own alone; 3 have all.
    """
    np.save(tmp_path / "table.npy", make_mixture().x)
    given = [*GMCR_ARGUMENTS, "--data", str(tmp_path / "table.npy"), "--ranges", "false"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert main([*given, "--out", str(whole)]) == 0
    ends = end_of(start_processes([*given, "--out", str(run)], num_processes))
    assert [end[0] for end in ends] == [0] * num_processes, ends
    assert f"on {num_processes} devices" in ends[0][1]
    assert {end[1:] for end in ends[1:]} == {("", "")}
    expected, shared = (read_unmixing_model(folder / SOLUTION_FILE) for folder in (whole, run))
    np.testing.assert_allclose(shared.components, expected.components, atol=1e-4)
    assert main([*given, "--out", str(run), "--resume"]) == 0
    resumed = read_unmixing_model(run / SOLUTION_FILE)
    np.testing.assert_allclose(resumed.components, expected.components, atol=1e-4)


@pytest.mark.slow
def test_upstreams_unmixing_is_refused_in_several_processes(tmp_path):
    np.save(tmp_path / "table.npy", make_mixture().x)
    given = ["gmcr", "--method", "upstream", "--data", str(tmp_path / "table.npy")]
    ends = end_of(start_processes([*given, "--out", str(tmp_path / "run")], 2))
    assert [end[0] for end in ends] == [1, 1], ends
    assert "--method upstream of train gmcr works in one process" in ends[0][2]


SLOW_READER = """
import sys, time
from jaxhsi.processes import broadcast_json
from jaxhsi.training.cluster_task import ProcessPlace
from jaxhsi.training.process_group import join_processes
number = int(sys.argv[1])
join_processes(ProcessPlace("127.0.0.1:" + sys.argv[2], 2, number, None, "a test", ""))
time.sleep(35 * number)
print(broadcast_json("read"))
"""


@pytest.mark.slow
def test_a_process_that_reads_its_data_more_slowly_is_waited_for():
    """For longer than the 30 s in which Gloo opens connections."""
    command, port = [sys.executable, "-c", SLOW_READER], str(free_port())
    processes = [
        subprocess.Popen([*command, number, port], stdout=subprocess.PIPE, text=True)
        for number in "01"
    ]
    assert [process.communicate(timeout=240)[0] for process in processes] == ["read\n"] * 2
