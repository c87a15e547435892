"""What an unmixing run found, scored and drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int

from jaxhsi.data.tables.table import Table
from jaxhsi.data.tables.truth import Truth
from jaxhsi.gmcr.metrics import fit_sums, matched_cosines, nmse, r2, variance_share
from jaxhsi.report import spectra_plots


class Findings(NamedTuple):
    """The answer for the spectra of a table, in the units of its file.

    Attributes:
        components: unit rows, unless a prior fixes their size.
        concentrations: of each component in each spectrum.
        noise: deviation that the noise law gives each spectrum.
        names: of the components.
        mix: spectra of given concentrations where mixing is not linear.
        offset: that all spectra have beside the mixture.
    """

    components: Float32[np.ndarray, "k c"]
    concentrations: Float32[np.ndarray, "n k"]
    noise: Float32[np.ndarray, " n"]
    names: tuple[str, ...]
    mix: Callable[[Float32[np.ndarray, "n k"]], Float32[np.ndarray, "n c"]] | None = None
    offset: Float32[np.ndarray, " c"] | None = None

    def without_offset(self, spectra: Float32[np.ndarray, "n c"]) -> Float32[np.ndarray, "n c"]:
        """What mixtures have to explain of the spectra."""
        return spectra if self.offset is None else spectra - self.offset

    def reconstruct(self, concentrations: Float32[np.ndarray, "n k"]) -> Float32[np.ndarray, "n c"]:
        """Spectra of these concentrations, without offset."""
        if self.mix is None:
            return concentrations @ self.components
        return self.mix(concentrations)


class Match(NamedTuple):
    """True component of each found one, -1 where there is none, and their cosine (else NaN)."""

    index: Int[np.ndarray, " k"]
    cosine: Float[np.ndarray, " k"]


def match(components: Float32[np.ndarray, "k c"], truth: Truth | None) -> Match | None:
    """Pair found and true components so that the sum of cosines is largest."""
    if truth is None:
        return None
    cosines, found, true = matched_cosines(components, truth.components)
    paired = Match(np.full(len(components), -1), np.full(len(components), np.nan))
    paired.index[found], paired.cosine[found] = true, cosines
    return paired


# Scores -------------------------------------------------------------------------------------------


def fit_scores(
    spectra: Float[np.ndarray, "n c"], reconstruction: Float[np.ndarray, "n c"], truth: Truth | None
) -> dict[str, float]:
    """Normalised MSE and R2 of a reconstruction; also against noise-free data where known."""
    sums = fit_sums(jnp.asarray(spectra), jnp.asarray(reconstruction))
    scores = {"r2": float(r2(sums)), "nmse": float(nmse(sums))}
    clean = noise_free(truth)
    if clean is not None:
        scores["r2_noise_free"] = _r2(clean, reconstruction)
    return scores


def _r2(x: Float[np.ndarray, "n c"], reconstruction: Float[np.ndarray, "n c"]) -> float:
    return float(r2(fit_sums(jnp.asarray(x), jnp.asarray(reconstruction))))


def noise_free(truth: Truth | None) -> Float[np.ndarray, "n c"] | None:
    """Noise-free data as given, or as the linear mixture of what is given, or None."""
    if truth is None:
        return None
    if truth.clean is None and truth.concentrations is not None:
        return truth.concentrations @ truth.components
    return truth.clean


def score(table: Table, found: Findings, truth: Truth | None) -> dict[str, Any]:
    """What ``scores.json`` holds of an answer."""
    spectra = found.without_offset(table.spectra)
    reconstruction = found.reconstruct(found.concentrations)
    share = variance_share(spectra, found.concentrations, found.components)
    scores = {
        "num_components": len(found.components),
        **fit_scores(spectra, reconstruction, truth),
        "variance_share": np.asarray(share).tolist(),
    }
    paired = match(found.components, truth)
    if truth is None or paired is None:
        return scores
    known = paired.cosine[paired.index >= 0]
    scores |= {
        "true_components": len(truth.components),
        "matched_cosine_mean": float(known.mean()),
        "matched_cosine_min": float(known.min()),
        "matched": paired.index.tolist(),
    }
    clean = noise_free(truth)
    if clean is not None:  # a fit above this has fitted noise
        scores["r2_of_truth"] = _r2(spectra, clean)
    return scores


# Pictures -----------------------------------------------------------------------------------------


def draw(
    folder: Path,
    table: Table,
    found: Findings,
    truth: Truth | None,
    ranges: Float[np.ndarray, "k e c"] | None = None,
) -> None:
    """Pictures of components with their ranges, concentrations, residual and training."""
    paired = match(found.components, truth)
    pictures = folder / "pictures"
    names, matched, amounts = found.names, None, None
    if truth is not None and paired is not None:
        names = tuple(f"{name}: {_title(i, truth, paired)}" for i, name in enumerate(names))
        matched = _of_matches(truth.components.T, paired).T
        if truth.concentrations is not None:
            sizes = np.linalg.norm(truth.components, axis=1)  # found components are unit rows
            amounts = _of_matches(truth.concentrations * sizes, paired)
    spectra_plots.plot_components(
        pictures / "components.png",
        found.components,
        names,
        truth=matched,
        ranges=ranges,
        axis=table.axis,
        axis_name=table.axis_name,
    )
    spectra_plots.plot_concentrations(
        pictures / "concentrations.png", found.concentrations, amounts
    )
    residual = found.without_offset(table.spectra) - found.reconstruct(found.concentrations)
    spectra_plots.plot_residual(
        pictures / "residual.png", residual, found.noise, table.axis, table.axis_name
    )
    spectra_plots.plot_training(pictures / "training.png", folder / "metrics.jsonl")


def _title(i: int, truth: Truth, paired: Match) -> str:
    if paired.index[i] < 0:
        return "not in the truth"
    name = truth.names[paired.index[i]] if truth.names else f"true {paired.index[i] + 1}"
    return f"{name}, cosine {paired.cosine[i]:.3f}"


def _of_matches(columns: Float[np.ndarray, "m t"], paired: Match) -> Float[np.ndarray, "m k"]:
    """The true columns in the order of the found ones, NaN where none is matched."""
    chosen = columns[:, np.maximum(paired.index, 0)].astype(np.float64)
    return np.where(paired.index >= 0, chosen, np.nan)
