"""DGC as a scikit-learn clusterer: cubes, or spectra without space, to clusters."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxhsi.dgc.closed_form import (
    ClosedFormModel,
    closed_form_tree,
    fit_closed_form,
    label_spectra,
)
from jaxhsi.dgc.merge_tree import MergeTree
from jaxhsi.estimators.saved_folder import folder_bytes, integer_seed, result_from_bytes
from jaxhsi.normalisation_names import Normalisation
from jaxhsi.segmentation import Segmentation, segment


class DGC(ClusterMixin, BaseEstimator):
    """Label-free segmentation by Deep Global Clustering.

    On cubes it is :func:`jaxhsi.segment`. A table of spectra (n, c) has no neighbours to learn
    from:
    its clusters are those of the closed-form start, a Gaussian mixture in a PCA embedding.

    Args:
        n_clusters: number of clusters.
        steps: training steps on cubes; 0 leaves the closed-form start.
        normalisations: of the spectra; "band" alone suits features that are no spectra.
        mixture_starts: K-means++ starts of the mixture, of which the likeliest is kept.
        options: other options of :func:`jaxhsi.segment` for cubes, as a dictionary.
        random_state: an integer for reproducible results.

    Attributes:
        labels_: cluster of each spectrum (n,), or of each pixel (H, W), -1 where not valid; a list
            for several cubes.
        tree_: merges of the clusters, see :class:`jaxhsi.dgc.merge_tree.MergeTree`.
        confidence_: probability of each label, as `labels_`.
        segmentation_: of cubes, see :class:`jaxhsi.Segmentation`.
        n_features_in_: number of bands.

    Examples:
        >>> from jaxhsi.estimators import DGC
        >>> DGC(n_clusters=8).fit_predict(cube).shape  # doctest: +SKIP
        (256, 256)
    """

    def __init__(
        self,
        n_clusters: int = 16,
        *,
        steps: int = 300,
        normalisations: tuple[Normalisation, ...] = ("snv", "band"),
        mixture_starts: int = 64,
        options: dict[str, Any] | None = None,
        random_state: Any = 0,
    ):
        self.n_clusters = n_clusters
        self.steps = steps
        self.normalisations = normalisations
        self.mixture_starts = mixture_starts
        self.options = options
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "DGC":
        """Find clusters and label what they were found in.

        Args:
            X: spectra (n, c); or a cube (H, W, c), a path or URL of one, or a list of cubes.
            y: not used.

        Raises:
            ValueError: data that cannot be segmented.
        """
        vars(self).pop("segmentation_", None)
        vars(self).pop("closed_form_", None)
        if not _is_cubes(X):
            return self._fit_spectra(X)
        from jaxhsi.dgc.options import DGCOptions

        options = dict(self.options or {})
        options["teacher_student"] = replace(
            options.get("teacher_student", DGCOptions()),
            normalisations=tuple(self.normalisations),
            mixture_starts=self.mixture_starts,
        )
        seed = integer_seed(self.random_state)
        result = segment(X, self.n_clusters, steps=self.steps, seed=seed, **options)
        self.segmentation_ = result
        self.labels_, self.confidence_, self.tree_ = result.labels, result.confidence, result.tree
        self.n_features_in_ = result.model.num_bands
        return self

    def predict(self, X: Any) -> Any:
        """Label other data of the same bands.

        Args:
            X: as for `fit`: spectra if it was fitted to spectra, cubes if to cubes.

        Returns:
            Labels in the form of `labels_`.

        Raises:
            ValueError: cubes for an estimator of spectra, or the reverse.
        """
        check_is_fitted(self)
        if _is_cubes(X) != ("segmentation_" in vars(self)):
            kinds = ("spectra (n, c)", "cubes (H, W, c)")
            raise ValueError(
                f"the estimator was fitted to {kinds['segmentation_' in vars(self)]}, and is to "
                f"predict {kinds[_is_cubes(X)]}; give data of the kind that it was fitted to"
            )
        if _is_cubes(X):
            return self.segmentation_.predict(X)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return self._label(X)[0]

    def _fit_spectra(self, X: Any) -> "DGC":
        X = jnp.asarray(validate_data(self, X, dtype=np.float32, ensure_min_samples=2))
        key = jax.random.key(integer_seed(self.random_state))
        normalisations = tuple(self.normalisations)
        model = fit_closed_form(
            key, X, self.n_clusters, normalisations, mixture_starts=self.mixture_starts
        )
        self.tree_: MergeTree = closed_form_tree(model, X, normalisations)
        self.closed_form_: ClosedFormModel = jax.tree.map(np.asarray, model)
        self.labels_, self.confidence_ = self._label(X)
        return self

    def _label(self, X: Any) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        labels, confidence = label_spectra(self.closed_form_, X, tuple(self.normalisations))
        return np.asarray(labels, np.int64), np.asarray(confidence)

    def __getstate__(self) -> dict[str, Any]:
        """Numbers and text alone: no compiled function and no array of a device."""
        state = dict(super().__getstate__())
        if "segmentation_" in state:
            state["segmentation_"] = folder_bytes(self.segmentation_.save)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read what `__getstate__` wrote."""
        state = dict(state)
        if "segmentation_" in state:
            state["segmentation_"] = result_from_bytes(Segmentation.load, state["segmentation_"])
        super().__setstate__(state)


def _is_cubes(X: Any) -> bool:
    """Whether something is a cube or several, and not a table of spectra."""
    if hasattr(X, "ndim"):
        return X.ndim == 3
    if isinstance(X, list | tuple):
        return any(not np.isscalar(each) and _is_cube_or_name(each) for each in X)
    return _is_cube_or_name(X)


def _is_cube_or_name(X: Any) -> bool:
    from pathlib import Path

    from jaxhsi.data.cube import Cube

    return isinstance(X, str | Path | Cube) or getattr(X, "ndim", 0) == 3
