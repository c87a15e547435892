"""EBgMCR keeps the contract of scikit-learn, and gives the numbers of `jaxhsi.unmix`."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from jaxhsi.estimators import EBgMCR
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.unmixing import unmix
from tests.helpers.mixtures import OPTIONS, best_cosines, make_mixture

NETWORKS = AmortisedOptions(training_steps=100, batch_size=32, steps_per_call=100, hidden_width=8)
MIXTURE = make_mixture()
X = np.asarray(MIXTURE.x)


def small(**options) -> EBgMCR:
    return EBgMCR(restarts=1, solver_options=OPTIONS, network_options=NETWORKS, **options)


@pytest.fixture(scope="module")
def fitted() -> EBgMCR:
    return small().fit(X)


def test_components_are_those_of_the_function(fitted):
    result = unmix(
        X, restarts=1, options=OPTIONS, network_options=NETWORKS, ranges=False, devices=1
    )
    np.testing.assert_array_equal(fitted.components_, result.components)
    np.testing.assert_array_equal(fitted.concentrations_, result.concentrations)
    assert (fitted.n_components_, fitted.n_features_in_) == (3, 50)
    assert best_cosines(fitted.components_, MIXTURE.components).min() > 0.99
    assert fitted.confidence_.shape == (3,)


def test_transform_inverse_and_score(fitted):
    concentrations = fitted.transform(X)
    assert (concentrations.shape, concentrations.dtype) == ((40, 3), np.float32)
    np.testing.assert_array_equal(small().fit_transform(X), concentrations)
    assert fitted.score(X) > 0.95
    residual = X - fitted.inverse_transform(fitted.concentrations_)
    assert 0.8 < residual.std() < 1.2  # the noise has deviation 1
    np.testing.assert_allclose(
        fitted.transform(X[:5]), concentrations[:5], rtol=1e-3, atol=1e-3 * concentrations.max()
    )


def test_names_and_containers_of_the_output(fitted):
    pandas = pytest.importorskip("pandas")
    assert fitted.get_feature_names_out().tolist() == ["ebgmcr0", "ebgmcr1", "ebgmcr2"]
    framed = pickle.loads(pickle.dumps(fitted)).set_output(transform="pandas")
    frame = framed.transform(X)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["ebgmcr0", "ebgmcr1", "ebgmcr2"]


def test_pickles_hold_numbers_and_text(fitted):
    assert all(isinstance(part, bytes) for part in fitted.__getstate__()["result_"].values())
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(copy.components_, fitted.components_)
    assert clone(fitted).get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        clone(fitted).transform(X)


@pytest.mark.slow
def test_pipelines_and_searches():
    search = GridSearchCV(
        make_pipeline(MaxAbsScaler().set_output(transform="default"), small()),
        {"ebgmcr__refine_steps": [0, 20]},
        cv=[(np.arange(40), np.arange(40))],
    )
    search.fit(X)
    assert search.best_estimator_[-1].n_components_ == 3
    assert min(search.cv_results_["mean_test_score"]) > 0.95


def test_data_that_cannot_be_unmixed_are_refused():
    with pytest.raises(ValueError, match=r"minimum of 3 is required"):
        small().fit(X[:2])
    with pytest.raises(ValueError, match="1 feature"):
        small().fit(X[:, :1])


@pytest.mark.parametrize("constant", [0.0, 40.0])
def test_hyperspy_decomposes_by_it(constant):
    hyperspy = pytest.importorskip("hyperspy.api", reason="hyperspy (GPL) is not installed")
    signal = hyperspy.signals.Signal1D((X + constant).reshape(8, 5, 50))
    estimator = small()
    signal.decomposition(algorithm=estimator, print_info=False)
    factors = signal.get_decomposition_factors().data
    assert signal.get_decomposition_loadings().data.shape == (3, 8, 5)
    assert best_cosines(factors, MIXTURE.components).min() > 0.99
    # The offset is no part of hyperspy's model, whose mean is one number for each spectrum.
    residual = signal.get_decomposition_model().data + estimator.offset_ - signal.data
    assert abs(residual.mean()) < 0.5
    assert 0.8 < residual.std() < 1.2
