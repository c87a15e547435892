"""What negative values cost a rotation of a mixture, beyond what noise explains.

X_k = A B = (A T^-1) (T B). With M = (B B')^-1 and N = (A'A)^-1, the values of both factors in their
own standard errors are

    z_nj = a_n t_j / sqrt(t_j' M t_j),    y_jb = r_j b_b / (s_b sqrt(r_j N r_j')),

t_j the columns of T^-1, r_j the rows of T, and s_b the noise of band b. Values below zero cost

    f(T) = sum max(0, -z - m)^2 + sum max(0, -y - m)^2,

where m is the largest that noise alone makes among as many entries. NumPy in float64, on the
host: many small problems at once, and nothing to compile.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri

from jaxhsi.gmcr.fitted_mixture import FittedMixture

Rotations = Float[np.ndarray, "m k k"]


class RotationProblem(NamedTuple):
    """What the cost of a rotation is computed from.

    Attributes:
        codes: A, in noise units.
        rows: B, each band over its noise.
        code_covariance: M, of the noise of the concentrations of a spectrum.
        row_covariance: N, of the noise of a band of the components.
        margin: standard errors by which noise alone makes some value negative.
        absent: concentrations that are to stay zero; None where both factors are not negative.
        free: entries of T that may change.
        code_gram: A'A.
        row_gram: B B', each band over its noise.
    """

    codes: Float[np.ndarray, "n k"]
    rows: Float[np.ndarray, "k c"]
    code_covariance: Float[np.ndarray, "k k"]
    row_covariance: Float[np.ndarray, "k k"]
    margin: float
    absent: Bool[np.ndarray, "n k"] | None
    free: Bool[np.ndarray, "k k"]
    code_gram: Float[np.ndarray, "k k"]
    row_gram: Float[np.ndarray, "k k"]


def rotation_problem(mixture: FittedMixture, *, non_negative: bool = True) -> RotationProblem:
    """The problem of a mixture.

    Args:
        mixture: A and B.
        non_negative: negative values are impossible; else concentrations of the solution that are
            zero stay so, which is then all that tells solutions apart.
    """
    codes, rows = (np.asarray(mixture.codes, np.float64), np.asarray(mixture.components_scaled))
    white = np.asarray(mixture.components_white, np.float64)
    count = len(rows)
    rows = rows.astype(np.float64) / np.asarray(mixture.band_deviation, np.float64)
    code_gram = codes.T @ codes
    return RotationProblem(
        codes,
        rows,
        np.linalg.pinv(white @ white.T, hermitian=True),
        np.linalg.pinv(code_gram, hermitian=True),
        -float(ndtri(1 / (codes.size + rows.size))),
        None if non_negative else ~np.asarray(mixture.present),
        ~np.eye(count, dtype=bool) & ~np.asarray(mixture.fixed)[:, None],
        code_gram,
        rows @ rows.T,
    )


def rotation_cost(problem: RotationProblem, rotations: Rotations) -> Float[np.ndarray, " m"]:
    """f(T) of several rotations; infinite beyond a singular T.

    >>> codes, rows = np.array([[100.0, 5.0], [0.0, 50.0]]), np.eye(2, 4)
    >>> mixture = FittedMixture(codes, rows, rows, np.ones(4), codes != 0, np.zeros(2, bool))
    >>> problem = rotation_problem(mixture)._replace(margin=0.0)
    >>> T = np.array([[1.0, 0.1], [0.0, 1.0]])  # c2 of the first spectrum becomes 5 - 10
    >>> rotation_cost(problem, T[None]).round(2).tolist()
    [24.75]
    """
    cost = sum(_excess(side)[1].sum(axis=1) for side in _sides(problem, rotations))
    return np.where(np.linalg.slogdet(rotations)[0] > 0, cost, np.inf)


def rotation_cost_and_gradient(
    problem: RotationProblem, rotations: Rotations
) -> tuple[Float[np.ndarray, " m"], Rotations]:
    """f(T) of several rotations, and its gradient by T.

    >>> codes, rows = np.array([[100.0, 5.0], [0.0, 50.0]]), np.eye(2, 4)
    >>> mixture = FittedMixture(codes, rows, rows, np.ones(4), codes != 0, np.zeros(2, bool))
    >>> problem = rotation_problem(mixture)._replace(margin=0.0)
    >>> T = np.array([[1.0, 0.1], [0.0, 1.0]])
    >>> cost, gradient = rotation_cost_and_gradient(problem, T[None])
    >>> bool(gradient[0, 0, 1] > 0)  # the more of c1 is taken from c2, the more is negative
    True
    """
    sides = _sides(problem, rotations)
    costs, slopes = zip(*(_cost_and_slope(side) for side in sides), strict=True)
    turned = sides[0].directions
    gradient = sum(slopes[1:], -turned @ np.swapaxes(slopes[0], 1, 2) @ turned)
    cost = np.where(np.linalg.slogdet(rotations)[0] > 0, sum(costs), np.inf)
    return cost, np.nan_to_num(gradient, posinf=0.0, neginf=0.0)


class _Side(NamedTuple):
    """Values d_j F / sqrt(d_j V d_j') of one factor, for the rows d_j of each matrix.

    Attributes:
        directions: the matrices of rows d_j.
        covariance: V.
        factor: F.
        margin: below zero from which on values cost.
        absent: values that cost on both sides of zero, no other one does; None for all that are
            negative.
    """

    directions: Rotations
    covariance: Float[np.ndarray, "k k"]
    factor: Float[np.ndarray, "k v"]
    margin: float
    absent: Bool[np.ndarray, "k v"] | None


def _sides(problem: RotationProblem, rotations: Rotations) -> list[_Side]:
    """The concentrations, by the columns of T^-1; and the components, if they have a bound."""
    turned = np.swapaxes(np.linalg.inv(rotations), 1, 2)
    codes, margin, absent = problem.codes.T, problem.margin, problem.absent
    if absent is not None:
        return [_Side(turned, problem.code_covariance, codes, margin, absent.T)]
    return [
        _Side(turned, problem.code_covariance, codes, margin, None),
        _Side(rotations, problem.row_covariance, problem.rows, margin, None),
    ]


def _excess(
    side: _Side,
) -> tuple[Float[np.ndarray, "m k v"], Float[np.ndarray, "m k"], Rotations, np.ndarray]:
    """Values beyond noise, their sums of squares, V d_j and the size that divides each row.

    The arrays of all values are the time that this takes: they are passed over as seldom as can be.
    """
    shape = side.directions.shape
    weighted = side.directions @ side.covariance
    size = np.sqrt(np.maximum(np.sum(side.directions * weighted, axis=2), 1e-300))[:, :, None]
    # One product for all matrices, of directions that are scaled before.
    scaled = (side.directions / size).reshape(-1, shape[2])
    excess = (scaled @ side.factor).reshape(*shape[:2], -1)
    if side.absent is None:
        excess += side.margin
        np.minimum(excess, 0, out=excess)
    else:
        beyond = np.maximum(np.abs(excess) - side.margin, 0)
        excess = np.where(side.absent, np.copysign(beyond, excess), 0)
    return excess, np.einsum("mkv,mkv->mk", excess, excess), weighted, size


def _cost_and_slope(side: _Side) -> tuple[Float[np.ndarray, " m"], Rotations]:
    """Cost of the values beyond noise, and its gradient by the directions."""
    excess, square, weighted, size = _excess(side)
    # value = excess - margin where it is below zero, excess + margin above
    size_of_excess = -excess.sum(axis=2) if side.absent is None else np.abs(excess).sum(axis=2)
    times_value = square + side.margin * size_of_excess
    slope = (excess.reshape(-1, excess.shape[2]) @ side.factor.T).reshape(side.directions.shape)
    slope = slope - weighted / size * times_value[:, :, None]
    return square.sum(axis=1), 2 * slope / size
