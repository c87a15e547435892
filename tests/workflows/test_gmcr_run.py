"""The gmcr command, end to end on tiny data, and all that a user can get wrong."""

import csv
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxhsi import unmixing
from jaxhsi.data.cube import open_cube
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import Mixtures, mixtures
from jaxhsi.data.tables.table_files import read_table
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.gmcr.fit_comparison import FitComparison
from jaxhsi.gmcr.goodness_of_fit import NONLINEARITY_THRESHOLD
from jaxhsi.train import main
from jaxhsi.training.metrics_writer import read_metric_rows
from jaxhsi.workflows.unmixing_model_file import read_unmixing_model
from tests.helpers.commands import GMCR_ARGUMENTS

BUILT_IN = (
    *("--mixture.num_components", "3", "--mixture.bands", "50", "--mixture.max_mixed", "2"),
    *("--mixture.snr_db", "30", "--num_samples", "40"),
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("JAXHSI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def made() -> Mixtures:
    """The built-in mixtures of the tests."""
    options = MixtureOptions(num_components=3, bands=50, max_mixed=2, snr_db=30.0)
    return jax.device_get(mixtures(jax.random.key(0), 40, options))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run on them."""
    folder = tmp_path_factory.mktemp("gmcr") / "run"
    assert main([*GMCR_ARGUMENTS, *BUILT_IN, "--out", str(folder)]) == 0
    return folder


def scores(run: Path) -> dict:
    return json.loads((run / "scores.json").read_text())


def table(path: Path) -> list[list[str]]:
    with path.open() as file:
        return list(csv.reader(file))


def test_a_run_says_how_sure_it_is(run):
    found = scores(run)
    diagnostics = found["diagnostics"]
    low, high = diagnostics["plausible_counts"]
    assert low <= 3 <= high
    assert diagnostics["restarts"] == [3] * 2
    assert min(diagnostics["confidence"]) > 0.9
    assert diagnostics["curve"]["component_counts"][:3] == [1, 2, 3]
    assert all(0 < least <= most < 1 for least, most in found["ranges"]["signal_share"])
    assert max(found["ranges"]["angle_degrees"]) < 10
    assert (run / "pictures" / "count.png").stat().st_size > 5000


def test_an_answer_that_a_simpler_method_contradicts_is_refused(tmp_path, monkeypatch, capsys):
    poor = FitComparison(own=0.5, least_squares=0.4, factorisation=0.01, r2=-0.2)
    monkeypatch.setattr(unmixing, "compare_fit", lambda white, **_: poor)
    folder = tmp_path / "run"
    options = ("--ranges", "false", "--out", str(folder), "--profile")
    assert main([*GMCR_ARGUMENTS, *BUILT_IN, *options]) == 1
    told, message = capsys.readouterr()
    assert "profile of epochs 2 to 6: open " in told or "profile of epochs 4 to 8: open " in told
    assert "explains the data worse than their mean does (R2 -0.2)" in message
    assert "The answer is refused" in message
    assert (folder / "concentrations.csv").is_file()
    assert len(scores(folder)["warnings"]) == 2


def test_restarts_below_one_are_refused(tmp_path, capsys):
    assert main([*GMCR_ARGUMENTS, "--restarts=0", "--out", str(tmp_path / "run")]) == 1
    assert "--restarts 0 is out of range" in capsys.readouterr().err


def test_a_run_scores_what_it_finds(run):
    found = scores(run)
    assert found["num_components"] == 3
    assert found["true_components"] == 3
    assert found["matched_cosine_mean"] > 0.99
    assert found["matched_cosine_min"] > 0.98
    assert found["r2_noise_free"] > 0.99
    assert found["r2"] > 0.99
    assert found["nmse"] < 0.01
    assert found["networks"]["r2_noise_free"] > 0.9
    assert 0.99 < found["r2_of_truth"] < 1
    assert sorted(found["matched"]) == [0, 1, 2]
    assert found["converged"]
    assert found["seconds"] > 0
    assert 0.02 < found["noise"]["share"] < 0.045  # 30 dB are 3.2 % of a sample
    assert not any(found["noise"][kind] for kind in ("offset", "spikes", "baseline", "correlation"))


def test_a_run_leaves_all_that_it_promises(run, made):
    found = read_table(run / "components.csv", TableOptions())
    assert found.sample_names == ("component 1", "component 2", "component 3")
    np.testing.assert_allclose(np.linalg.norm(found.values, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.axis, np.arange(1, 51))
    rows = table(run / "concentrations.csv")
    assert rows[0] == ["sample", "component 1", "component 2", "component 3"]
    assert [row[0] for row in rows[1:]] == [str(i + 1) for i in range(40)]
    concentrations = np.array([row[1:] for row in rows[1:]], float)
    residual = made.clean - concentrations @ found.values
    assert (residual**2).sum() < 0.002 * (made.clean**2).sum()
    for name in ("components", "concentrations", "residual", "training"):
        assert (run / "pictures" / f"{name}.png").stat().st_size > 5000
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {"seconds/read", "seconds/step"} <= lines[-1].keys()
    rows = read_metric_rows(run / "metrics.jsonl")
    assert rows[-1]["num_active"] == 3
    assert {"loss", "step"} <= rows[0].keys()
    stages = json.loads((run / "times.json").read_text())["stages"]
    assert {"read", "noise", "step", "networks", "label", "pictures"} <= stages.keys()
    for name in ("checkpoints", "events"):
        assert list((run / name).iterdir())
    assert read_unmixing_model(run / "solution.npz").component_names == found.sample_names


def test_concentrations_are_in_the_units_of_the_file(run, made):
    found = scores(run)["matched"]
    rows = np.array([row[1:] for row in table(run / "concentrations.csv")[1:]], float)
    truth = made.concentrations[:, found]
    assert np.abs(rows - truth).max() < 0.1 * truth.max()


def test_a_finished_run_resumes_to_the_same_answer(run, tmp_path, capsys):
    before = (run / "components.csv").read_text()
    assert main(["gmcr", "--out", str(run), "--resume"]) == 0
    assert (run / "components.csv").read_text() == before
    steps = [row["step"] for row in read_metric_rows(run / "metrics.jsonl")]
    assert steps == sorted(set(steps))
    capsys.readouterr()
    assert main(["gmcr", "--out", str(run), "--resume", "--seed", "4"]) == 1
    assert "--seed 4 (was 0)" in capsys.readouterr().err


def test_a_table_with_names_axis_truth_library_and_a_zero_row(made, tmp_path, capsys):
    waves = np.linspace(900, 410, 50)
    data = np.insert(made.data, 4, 0, axis=0)
    rows = [["sample", *waves], *([f"s{i}", *row] for i, row in enumerate(data.tolist()))]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    np.savez(
        tmp_path / "truth.npz",
        components=made.components,
        concentrations=np.insert(made.concentrations, 4, 0, axis=0),
        names=["salt", "sugar", "tea"],
    )
    np.savez(tmp_path / "lib.npz", library=made.components[:2] * 5, names=["salt", "sugar"])
    given = ("--data", str(tmp_path / "t.csv"), "--truth", str(tmp_path / "truth.npz"))
    library = ("--library", str(tmp_path / "lib.npz"), "--out", str(tmp_path / "run"))
    assert main([*GMCR_ARGUMENTS, *given, *library]) == 0
    names = {row[0] for row in table(tmp_path / "run" / "components.csv")[1:]}
    assert {"salt", "sugar"} <= names
    assert len(names) == 3
    samples = [row[0] for row in table(tmp_path / "run" / "concentrations.csv")[1:]]
    assert samples == [f"s{i}" for i in range(41) if i != 4]
    assert float(table(tmp_path / "run" / "components.csv")[0][1]) == 900
    assert scores(tmp_path / "run")["r2_noise_free"] > 0.99
    output = capsys.readouterr().out
    assert "1 of 41 spectra are all zero and left out (row 5)" in output
    assert "tea" in output
    assert "3 components; concentrations are in concentrations.csv" in output


@pytest.mark.slow
def test_all_pixels_of_a_cube_are_unmixed(made, tmp_path, capsys):
    cube = np.tile(made.data.reshape(5, 8, 50), (2, 2, 1))
    cube[1, 2, 3] = np.nan
    np.save(tmp_path / "c.npy", cube)
    given = (
        *GMCR_ARGUMENTS,
        "--data",
        str(tmp_path / "c.npy"),
        "--layout",
        "hwc",
        "--num_pixels",
        "40",
    )
    assert main([*given, "--out", str(tmp_path / "run")]) == 0
    store = open_cube(tmp_path / "run" / "concentrations" / "c.zarr")
    maps = store.array.read().result()
    assert "unmixed by EB-gMCR" in store.history[-2]
    assert scores(tmp_path / "run")["cubes"]["c"]["pixels"] == 159
    assert (tmp_path / "run" / "pictures" / "c.png").stat().st_size > 5000
    assert maps.shape == (10, 16, scores(tmp_path / "run")["num_components"])
    assert np.isnan(maps[1, 2]).all()
    assert np.isnan(maps).any(-1).sum() == 1
    rows = table(tmp_path / "run" / "concentrations.csv")
    assert len(rows) == 10 * 16
    assert rows[1][0] == "c y0 x0"
    np.testing.assert_allclose([float(v) for v in rows[1][1:]], maps[0, 0], rtol=1e-6)
    assert "1 of 160 pixels read are not valid" in capsys.readouterr().out


def test_upstreams_training_goes_the_same_way(tmp_path):
    method = ("--method", "upstream", "--epochs", "3", "--joint.pool_sizes", "[6]")
    small = ("--joint.hidden_width_factor", "null", "--joint.batch_size", "16")
    out = ("--out", str(tmp_path / "run"))
    code = main(["gmcr", *BUILT_IN, *method, *small, *out])
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3]
    assert {"nmse", "r2", "count_weight", "num_active"} <= json.loads(rows[0]).keys()
    assert code == 0
    num_components = scores(tmp_path / "run")["num_components"]
    assert num_components == len((tmp_path / "run" / "components.csv").read_text().splitlines()) - 1
    assert num_components >= 1


def refused(capsys, tmp_path, *arguments: str) -> str:
    """The message of a refused command; nothing may have been left behind."""
    assert main([*GMCR_ARGUMENTS, "--out", str(tmp_path / "refused"), *arguments]) == 1
    assert not (tmp_path / "refused").exists()
    message = capsys.readouterr().err
    assert "error: " in message
    return message


def test_wrong_input_is_refused_before_anything_is_made(capsys, tmp_path, made):
    np.save(tmp_path / "t.npy", made.data)
    np.save(tmp_path / "derivative.npy", np.diff(made.data, axis=1))
    np.save(tmp_path / "short.npy", made.components[:, :-1])
    (tmp_path / "t.csv").write_text("1,2,3\n3,low,2\n1,1,2\n")
    data = ("--data", str(tmp_path / "t.npy"))
    short = str(tmp_path / "short.npy")
    for arguments, told in (
        (("--data", str(tmp_path / "nowhere.csv")), "nowhere.csv"),
        (("--data", str(tmp_path / "t.csv")), "row 2, column 2 holds 'low'"),
        (("--data", str(tmp_path / "derivative.npy")), "--solver.non_negative false"),
        ((*data, "--num_candidates", "40"), "give 39 at most"),
        ((*data, "--num_components", "40"), "cannot tell --num_components 40 components apart"),
        ((*data, "--library", short), "the data have 50 bands"),
        ((*data, "--truth", short), "the data have 50 bands"),
        (("--truth", short), "--truth was given without --data"),
        (("--num_candidates", "0"), "--num_candidates 0 is out of range"),
        (("--mixture.max_mixed", "99"), "max_mixed=99 is out of range; give 1 to 16"),
        ((*data, "--devices", "99"), "devices 99"),
    ):
        assert told in refused(capsys, tmp_path, *arguments)


def test_an_unknown_option_is_refused_with_a_proposal(capsys):
    with pytest.raises(SystemExit):
        main(["gmcr", "--num_candidate", "3"])
    assert "did you mean --num_candidates?" in capsys.readouterr().err


def test_help_speaks_of_every_fixed_option(capsys):
    with pytest.raises(SystemExit):
        main(["gmcr", "--help_all"])
    text = capsys.readouterr().out
    for name in (
        *("config", "data", "out", "seed", "num_candidates", "library", "truth", "devices"),
        *("resume", "overwrite", "spectra"),
    ):
        assert f"--{name}" in text


@pytest.mark.slow
def test_a_run_on_pairs_that_interact_says_so(tmp_path):
    """The right mixing is fitted, and what is left is noise; linear mixing is doubted."""
    folder, pairs = tmp_path / "run", ("--mixture.mixing", "bilinear", "--mixture.strength", "0.5")
    assert (
        main([*GMCR_ARGUMENTS, *BUILT_IN, *pairs, "--mixing", "bilinear", "--out", str(folder)])
        == 0
    )
    found = scores(folder)
    assert found["num_components"] == 3
    assert found["matched_cosine_min"] > 0.98
    assert found["goodness_of_fit"]["nonlinearity_score"] < NONLINEARITY_THRESHOLD
    assert 0.8 < found["goodness_of_fit"]["reduced_chi2"] < 1.3
    assert len(found["goodness_of_fit"]["spectrum_chi2"]) == 40
    assert found["r2_noise_free"] > 0.99


def test_an_offset_and_priors_go_together(tmp_path):
    """The offset is no component, and no part of what the fit has to explain."""
    folder, given = tmp_path / "run", ("--mixture.offset", "0.5", "--priors.smoothness", "0.1")
    assert main([*GMCR_ARGUMENTS, *BUILT_IN, *given, "--out", str(folder)]) == 0
    found = scores(folder)
    assert found["num_components"] == 3
    assert found["noise"]["offset"] > 0
    assert found["r2_noise_free"] > 0.98
    assert found["r2"] > 0.98


def test_upstreams_method_takes_no_mixing_and_no_priors(tmp_path, capsys):
    out = ("--method", "upstream", "--out", str(tmp_path / "run"))
    with pytest.raises(SystemExit) as ended:
        main(["gmcr", *out, "--priors.closure", "true"])
    assert ended.value.code == 2
    assert "--priors.closure belongs to --method gated" in capsys.readouterr().err
    assert main(["gmcr", *out, "--mixing", "bilinear"]) == 1
    assert "belong to --method gated" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_result_outlives_its_networks(made, tmp_path, monkeypatch, capsys):
    """Their training diverges: least squares take their place, and the user is told."""

    def diverge(*_, **__):
        raise FloatingPointError("the loss of the amortised networks is nan after 100 steps")

    monkeypatch.setattr("jaxhsi.workflows.network_training.train_amortised", diverge)
    np.save(tmp_path / "spectra.npy", made.data)
    folder = tmp_path / "run"
    assert (
        main([*GMCR_ARGUMENTS, "--data", str(tmp_path / "spectra.npy"), "--out", str(folder)]) == 0
    )
    assert "networks did not learn" in capsys.readouterr().out
    model = read_unmixing_model(folder / "solution.npz")
    assert not model.uses_networks
    rows = table(folder / "concentrations.csv")[1:]
    solved = np.array([row[1:] for row in rows], np.float32)
    by_least_squares = model.transform(made.data)
    assert (by_least_squares >= 0).all()
    np.testing.assert_allclose(by_least_squares, solved, atol=0.1 * solved.max())


def test_spikes_and_clipped_values_are_listed_and_no_component(made, tmp_path):
    spectra = np.array(made.data)
    top = np.sort(spectra.max(axis=1))[-3]
    spectra[[3, 9, 20], [5, 17, 30]] += 50 * spectra.max()
    np.save(tmp_path / "spectra.npy", spectra)
    folder = tmp_path / "run"
    assert (
        main([*GMCR_ARGUMENTS, "--data", str(tmp_path / "spectra.npy"), "--out", str(folder)]) == 0
    )
    header, *rows = table(folder / "left_out_values.csv")
    assert header == ["sample", "band", "measured", "expected", "kind"]
    places = [(row[0], row[1]) for row in rows if row[4] == "spike"]
    assert places == [("4", "6"), ("10", "18"), ("21", "31")]
    assert all(float(row[3]) < top for row in rows)
    found = scores(folder)
    assert found["num_components"] == 3
    assert found["r2"] > 0.99
    assert min(found["variance_share"]) > 0


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> Path:
    """Two runs of 20 samples of three overlapping peaks, with times of their own."""
    random, time = np.random.default_rng(0), np.arange(20.0)[:, None]
    places = ([5, 9, 13], [6, 9.5, 13])
    runs = [np.exp(-0.5 * ((time - place) / 2) ** 2) * random.uniform(1, 2, 3) for place in places]
    waves = np.arange(50)
    spectra = np.exp(-0.5 * ((waves - np.array([[12], [20], [30]])) / 8) ** 2)
    table = np.concatenate(runs) @ spectra + 0.005 * random.normal(size=(40, 50))
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    times = np.tile(0.5 * np.arange(20) + 0.5, 2)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Time (min)", *(210 + 2 * waves)])
        writer.writerows([t, *row] for t, row in zip(times.tolist(), table.tolist(), strict=True))
    np.savez(path.with_suffix(".npz"), components=spectra, concentrations=np.concatenate(runs))
    return path


@pytest.mark.slow
def test_runs_in_an_order_have_dense_concentrations(two_runs, tmp_path, capsys):
    out, truth = tmp_path / "run", two_runs.with_suffix(".npz")
    given = ("--data", str(two_runs), "--runs", "20,20", "--truth", str(truth))
    assert main([*GMCR_ARGUMENTS, *given, "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 runs of 20, 20 samples share their components" in said
    assert "samples are in the order of Time (min)" in said
    found = scores(out)
    assert found["num_components"] == 3
    assert found["matched_cosine_min"] > 0.999
    assert found["concentration_error"] < 0.05
    rows = table(out / "concentrations.csv")
    place = rows[0].index("run")
    assert [row[place] for row in rows[1:]] == ["1"] * 20 + ["2"] * 20


def test_runs_that_are_not_the_table_are_refused(two_runs, tmp_path, capsys):
    out = ("--out", str(tmp_path / "run"))
    assert main([*GMCR_ARGUMENTS, "--data", str(two_runs), "--runs", "20,21", *out]) == 1
    assert "--runs 20,21 are 41 samples together" in capsys.readouterr().err
    assert main([*GMCR_ARGUMENTS, "--data", str(two_runs), "--runs", "a", *out]) == 1
    assert "--runs a is no list of whole numbers" in capsys.readouterr().err


def test_known_spectra_absences_and_amounts_hold(two_runs, tmp_path, capsys):
    truth = np.load(two_runs.with_suffix(".npz"))
    times = [f"{0.5 * (i % 20) + 0.5:.10g}" for i in range(40)]
    np.savez(tmp_path / "known.npz", components=truth["components"][:1], names=["dye"])
    with (tmp_path / "absent.csv").open("w", newline="") as file:
        rows = [[int(i % 20 > 15), int(i % 20 < 2)] for i in range(40)]
        csv.writer(file).writerows([["dye", "acid"], *rows])
    amounts = 3 * truth["concentrations"][:, 2]
    with (tmp_path / "amounts.csv").open("w", newline="") as file:
        rows = [[amounts[i] if i in (12, 13) else ""] for i in range(40)]
        csv.writer(file).writerows(
            [["time", "acid"], *([t, *row] for t, row in zip(times, rows, strict=True))]
        )
    given = ["--data", str(two_runs), "--runs", "20,20", "--out", str(tmp_path / "run")]
    given += ["--known", str(tmp_path / "known.npz"), "--absent", str(tmp_path / "absent.csv")]
    amounts_file = ["--known_concentrations", str(tmp_path / "amounts.csv")]
    assert main([*GMCR_ARGUMENTS, *given, *amounts_file]) == 0, capsys.readouterr().err
    assert "known of components: dye, acid" in capsys.readouterr().out
    rows = table(tmp_path / "run" / "concentrations.csv")
    assert rows[0][1:3] == ["dye", "acid"]
    values = np.array([row[1:3] for row in rows[1:]], float)
    place = np.arange(40) % 20
    assert not values[place > 15, 0].any()
    assert not values[place < 2, 1].any()
    np.testing.assert_allclose(values[[12, 13], 1], amounts[[12, 13]], rtol=1e-4)
    rows = table(tmp_path / "run" / "components.csv")
    dye = np.array(rows[1][1:], float)
    true_dye = truth["components"][0]
    np.testing.assert_allclose(dye, true_dye / np.linalg.norm(true_dye), atol=1e-5)
    capsys.readouterr()
    (tmp_path / "short.csv").write_text("dye\n1\n0\n1\n")
    short = ["--absent", str(tmp_path / "short.csv"), "--out", str(tmp_path / "other")]
    assert main([*GMCR_ARGUMENTS, "--data", str(two_runs), *short]) == 1
    assert "short.csv has 3 rows" in capsys.readouterr().err


@pytest.mark.slow
def test_several_files_are_runs_on_their_common_axis(two_runs, tmp_path, capsys):
    header, *rows = two_runs.read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([header, *rows[:20]]))
    (tmp_path / "b.csv").write_text("\n".join([header, *rows[20:]]))
    files = ["--data", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert main([*GMCR_ARGUMENTS, *files, "--out", str(tmp_path / "run")]) == 0
    assert "2 runs of 20, 20 samples" in capsys.readouterr().out
    rows = table(tmp_path / "run" / "concentrations.csv")
    assert [row[rows[0].index("run")] for row in rows[1:]] == ["1"] * 20 + ["2"] * 20
    whole = ["--data", str(two_runs), "--runs", "20,20", "--out", str(tmp_path / "whole")]
    assert main([*GMCR_ARGUMENTS, *whole]) == 0
    names = ("components.csv", "concentrations.csv")
    assert all(
        (tmp_path / "run" / name).read_text() == (tmp_path / "whole" / name).read_text()
        for name in names
    )
    waves = [str(800 + 2 * i) for i in range(50)]
    (tmp_path / "far.csv").write_text("\n".join([",".join(["Time (min)", *waves]), *_lines(20)]))
    files = ["--data", str(tmp_path / "a.csv"), str(tmp_path / "far.csv")]
    capsys.readouterr()
    assert main([*GMCR_ARGUMENTS, *files, "--out", str(tmp_path / "other")]) == 1
    said = capsys.readouterr().err
    assert "axes that differ too much" in said
    assert "far.csv" in said


def _lines(count: int) -> list[str]:
    """Rows of a time and fifty values."""
    return [",".join(map(str, [i + 0.5, *([i + 1.0] * 50)])) for i in range(count)]
