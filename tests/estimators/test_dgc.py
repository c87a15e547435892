"""DGC keeps the contract of scikit-learn, on tables of spectra and on cubes."""

import pickle

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxhsi.config.dgc import StreamOptions
from jaxhsi.dgc.views import ViewOptions
from jaxhsi.estimators import DGC
from jaxhsi.segmentation import segment

SPECTRA = np.repeat([[0.0, 1, 2, 3], [3, 2, 1, 0], [9, 9, 9, 9]], 10, axis=0)
SPECTRA = SPECTRA + 0.1 * np.random.default_rng(0).normal(size=SPECTRA.shape)
CUBE = np.repeat(np.repeat([[0.0, 5], [9, 2]], 24, 0), 24, 1)[..., None] * np.ones(4)
CUBE = (CUBE + 0.1 * np.random.default_rng(1).normal(size=CUBE.shape)).astype(np.float32)
OPTIONS = {"devices": 1, "views": ViewOptions(crop=12), "stream": StreamOptions(batch_size=2)}
TINY = {"normalisations": ("band",), "mixture_starts": 2}


EXPECTED_FAILURES = {
    "check_do_not_raise_errors_in_init_or_set_params": "the tests check annotations when called"
}


@parametrize_with_checks(
    [DGC(n_clusters=3, **TINY)], expected_failed_checks=lambda _: EXPECTED_FAILURES
)
def test_the_contract_of_estimators(estimator, check):
    check(estimator)


def test_spectra_without_space():
    model = DGC(n_clusters=3, normalisations=("none",), mixture_starts=8).fit(SPECTRA)
    assert [len(set(model.labels_[i : i + 10])) for i in (0, 10, 20)] == [1, 1, 1]
    assert len(set(model.labels_)) == 3
    np.testing.assert_array_equal(model.predict(SPECTRA), model.labels_)
    assert (model.tree_.num_clusters, model.confidence_.min() > 0.9) == (3, True)


def test_cubes_are_segmented_as_by_the_function():
    model = DGC(n_clusters=4, steps=0, mixture_starts=8, normalisations=("none",), options=OPTIONS)
    labels = model.fit_predict(CUBE)
    assert labels.shape == CUBE.shape[:2]
    assert [len(np.unique(labels[y, x])) for y in HALVES for x in HALVES] == [1] * 4
    expected = segment(CUBE, 4, steps=0, **OPTIONS, teacher_student=model_options())
    np.testing.assert_array_equal(labels, expected.labels)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(CUBE), labels)
    with pytest.raises(ValueError, match=r"fitted to cubes .* predict spectra"):
        model.predict(SPECTRA)


HALVES = (slice(2, 22), slice(26, 46))


def model_options():
    from jaxhsi.dgc.options import DGCOptions

    return DGCOptions(normalisations=("none",), mixture_starts=8)


def test_pipelines_clones_and_pickles_are_numbers():
    pipeline = make_pipeline(StandardScaler(), DGC(n_clusters=3, **TINY))
    labels = pipeline.fit_predict(SPECTRA)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pipeline)).predict(SPECTRA), labels)
    assert clone(pipeline[-1]).get_params() == pipeline[-1].get_params()
    leaves = jax.tree.leaves(pipeline[-1].closed_form_)
    assert all(isinstance(leaf, np.ndarray) for leaf in leaves)
