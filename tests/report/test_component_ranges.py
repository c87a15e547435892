"""Components that the data do not fix: scores."""

import json

import numpy as np

from jaxhsi.gmcr.rotational_ambiguity import BandBoundaries
from jaxhsi.report.component_ranges import range_scores

RANGES = BandBoundaries(
    np.array([[0.2, 0.4], [0.5, 0.5]]),
    np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [0.6, 0.8]]]),
    np.zeros((2, 2)),
    np.zeros((2, 2, 2)),
    np.zeros((2, 5, 2)),
)


def test_shares_and_angles():
    scores = json.loads(json.dumps(range_scores(RANGES)))
    assert scores["signal_share"] == [[0.2, 0.4], [0.5, 0.5]]
    np.testing.assert_allclose(scores["angle_degrees"], [90, 0], atol=1e-4)
