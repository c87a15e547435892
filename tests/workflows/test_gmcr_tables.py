"""A chemist's table through both commands: references, truth in other units, pre-treatment."""

import csv
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import Mixtures, mixtures
from jaxhsi.train import main as train
from jaxhsi.unmix import main as unmix
from tests.helpers.commands import GMCR_ARGUMENTS

WAVES = np.linspace(400.0, 790.0, 40)
STEPS = "cut 400 745, savgol 3 1"


@pytest.fixture(scope="module")
def made() -> Mixtures:
    options = MixtureOptions(num_components=3, bands=40, max_mixed=2, snr_db=40.0)
    return jax.device_get(mixtures(jax.random.key(0), 32, options))


def write_table(path: Path, spectra: np.ndarray) -> Path:
    """Spectra in columns with decimal commas below a preamble, and a row of references."""
    lines = ["Instrument;QEPro", "", "Wellenlänge (nm);" + ";".join(f"s{i}" for i in range(32))]
    lines.append("Brix;" + ";".join(f"{9 + i / 4:g}".replace(".", ",") for i in range(32)))
    for wave, band in zip(WAVES, spectra.T, strict=True):
        lines.append(";".join(f"{v:.7g}".replace(".", ",") for v in (wave, *band)))
    path.write_bytes("\r\n".join(lines).encode("latin-1"))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, made) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tables")
    data = write_table(folder / "t.csv", made.data)
    np.savez(
        folder / "truth.npz",
        mine=100 * made.components[:, ::-1],
        wavelength=WAVES[::-1],
        concentrations=7 * made.concentrations[:, [2, 0, 1]],
    )
    out = folder / "run"
    truth = ("--truth", str(folder / "truth.npz"), "--truth_key", "mine")
    steps = ("--pretreatment", STEPS, "--fractions", "true", "--ranges", "false")
    assert train([*GMCR_ARGUMENTS, "--data", str(data), *truth, *steps, "--out", str(out)]) == 0
    return out, data


def rows(path: Path) -> list[list[str]]:
    with path.open() as file:
        return list(csv.reader(file))


def test_references_stand_behind_concentrations_and_fractions(run):
    out, _ = run
    table = rows(out / "concentrations.csv")
    assert table[0] == ["sample", "component 1", "component 2", "component 3", "Brix"]
    assert [row[0] for row in table[1:]] == [f"s{i}" for i in range(32)]
    assert [float(row[-1]) for row in table[1:]] == [9 + i / 4 for i in range(32)]
    concentrations = np.array([row[1:4] for row in table[1:]], float)
    fractions = np.array([row[1:4] for row in rows(out / "fractions.csv")[1:]], float)
    np.testing.assert_allclose(fractions.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        fractions, concentrations / concentrations.sum(1, keepdims=True), rtol=1e-5
    )


def test_a_truth_in_other_units_order_and_direction_is_matched(run):
    scores = json.loads((run[0] / "scores.json").read_text())
    assert scores["matched_cosine_min"] > 0.99
    assert scores["r2_noise_free"] > 0.99
    assert scores["r2_of_truth"] > 0.99
    assert scores["concentration_error"] < 0.1


def test_new_spectra_go_through_the_same_steps(run, tmp_path, capsys):
    out, data = run
    assert unmix([str(out), str(data), "--out", str(tmp_path / "same"), "--fractions", "true"]) == 0
    printed = capsys.readouterr().out
    assert "pre-treatment 1: cut 400 745, 35 of 40 bands are left" in printed
    assert "WARNING" not in printed
    assert (tmp_path / "same" / "fractions.csv").is_file()
    old, new = (rows(folder / "concentrations.csv") for folder in (out, tmp_path / "same"))
    assert new[0] == old[0]
    old_values, new_values = (np.array([r[1:4] for r in table[1:]], float) for table in (old, new))
    assert np.linalg.norm(new_values - old_values) < 0.2 * np.linalg.norm(old_values)


def test_spectra_in_other_units_are_warned_of(run, made, tmp_path, capsys):
    percent = write_table(tmp_path / "percent.csv", 100 * made.data)
    assert unmix([str(run[0]), str(percent), "--out", str(tmp_path / "out")]) == 0
    assert "if they are in other units the concentrations mean nothing" in capsys.readouterr().err
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert len(scores["warnings"]) == 1
    assert "times as large as those of the run" in scores["warnings"][0]


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("--pretreatment", "smooth"), "steps are cut, resample"),
        (("--references", "pH"), "--references names 'pH', which is no column"),
        (("--separator", "dots"), "--separator dots is unknown; give one character"),
        (("--truth_key", "S"), "--truth_key was given without --truth"),
    ],
)
def test_options_that_do_not_fit_are_refused(run, tmp_path, capsys, arguments, remedy):
    out = tmp_path / "refused"
    assert train(["gmcr", "--data", str(run[1]), *arguments, "--out", str(out)]) == 1
    assert remedy in capsys.readouterr().err
    assert not out.exists()
