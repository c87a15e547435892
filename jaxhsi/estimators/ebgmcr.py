"""EB-gMCR as a scikit-learn transformer: spectra to concentrations of components."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxhsi.estimators.saved_folder import folder_bytes, integer_seed, result_from_bytes
from jaxhsi.gmcr.options import AmortisedOptions, SolverOptions
from jaxhsi.unmixing import unmix
from jaxhsi.unmixing_result import UnmixingResult


class EBgMCR(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Components of mixed spectra, their number included, and their concentrations.

    X = C S + offset + noise, with non-negative concentrations C and components S of unit length;
    see :func:`jaxhsi.unmix`. Computed in float32.

    Args:
        n_components: number of components; found from the data if None.
        mixing: "linear", or a name in `jaxhsi.gmcr.mixing.FORWARD_MODELS`.
        non_negative: components and concentrations have no negative values; data may have.
        restarts: fits of which one is selected by a vote; chosen by the size of the data if None.
        refine_steps: projected gradient steps after the networks in `transform`.
        solver_options: all other options of the solver.
        network_options: options of the networks that unmix new spectra.
        random_state: an integer for reproducible results.

    Attributes:
        components_: S, ``(n_components_, n_features_in_)``.
        n_components_: number of components.
        confidence_: how sure each component is, 0 to 1.
        concentrations_: C of the spectra of `fit` by the solver itself, ``(n, n_components_)``;
            `transform` estimates those of any spectra by the networks that it trained.
        offset_: constant spectrum in all spectra; not part of hyperspy's model of the data, whose
            mean is one number for each spectrum.
        result_: all else, see :class:`jaxhsi.UnmixingResult`.
        n_features_in_: number of bands.

    Examples:
        >>> from jaxhsi.estimators import EBgMCR
        >>> EBgMCR(n_components=4).fit_transform(spectra).shape  # doctest: +SKIP
        (120, 4)
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        mixing: str = "linear",
        non_negative: bool = True,
        restarts: int | None = None,
        refine_steps: int = 0,
        solver_options: SolverOptions | None = None,
        network_options: AmortisedOptions | None = None,
        random_state: Any = 0,
    ):
        self.n_components = n_components
        self.mixing = mixing
        self.non_negative = non_negative
        self.restarts = restarts
        self.refine_steps = refine_steps
        self.solver_options = solver_options
        self.network_options = network_options
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "EBgMCR":
        """Find the components of spectra.

        Args:
            X: spectra (n, c), one a row.
            y: not used.

        Raises:
            ValueError: spectra that cannot be unmixed, or none stands out of the noise.
        """
        X = validate_data(self, X, dtype=np.float32, ensure_min_samples=3, ensure_min_features=2)
        options = SolverOptions() if self.solver_options is None else self.solver_options
        networks = AmortisedOptions() if self.network_options is None else self.network_options
        if options.non_negative != self.non_negative:
            options = replace(options, non_negative=self.non_negative)
        self.result_ = unmix(
            X,
            num_components=self.n_components,
            mixing=self.mixing,
            restarts=self.restarts,
            options=options,
            network_options=networks,
            ranges=False,
            seed=integer_seed(self.random_state),
            devices=1,
        )
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Concentrations of spectra, ``(n, n_components_)``.

        Args:
            X: spectra (n, c) of the same bands, in the same units.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return np.asarray(self.result_.transform(X, self.refine_steps, devices=1))

    def inverse_transform(self, X: Any) -> NDArray[np.float32]:
        """Spectra of given concentrations, with the offset that all spectra have.

        Mixing models with parameters for each spectrum count as linear, as in `transform`.

        Args:
            X: concentrations, ``(n, n_components_)``.
        """
        check_is_fitted(self)
        model = self.result_.model
        concentrations = np.asarray(X, np.float32) * model.component_norms
        return np.asarray(model.mix(concentrations) + model.offset, np.float32)

    def score(self, X: Any, y: Any = None) -> float:
        """Share of the variance of spectra that their mixtures explain, R2 over all values.

        Args:
            X: spectra (n, c).
            y: not used.
        """
        reconstruction = self.inverse_transform(self.transform(X))
        return float(r2_score(np.asarray(X).ravel(), reconstruction.ravel()))

    @property
    def components_(self) -> NDArray[np.float32]:
        """Spectra of the components, ``(n_components_, c)``."""
        return self._fitted.components

    @property
    def n_components_(self) -> int:
        """Number of components."""
        return self._fitted.num_components

    @property
    def confidence_(self) -> NDArray[np.float32]:
        """How sure each component is, 0 to 1."""
        return self._fitted.confidence

    @property
    def concentrations_(self) -> NDArray[np.float32]:
        """Concentrations of the spectra of `fit` by the solver."""
        return self._fitted.concentrations

    @property
    def offset_(self) -> NDArray[np.float32]:
        """Constant spectrum in all spectra, zeros if there is none."""
        return self._fitted.offset

    @property
    def _fitted(self) -> UnmixingResult:
        if "result_" not in vars(self):
            raise AttributeError("the estimator is not fitted")  # so that hasattr() says no
        return self.result_

    @property
    def _n_features_out(self) -> int:
        """Number of columns of `transform`, for `get_feature_names_out`."""
        return self._fitted.num_components

    def __sklearn_tags__(self) -> Any:
        """Tags: float32 out; spectra are positive but for their noise."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.positive_only = self.non_negative
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Numbers and text alone: no compiled function and no array of a device."""
        state = dict(super().__getstate__())
        if "result_" in state:
            state["result_"] = folder_bytes(self.result_.save)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read what `__getstate__` wrote."""
        state = dict(state)
        if "result_" in state:
            state["result_"] = result_from_bytes(UnmixingResult.load, state["result_"])
        super().__setstate__(state)
