"""How well components and concentrations agree with a truth.

R2 is the share of the squares around the bands' means that is explained. On the data alone it
rewards fitted noise, so it never stands without that against the noise-free data
and without the R2 of the true mixture on the same data. Where the data have an offset, the true one
is taken off before `r2_of_truth`, the one that a method found before its `r2`; its fit,
which does not hold the offset, is compared with noise-free data as it is, so that offset left in
components counts as an error.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment, nnls

from benchmarks.gmcr.cases import Case


class Answer(NamedTuple):
    """Components (k, c), concentrations (n, k); fit (n, c) where mixing is not linear; offset.

    Closed concentrations sum to one as they are.
    """

    components: np.ndarray
    concentrations: np.ndarray
    fit: np.ndarray | None = None
    offset: np.ndarray | float = 0.0
    closed: bool = False


class Matched(NamedTuple):
    """Pairs of found and true components, by cosine.

    Attributes:
        rows: found ones.
        columns: true ones.
        cosines: of the pairs.
        codes: concentrations (n, k of the truth) for found components of unit length, 0 for true
            ones that were not found.
    """

    rows: np.ndarray
    columns: np.ndarray
    cosines: np.ndarray
    codes: np.ndarray


def scores(case: Case, found: Answer) -> dict:
    """All scores that the truth of the case allows."""
    components, codes = unit_length(found)
    fit = codes @ components if found.fit is None else found.fit
    result = {
        "count": len(components),
        "r2": r2(case.data - found.offset, fit),
        "active": active(codes),
    }
    if case.clean is not None:
        result["r2_noise_free"] = r2(case.clean, fit)
        result["r2_of_truth"] = r2(case.data - case.offset, case.clean)
    if case.components is not None:
        matched = match(case, components, codes)
        result |= component_scores(case, matched)
        if case.clean is not None:  # else the truth has another unit than the data
            result["concentration_error"] = concentration_error(case, matched)
        if case.fractions:
            result |= fraction_scores(case, found, matched)
    return result


def unit_length(found: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Components of unit length, without those that are zero, and concentrations of them."""
    norm = np.linalg.norm(found.components, axis=1)
    kept = norm > 0
    return found.components[kept] / norm[kept, None], found.concentrations[:, kept] * norm[kept]


def match(case: Case, components: np.ndarray, codes: np.ndarray) -> Matched:
    """Pairs of the greatest sum of cosines."""
    size = np.linalg.norm(case.components, axis=1, keepdims=True)
    cosines = components @ (case.components / size).T
    rows, columns = linear_sum_assignment(-cosines)
    placed = np.zeros(case.concentrations.shape)
    placed[:, columns] = codes[:, rows]
    return Matched(rows, columns, cosines[rows, columns], placed)


def component_scores(case: Case, matched: Matched) -> dict:
    """Cosines of the pairs; of the components a case is about, a missing one counts 0."""
    every = np.zeros(len(case.components))
    every[matched.columns] = matched.cosines
    affected = every[case.affected]
    return {
        "true_count": len(case.components),
        "matched_cosine_mean": float(matched.cosines.mean()) if len(matched.cosines) else 0.0,
        "matched_cosine_min": float(matched.cosines.min()) if len(matched.cosines) else 0.0,
        "affected_cosine_mean": float(affected.mean()),
        "affected_cosine_min": float(affected.min()),
        "true_active": active(case.concentrations),
    }


def concentration_error(case: Case, matched: Matched) -> float:
    """Relative error of the concentrations of components of unit length."""
    truth = case.concentrations * np.linalg.norm(case.components, axis=1)
    return float(np.linalg.norm(matched.codes - truth) / np.linalg.norm(truth))


def fraction_scores(case: Case, found: Answer, matched: Matched) -> dict:
    """Mean spectral angle of the matched components in degrees, and RMSE of their fractions.

    Concentrations without a unit of their own are scaled, a factor for each component, so that
    they sum to one as nearly as can be (non-negative least squares); those of the matched
    components are then divided by their sum. Reference fractions sum to one.
    """
    angles = np.degrees(np.arccos(np.clip(matched.cosines, -1, 1)))
    codes = found.concentrations
    if not found.closed:
        codes = codes * nnls(codes, np.ones(len(codes)))[0]
    fractions = np.zeros(case.concentrations.shape)
    fractions[:, matched.columns] = np.maximum(codes[:, matched.rows], 0)
    total = fractions.sum(1, keepdims=True)
    fractions = np.divide(fractions, total, out=np.zeros_like(fractions), where=total > 0)
    truth = case.concentrations / case.concentrations.sum(1, keepdims=True)
    return {
        "angle_mean": float(angles.mean()),
        "angle_max": float(angles.max()),
        "fraction_rmse": float(np.sqrt(np.mean((fractions - truth) ** 2))),
    }


def library_scores(case: Case, components: np.ndarray, fixed: np.ndarray) -> dict:
    """Spectra of the library that the answer names: rightly, wrongly, and those it misses."""
    size = np.linalg.norm(case.library, axis=1)
    named = components[fixed] @ (case.library / size[:, None]).T
    named = set(named.argmax(1).tolist()) if fixed.any() else set()
    present = set(case.present)
    return {
        "named": int(fixed.sum()),
        "named_rightly": len(named & present),
        "named_wrongly": int(fixed.sum()) - len(named & present),
        "named_too_few": len(present - named),
    }


def analyte_scores(case: Case, codes: np.ndarray) -> dict:
    """R2 of measured amounts by least squares on concentrations, ten folds held out in turn."""
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold, cross_val_predict

    folds = KFold(10, shuffle=True, random_state=0)
    held_out = cross_val_predict(LinearRegression(), codes, case.analytes, cv=folds)
    return {"analyte_r2": [r2(a, b) for a, b in zip(case.analytes.T, held_out.T, strict=True)]}


def r2(x: np.ndarray, fit: np.ndarray) -> float:
    """Share of the squares around the bands' means that is explained."""
    return float(1 - np.sum((x - fit) ** 2) / np.sum((x - x.mean(0)) ** 2))


def active(codes: np.ndarray) -> float:
    """Components that are not zero, per sample."""
    if not codes.size:
        return 0.0
    return float(np.mean(np.sum(np.abs(codes) > 1e-6 * np.abs(codes).max(), axis=1)))
