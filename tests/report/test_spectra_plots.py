import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from jaxhsi.report import spectra_plots
from tests.helpers.pictures import colours, rgb

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 5, pytest.param(50, marks=pytest.mark.slow)])
def test_components_are_drawn_over_the_truth_where_it_is_known(tmp_path, count):
    rows = RNG.uniform(size=(count, 12))
    truth = rows + 1.0
    truth[-1] = np.nan
    titles = tuple(f"c{i}" for i in range(count))
    spectra_plots.plot_components(tmp_path / "c.png", rows, titles, axis=np.arange(12.0)[::-1])
    assert rgb(spectra_plots.ESTIMATE_COLOUR) in colours(tmp_path / "c.png")
    assert rgb(spectra_plots.TRUTH_COLOUR) not in colours(tmp_path / "c.png")
    spectra_plots.plot_components(tmp_path / "t.png", rows, titles, truth=truth)
    assert (tmp_path / "t.png").stat().st_size > 2000


@pytest.mark.parametrize("samples", [3, 1000])
def test_concentrations_with_and_without_truth(tmp_path, samples):
    amounts = RNG.uniform(size=(samples, 4))
    truth = amounts.copy()
    truth[:, 1] = np.nan
    spectra_plots.plot_concentrations(tmp_path / "a.png", amounts)
    spectra_plots.plot_concentrations(tmp_path / "new" / "b.png", amounts, truth)
    widths = [Image.open(tmp_path / name).width for name in ("a.png", "new/b.png")]
    assert widths[1] > 1.5 * widths[0]


def test_the_residual_is_drawn_beside_the_noise(tmp_path):
    residual = RNG.normal(size=(20, 30))
    spectra_plots.plot_residual(
        tmp_path / "r.png", residual, np.ones(20), np.linspace(900, 200, 30), "cm"
    )
    assert {rgb(spectra_plots.ESTIMATE_COLOUR), rgb(spectra_plots.TRUTH_COLOUR)} <= colours(
        tmp_path / "r.png"
    )


def test_training_is_read_from_its_lines(tmp_path):
    lines = [json.dumps({"step": i, "loss": 1 / (i + 1), "num_active": 9 - i}) for i in range(4)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    spectra_plots.plot_training(tmp_path / "t.png", tmp_path / "metrics.jsonl")
    assert rgb(spectra_plots.ESTIMATE_COLOUR) in colours(tmp_path / "t.png")


@pytest.mark.parametrize(
    ("values", "labels"), [((0.98, 1.55), {"1.2", "1.5"}), ((1.0, 40.0), {"1", "10"})]
)
def test_a_logarithmic_scale_has_plain_numbers(values, labels):
    panel = Figure().add_subplot()
    panel.plot([0, 1], values)
    spectra_plots.plain_log_scale(panel)
    low, high = panel.get_ylim()
    ticks = zip(panel.yaxis.get_majorticklocs(), panel.yaxis.get_majorticklabels(), strict=True)
    assert labels <= {text.get_text() for place, text in ticks if low <= place <= high}
