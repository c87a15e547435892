"""Every benchmark starts, and the small ones run to their end on tiny data."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.dgc import stability
from benchmarks.gmcr.plan import plan
from benchmarks.machine import module_environment
from benchmarks.results_file import rounded, write_results
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.priors import PriorOptions
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.gmcr.options import SolverOptions

MODULES = (
    "dgc.quality",
    "dgc.stability",
    "dgc.step",
    "gmcr.confidence",
    "gmcr.epoch",
    "gmcr.field",
    "gmcr.ranges",
    "gmcr.quality",
    "gmcr.unmix_scale",
    "data.ingest",
    "data.memory",
    "data.stream",
    "runtime.faults",
    "runtime.precision",
    "runtime.scaling",
)
OPTIONAL = {"sklearn", "skimage", "igraph", "leidenalg", "pymcr"}  # of the extra `bench`


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_explains_its_options(name, monkeypatch, capsys):
    try:
        module = importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in OPTIONAL:
            pytest.skip(f"{error.name} is not installed; pip install -e '.[bench]'")
        raise
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert "--out" in capsys.readouterr().out


def run(name: str, *options: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    done = subprocess.run(command, env=module_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("data.ingest", ["--lines", "8", "--rounds", "1", "--formats", "envi", "netcdf"]),
        pytest.param("data.stream", ["--size", "64", "--steps", "4"], marks=pytest.mark.slow),
        pytest.param(
            "runtime.scaling",
            ["--devices", "1", "--rounds", "1", "--processes"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_benchmark_runs_to_its_end(name, options, tmp_path):
    out = tmp_path / "result.json"
    run(name, "--out", str(out), *options)
    assert json.loads(out.read_text())["versions"]["jax"]


def test_result_files_hold_four_digits_and_a_line_a_row(tmp_path):
    report = {"machine": {"load": [1.23456]}, "rows": [{"seconds": 2.0 / 3, "seed": 123456}] * 2}
    write_results(tmp_path / "r.json", report)
    text = (tmp_path / "r.json").read_text()
    assert json.loads(text) == rounded(report)
    assert text.count('{"seconds":0.6667,"seed":123456}') == 2
    assert len(text.splitlines()) == 7


def test_stored_results_are_small_and_whole():
    folder = Path(__file__).parents[2] / "benchmarks" / "results"
    files = sorted(folder.glob("*.json"))
    assert len(files) >= 11
    assert sum(path.stat().st_size for path in files) < 1_000_000
    assert all({"machine", "versions"} <= json.loads(path.read_text()).keys() for path in files)


@pytest.mark.parametrize("rung", [*stability.LADDER, *stability.PARTS])
def test_every_rung_of_the_stability_benchmark_names_options(rung):
    changes = (stability.LADDER | stability.PARTS)[rung]
    config = stability.changed(DGCConfig(), changes)
    for name, value in changes.items():
        outer, *inner = name.split(".")
        part = getattr(config, outer)
        for field in inner:
            part = getattr(part, field)
        assert part == value


def test_rows_of_the_plan_name_options_that_exist():
    rows = plan()
    assert len(rows) > 500
    for row in rows:
        SolverOptions(**row.get("solver", {}))
        PriorOptions(**row.get("priors", {}))
        if row["make"]["kind"] == "mixtures":
            MixtureOptions(**row["make"]["options"])
