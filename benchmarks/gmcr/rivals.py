"""Methods that gmcr is compared with; all but two are told the number of components.

The classical route counts singular values above the noise's edge (`classical.py`); it is told how
the noise depends on the sample. NMF is scikit-learn's; with a count of its own it is chosen from a
few around the truth by bi-cross-validation. MCR-ALS is pyMCR's with non-negative least squares,
from the samples that successive projection picks or from NMF, whichever fits better. VCA with FCLS
is what remote sensing uses; it needs pure pixels. PLS is for measured amounts: it sees them while
it is fitted, which no unmixing does.
"""

import contextlib
import io
import warnings

import numpy as np
from scipy.optimize import nnls

from benchmarks.gmcr.cases import Case
from benchmarks.gmcr.classical import classical, successive_projection
from benchmarks.gmcr.scores import Answer, r2

GRID = (0.5, 0.75, 0.875, 1.0, 1.125, 1.25, 1.5, 2.0)  # times the true number, for the count of NMF
_SUM_WEIGHT = 1e3  # of the row that makes fractions sum to one


def classical_route(case: Case, seed: int) -> Answer:
    return Answer(*classical(case.data, scaled=not case.additive))


def nmf(case: Case, seed: int) -> Answer:
    return _nmf(np.maximum(case.data, 0), len(case.components), seed)


def _nmf(x: np.ndarray, count: int, seed: int) -> Answer:
    from sklearn.decomposition import NMF

    model = NMF(count, init="nndsvda", max_iter=1000, random_state=seed)
    codes = model.fit_transform(x)
    return Answer(model.components_, codes)


def nmf_counted(case: Case, seed: int) -> Answer:
    """NMF with the number of least error in blocks that are left out."""
    x, count = np.maximum(case.data, 0), len(case.components)
    grid = sorted({max(1, round(share * count)) for share in GRID})
    errors = [held_out_error(x, k, seed) for k in grid]
    return _nmf(x, grid[int(np.argmin(errors))], seed)


def held_out_error(x: np.ndarray, count: int, seed: int) -> float:
    """Squared error of the four blocks of halved rows and columns, each foretold from the others.

    Of X = [A B; C D], D = W H is fitted; then B = W' H and C = W H' give A = W' H'.
    Source: Owen and Perry 2009 (Ann. Appl. Stat. 3, 564).
    """
    random = np.random.default_rng(seed)
    rows, columns = (np.array_split(random.permutation(size), 2) for size in x.shape)
    error = 0.0
    for i, other_i in (rows, rows[::-1]):
        for j, other_j in (columns, columns[::-1]):
            fitted = _nmf(x[np.ix_(other_i, other_j)], count, seed)
            left = _coded(x[np.ix_(i, other_j)], fitted.components)
            right = _coded(x[np.ix_(other_i, j)].T, fitted.concentrations.T)
            error += float(np.sum((x[np.ix_(i, j)] - left @ right.T) ** 2))
    return error


def _coded(x: np.ndarray, components: np.ndarray) -> np.ndarray:
    return np.stack([nnls(components.T, row)[0] for row in x])


def mcr_als(case: Case, seed: int) -> Answer:
    """PyMCR with non-negative least squares, the closer fit of two starts: purest spectra, NMF.

    It may go on where the error grows, as its own default often stops after a few iterations.
    """
    from pymcr.mcr import McrAR

    purest = case.data[successive_projection(case.data, len(case.components))]
    answers = []
    for start in (np.maximum(purest, 0), nmf(case, seed).components):
        model = McrAR(
            c_regr="NNLS",
            st_regr="NNLS",
            max_iter=500,
            tol_increase=1.0,
            tol_n_increase=50,
            tol_n_above_min=50,
        )
        with contextlib.redirect_stdout(io.StringIO()):  # it prints why it stops
            model.fit(case.data, ST=start)
        answers.append((min(model.err), model))
    best = min(answers, key=lambda answer: answer[0])[1]
    return Answer(best.ST_opt_, best.C_opt_)


def vca_fcls(case: Case, seed: int) -> Answer:
    """Pixels at the corners of the simplex, and fractions that are >= 0 and sum to one."""
    corners = case.data[vertices(case.data, len(case.components), seed)]
    return Answer(corners, fractions(case.data, corners), closed=True)


def vertices(x: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows of x that vertex component analysis picks.

    Each is the one farthest along a random direction off those before it: of spectra projected
    onto a plane by division (``count`` dimensions), or, where noise is strong, in the subspace of
    ``count`` - 1 principal components.
    Source: Nascimento and Dias 2005 (IEEE TGRS 43, 898), with their default thresholds.
    """
    random, mean = np.random.default_rng(seed), x.mean(0)
    if _snr_db(x, count) < 15 + 10 * np.log10(count):
        basis = np.linalg.svd(x - mean, full_matrices=False)[2][: count - 1]
        seen = (x - mean) @ basis.T
        lift = np.full((len(x), 1), np.sqrt(np.max(np.sum(seen**2, axis=1))))
        seen = np.concatenate([seen, lift], axis=1)
    else:
        seen = x @ np.linalg.svd(x, full_matrices=False)[2][:count].T
        seen = seen / (seen @ seen.mean(0))[:, None]
    corners, found = np.zeros((count, count)), []
    corners[0, -1] = 1
    for i in range(count):
        draw = random.standard_normal(count)
        across = draw - corners.T @ np.linalg.pinv(corners.T) @ draw
        found.append(int(np.argmax(np.abs(seen @ across))))
        corners[i] = seen[found[-1]]
    return np.array(found)


def _snr_db(x: np.ndarray, count: int) -> float:
    """Signal to noise of the data by what their first directions hold."""
    mean = x.mean(0)
    basis = np.linalg.svd(x - mean, full_matrices=False)[2][:count]
    power = np.sum(x**2) / len(x)
    kept = np.sum(((x - mean) @ basis.T) ** 2) / len(x) + mean @ mean
    signal = kept - count / x.shape[1] * power
    return float(10 * np.log10(max(signal, 1e-30) / max(power - kept, 1e-30)))


def fractions(x: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Fully constrained least squares: fractions >= 0 whose sum is tied to one by a heavy row.

    Source: Heinz and Chang 2001 (IEEE TGRS 39, 529).
    """
    heavy = _SUM_WEIGHT * np.abs(components).max()
    matrix = np.concatenate([components.T, np.full((1, len(components)), heavy)])
    return np.stack([nnls(matrix, np.append(row, heavy))[0] for row in x])


def pls(case: Case) -> dict:
    """R2 of measured amounts in ten folds; the rank by five folds within."""
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict

    inner = KFold(5, shuffle=True, random_state=0)
    model = GridSearchCV(PLSRegression(), {"n_components": range(1, 13)}, cv=inner)
    folds = KFold(10, shuffle=True, random_state=0)
    held_out = cross_val_predict(model, case.data, case.analytes, cv=folds)
    return {"analyte_r2": [r2(a, b) for a, b in zip(case.analytes.T, held_out.T, strict=True)]}


RIVALS = {
    "classical route": classical_route,
    "NMF, given N": nmf,
    "NMF, cross-validated": nmf_counted,
    "MCR-ALS, given N": mcr_als,
    "VCA + FCLS, given N": vca_fcls,
}


def rival_answer(method: str, case: Case, seed: int) -> Answer:
    """What a rival says; that it did not converge is seen in its scores."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*converge.*")
        return RIVALS[method](case, seed)
