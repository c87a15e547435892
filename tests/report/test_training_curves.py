import json

import pytest
from PIL import Image

from jaxhsi.report import training_curves
from jaxhsi.report.spectra_plots import ESTIMATE_COLOUR, TRUTH_COLOUR
from tests.helpers.pictures import colours, rgb


def lines(path, *figures: str):
    rows = [{"step": step, "loss": 1 / (step + 1)} for step in range(10, 60, 10)]
    for step in (0, 25, 50):
        looked = {f"monitor/{name}": 0.1 * step + i for i, name in enumerate(figures)}
        rows.append({"step": step, **looked})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ALWAYS = ("mutual_information", "effective_clusters", "agreement")
EMBEDDED = ("nearest_centre", "mean_nearest_centre", "variance")


@pytest.mark.parametrize(("figures", "rows"), [(ALWAYS, 1), (ALWAYS + EMBEDDED, 2)])
def test_panels_are_those_that_have_figures(tmp_path, figures, rows):
    picture = tmp_path / "pictures" / "training.png"
    training_curves.plot_training_curves(picture, lines(tmp_path / "metrics.jsonl", *figures), 25)
    assert {rgb(ESTIMATE_COLOUR), rgb(TRUTH_COLOUR)} <= colours(picture)
    assert Image.open(picture).height == rows * 286


def test_a_run_without_steps_has_a_picture(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 0, "monitor/mutual_information": 1.0}\n')
    training_curves.plot_training_curves(tmp_path / "t.png", metrics, 0)
    assert rgb(TRUTH_COLOUR) in colours(tmp_path / "t.png")


def test_a_curve_that_hardly_changes_looks_even(tmp_path, monkeypatch):
    """The axis has a fifth of the largest value at least; a curve that moves more fills it."""
    drawn = []
    monkeypatch.setattr(training_curves, "save_figure", lambda figure, _: drawn.append(figure))
    rows = [
        {"step": step, "loss": 5.0 - step / 25, "monitor/mutual_information": 1.3 + step / 10_000}
        for step in (0, 25, 50)
    ]
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    training_curves.plot_training_curves(tmp_path / "t.png", metrics, 25)
    information, loss = (panel.get_ylim() for panel in drawn[0].axes)
    assert information[1] - information[0] == pytest.approx(0.2 * 1.3, rel=0.02)
    assert sum(information) / 2 == pytest.approx(1.3025, abs=1e-4)
    assert loss == pytest.approx((2.76, 5.24))
