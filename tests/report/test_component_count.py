"""The number of components: scores, sentence and picture."""

import json

import numpy as np

from jaxhsi.gmcr.diagnostics import CountCurve, CountInterval, ModelConfidence
from jaxhsi.gmcr.solution import RestartVote
from jaxhsi.report.component_count import diagnostic_scores, plot_component_count
from jaxhsi.report.spectra_plots import TRUTH_COLOUR
from tests.helpers.pictures import colours, rgb

CURVE = CountCurve(
    np.array([2, 3, 4]),
    np.array([3.0, 0.9, 0.8]),
    np.array([4.0, 1.2, 1.3]),
    np.array([0.3, 0.0, 0.1]),
    np.array([900.0, 0.0, 100.0]),
)
DIAGNOSTICS = ModelConfidence(
    CountInterval(3, 4), np.array([0.99, 0.98, 0.4]), np.array([9.0, 8.0, 2.0]), CURVE
)
RESTARTS = RestartVote(np.array([3, 4]), np.zeros(2), np.ones(3))


def test_scores_are_json_and_hold_all():
    scores = json.loads(json.dumps(diagnostic_scores(DIAGNOSTICS, RESTARTS)))
    assert scores["plausible_counts"] == [3, 4]
    assert scores["restarts"] == [3, 4]
    assert scores["confidence"] == [0.99, 0.98, 0.4]
    assert scores["curve"]["component_counts"] == [2, 3, 4]
    assert "restarts" not in diagnostic_scores(DIAGNOSTICS, None)


def test_the_picture_shows_the_truth_where_it_is_known(tmp_path):
    plot_component_count(tmp_path / "plain.png", DIAGNOSTICS, 3)
    plot_component_count(tmp_path / "truth.png", DIAGNOSTICS, 3, true_count=4)
    assert rgb(TRUTH_COLOUR) not in colours(tmp_path / "plain.png")
    assert rgb(TRUTH_COLOUR) in colours(tmp_path / "truth.png")
