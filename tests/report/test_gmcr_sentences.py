"""Sentences about unmixing results."""

import numpy as np
import pytest

from jaxhsi.gmcr.noise_covariance import white_noise
from jaxhsi.report.gmcr_sentences import (
    component_count_sentence,
    mixing_sentence,
    noise_sentences,
    poor_fit_sentences,
    range_sentences,
)
from jaxhsi.report.noise import noise_scores


@pytest.mark.parametrize(
    ("plausible", "restarts", "sentence"),
    [
        ([3, 3], [3], "3 components; no other number is plausible"),
        ([3, 4], [3], "3 components; 3 to 4 are plausible"),
        ([3, 4], [3, 4], "3 components; 3 to 4 are plausible; restarts found 3, 4"),
    ],
)
def test_the_number_of_components(plausible, restarts, sentence):
    scores = {"plausible_counts": plausible, "restarts": restarts}
    assert component_count_sentence(scores, 3) == sentence


def test_a_requested_number_is_named_beside_what_restarts_found():
    scores = {"plausible_counts": [3, 4], "restarts": [3]}
    sentence = component_count_sentence(scores, 4, requested=True)
    assert sentence == "4 components, as asked for; 3 to 4 are plausible; restarts found 3"


def test_a_sentence_for_the_component_that_is_not_fixed():
    scores = {"signal_share": [[0.2, 0.4], [0.5, 0.5]], "angle_degrees": [90.0, 0.0]}
    sentence, remedy = range_sentences(scores, ["a", "b"])
    assert sentence.startswith("a is not fixed by the data: 20.0% to 40.0% of the signal")
    assert "90 degrees" in sentence
    assert "--known" in remedy
    assert range_sentences({**scores, "angle_degrees": [1.0, 0.0]}, ["a", "b"]) == []


def test_white_noise_is_one_sentence():
    scores = noise_scores(white_noise(20), 0.012, 2.0)
    assert noise_sentences(scores) == ["noise: 1.2 % of the signal, white"]


def test_an_offset_that_is_not_flat_is_given_as_a_range():
    noise_model = white_noise(3)._replace(offset=np.array([1.0, 2, 3]))
    sentence = noise_sentences(noise_scores(noise_model, 0.1, 1.0))[1]
    assert "an offset of 2, from 1 to 3" in sentence


def test_a_mixing_model_that_does_not_explain_the_data_is_named():
    assert mixing_sentence(1.0, 1.0, "linear") is None
    assert "do not trust it" in mixing_sentence(3.0, 1.0, "linear")
    assert "try another --mixing" in mixing_sentence(1.0, 20.0, "linear")


@pytest.mark.parametrize(
    ("pretreatment", "cause"),
    [
        (None, None),
        ("cut 500 1700, snv, savgol 11 2", None),
        ("cut 500 1700, baseline arpls 1e5", "the pre-treatment: baseline arpls 1e5 is no linear"),
        ("despike, baseline", "the pre-treatment: despike, baseline are no linear steps"),
    ],
)
def test_a_pretreatment_that_bends_mixtures_is_named_as_a_likely_cause(pretreatment, cause):
    sentence = mixing_sentence(1.0, 20.0, "linear", pretreatment)
    assert ("likely cause" in sentence) == (cause is not None)
    assert cause is None or cause in sentence


def test_data_with_poorly_explained_spectra_are_named():
    scores = {"a": {"poorly_explained": 0.001}, "b": {"poorly_explained": 0.5}}
    [sentence] = poor_fit_sentences(scores, refine_steps=0)
    assert sentence.startswith("b: 50.0% of the spectra hold more than the components and noise")
    assert "--refine_steps 10 may help" in sentence
    assert "train on data that hold them" in poor_fit_sentences(scores, refine_steps=5)[0]
