"""Noise in words and scores."""

import numpy as np

from jaxhsi.gmcr.noise_covariance import white_noise
from jaxhsi.report.gmcr_sentences import noise_sentences
from jaxhsi.report.noise import noise_scores


def test_white_noise_is_one_sentence():
    scores = noise_scores(white_noise(20), 0.012, 2.0)
    assert scores["offset"] == scores["spikes"] == scores["baseline"] == 0
    assert noise_sentences(scores) == ["noise: 1.2 % of the signal, white"]


def test_every_kind_is_named():
    """0.75^4 = 0.32 < 1/e < 0.75^3; a drift of 2 sqrt(c) is twice the noise; units come back."""
    noise = white_noise(20)._replace(
        band_deviations=np.r_[np.full(10, 0.5), np.full(10, 1.5)],
        ar_coefficients=np.r_[0.75, np.zeros(4)],
        drift_deviations=np.array([2 * 20**0.5, 0, 0, 0]),
        offset=np.full(20, 0.4),
        spike_mask=np.eye(20, dtype=bool),
    )
    scores = noise_scores(noise, 0.1, 2.0)
    assert scores["correlated_bands"] == 4
    assert scores["correlation"] == [0.75]
    np.testing.assert_allclose(
        [scores["band_ratio"], scores["baseline"], scores["offset"]], [3, 2, 0.8]
    )
    sentences = noise_sentences(scores)
    assert sentences[0] == "noise: 10 % of the signal"
    assert sentences[1] == "noise is correlated over 4 bands"
    assert "factor of 3" in sentences[2]
    assert "2 times the noise" in sentences[3]
    assert sentences[4] == "all spectra have an offset of 0.8; it was subtracted"


def test_an_offset_that_is_not_flat_says_from_where_to_where():
    scores = noise_scores(white_noise(3)._replace(offset=np.array([1.0, 2, 3])), 0.1, 1.0)
    assert "an offset of 2, from 1 to 3" in noise_sentences(scores)[1]
