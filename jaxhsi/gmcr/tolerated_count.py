"""Structure that a stated faithfulness does not ask for is taken off a fit."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxhsi.gmcr.component_count import fit_given_number
from jaxhsi.gmcr.misfit_curve import (
    MisfitCurve,
    count_at_tolerance,
    misfit_curve,
    replicate_misfit,
)
from jaxhsi.gmcr.noise_model import spectrum_deviations
from jaxhsi.gmcr.solver import Solver
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitening import WhitenedData
from jaxhsi.processes import gather_array

_MIN_REPLICATE_RATIO = 2.0
"""Variance between replicates over that of the noise from which it is more than noise. Set by
hand: both are estimates of some hundred values at least."""


class Faithfulness(NamedTuple):
    """What is asked of a fit beside the noise.

    Attributes:
        tolerance: relative misfit below which structure is not counted; None: that of replicates,
            or none.
        replicates: names of the samples; spectra of one name are repeated measurements.
    """

    tolerance: float | None = None
    replicates: Sequence[str] | None = None


def limit_to_tolerance(
    solver: Solver, state: State, data: WhitenedData, faithfulness: Faithfulness
) -> tuple[State, MisfitCurve, float]:
    """The state of no more components than a tolerance asks for.

    Args:
        solver: compiled.
        state: after the last phase, of the components that stand above the noise.
        data: the table.
        faithfulness: that is asked for.

    Returns:
        The state, what each number of components would leave, and the tolerance: 0 where all that
        stands above the noise counts.
    """
    deviation = gather_array(spectrum_deviations(data.x_white, state.noise_level))
    count = int(np.sum(np.asarray(state.pool.active)))
    if data.count_bound is not None and faithfulness.tolerance != 0:
        count = min(count, data.count_bound)
    x_white = gather_array(data.x_white)
    curve = misfit_curve(x_white, float(np.sqrt(np.mean(deviation.astype(np.float64) ** 2))), count)
    tolerance = faithfulness.tolerance
    if tolerance is None:
        tolerance = _replicate_tolerance(x_white, curve, faithfulness.replicates)
    wanted_count = count_at_tolerance(curve, tolerance)
    if wanted_count < int(np.sum(np.asarray(state.pool.active))):
        state = fit_given_number(solver, state, data, wanted_count)
    return state, curve, tolerance


def _replicate_tolerance(
    x_white: np.ndarray, curve: MisfitCurve, replicates: Sequence[str] | None
) -> float:
    """Misfit between replicates beyond the noise; 0 where it is not more, or there are none."""
    misfit = None if replicates is None else replicate_misfit(x_white, replicates)
    if misfit is None or misfit**2 < _MIN_REPLICATE_RATIO * curve.noise_share**2:
        return 0.0
    return float(np.sqrt(misfit**2 - curve.noise_share**2))
