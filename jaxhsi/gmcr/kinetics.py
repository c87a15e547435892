"""Kinetics of first order as a hard model: rate constants and spectra of consecutive reactions.

    A -k1-> B -k2-> C ...,   dc/dt = K c,   c(0) = (1, 0, 0, ...),   X = C(k) S + noise

The concentrations are a function of the rate constants alone, which Gauss-Newton steps find
together with the spectra: the model is a forward model of `factor_refinement.refine_factors` whose
shared parameters are the logarithms of the rate constants.
"""

from functools import partial
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import nnls

from jaxhsi.gmcr.factor_refinement import RefinedFactors, refine_factors
from jaxhsi.gmcr.factors import Factors
from jaxhsi.gmcr.mixing import ForwardModel
from jaxhsi.gmcr.priors import Prior, combine_priors, non_negativity

_GRID_RATES = 10
"""Rate constants that fits are begun at, from a third of a reaction over all times to one that ends
within the first few. Set by hand: neighbours differ by a factor of 2 to 3."""
_NUM_SWEEPS = 15
"""Gauss-Newton steps of a fit. Set by hand: simulated reactions settle within five."""


class KineticFit(NamedTuple):
    """Consecutive reactions fitted to a table.

    Attributes:
        rates: rate constants k1, k2, ..., in the reciprocal of the unit of the times.
        concentrations: of the species at all times, 1 in total.
        components: spectra of the species at a concentration of 1.
        residual_deviation: root mean square of what the model leaves.
    """

    rates: Float[np.ndarray, " r"]
    concentrations: Float[np.ndarray, "n k"]
    components: Float[np.ndarray, "k c"]
    residual_deviation: float


def consecutive_profiles(
    rates: Float[Array | np.ndarray, " r"], times: Float[Array | np.ndarray, " n"]
) -> Float[Array, "n k"]:
    """Concentrations of A -> B -> ... from 1 of A, by the exponential of the matrix of rates.

    Args:
        rates: rate constants, one for each step; equal ones are no special case.
        times: since the reaction began.

    >>> import jax.numpy as jnp
    >>> [f"{c:.3f}" for c in consecutive_profiles(jnp.array([1.0]), jnp.array([0.0, 1.0]))[1]]
    ['0.368', '0.632']
    """
    rates, num_species = jnp.asarray(rates), len(rates) + 1
    loss = jnp.diag(jnp.append(rates, 0.0))
    rate_matrix = jnp.diag(rates, -1) - loss
    start = jnp.zeros(num_species).at[0].set(1.0)
    return jax.vmap(lambda t: jax.scipy.linalg.expm(rate_matrix * t) @ start)(jnp.asarray(times))


def fit_consecutive(
    spectra: Float[np.ndarray | Array, "n c"],
    times: Float[np.ndarray | Array, " m"],
    num_steps: int = 2,
    *,
    initial_rates: Float[np.ndarray, " r"] | None = None,
    non_negative: bool = True,
) -> KineticFit:
    """Fit consecutive reactions of first order to the spectra of one experiment.

    The order of the rate constants is not told by the fit: A -> B -> C with k1 and k2 exchanged has
    the same fit with another spectrum of B (slow-fast ambiguity). Non-negative spectra exclude one
    of both in some tables; elsewhere say by ``initial_rates`` which step is the fast one.

    Args:
        spectra: one a time.
        times: since the reaction began, in any unit.
        num_steps: 1 for A -> B, 2 for A -> B -> C, and so on.
        initial_rates: where the fit begins; from a grid if None.
        non_negative: spectra have no negative values.

    Returns:
        The fit.

    Raises:
        ValueError: times that are not those of the spectra, negative ones, or fewer than there are
            species; rates that are not positive or not one for each step.

    Examples:
        >>> times = np.linspace(0.0, 30.0, 40)
        >>> profiles = np.asarray(consecutive_profiles(np.array([0.5, 0.1]), times))
        >>> spectra = profiles @ np.array([[1.0, 0.2, 0.0], [0.1, 1.0, 0.3], [0.0, 0.4, 1.0]])
        >>> fit_consecutive(spectra, times).rates.round(3).tolist()
        [0.5, 0.1]

    Source: Maeder and Zuberbuehler 1990 (Anal. Chem. 62, 2220); de Juan, Maeder, Martinez and
    Tauler 2000 (Chemom. Intell. Lab. Syst. 54, 123); the ambiguity, Vajda and Rabitz 1988.
    """
    table, clock = np.asarray(spectra, np.float64), np.asarray(times, np.float64)
    _check(table, clock, num_steps, initial_rates)
    span, unit = clock.max(), np.sqrt(np.mean(table**2))
    table, clock = table / unit, clock / span
    rates = _best_of_grid(table, clock, num_steps, non_negative)
    if initial_rates is not None:
        rates = np.asarray(initial_rates, np.float64) * span
    components = _spectra_of(rates, table, clock, non_negative)
    residual = table - _profiles(rates, clock) @ components
    # Only relative weights of the data and the (absent) penalties depend on it.
    deviation = max(float(np.sqrt(np.mean(residual**2))), 1e-3)
    model = _forward_model(tuple(clock.tolist()))
    prior = combine_priors(
        Prior(fixes_scale=True), *([non_negativity("components")] if non_negative else [])
    )
    start = RefinedFactors(
        Factors(*(jnp.asarray(a, jnp.float32) for a in (_profiles(rates, clock), components))),
        jnp.asarray(np.log(rates), jnp.float32),
    )
    noise = jnp.full((len(table), 1), deviation)
    fitted = refine_factors(
        jnp.asarray(table, jnp.float32), noise, start, model, prior, num_sweeps=_NUM_SWEEPS
    )
    rates = np.exp(np.asarray(fitted.parameters, np.float64))
    concentrations = _profiles(rates, clock)
    components = _spectra_of(rates, table, clock, non_negative)
    residual = table - concentrations @ components
    return KineticFit(
        rates / span, concentrations, components * unit, float(unit * np.sqrt(np.mean(residual**2)))
    )


_compiled_profiles = jax.jit(consecutive_profiles)
_profiles_of_all = jax.jit(jax.vmap(consecutive_profiles, (0, None)))


def _forward_model(times: tuple[float, ...]) -> ForwardModel:
    """Spectra of the species and logarithms of the rates to the spectra at all times."""
    return ForwardModel(
        partial(_kinetic_mixing, times),
        lambda n, k: jnp.zeros(k - 1),
        lambda log_rates: log_rates,
    )


def _kinetic_mixing(times: tuple[float, ...], log_rates: Array, _: Array, s: Array) -> Array:
    return consecutive_profiles(jnp.exp(log_rates), jnp.asarray(times)) @ s


def _profiles(rates: np.ndarray, times: np.ndarray) -> np.ndarray:
    return np.asarray(_compiled_profiles(rates, times), np.float64)


def _spectra_of(
    rates: np.ndarray, table: np.ndarray, times: np.ndarray, non_negative: bool
) -> Float[np.ndarray, "k c"]:
    """Least-squares spectra of given rates."""
    profiles = _profiles(rates, times)
    if non_negative:
        return np.stack([nnls(profiles, column)[0] for column in table.T], axis=1)
    return np.linalg.lstsq(profiles, table, rcond=None)[0]


def _best_of_grid(
    table: np.ndarray, times: np.ndarray, num_steps: int, non_negative: bool
) -> Float[np.ndarray, " r"]:
    """The rates of a grid that leave least; fast steps before slow ones where both do."""
    steps = np.diff(np.sort(times))
    fastest = 1.0 / max(float(np.median(steps)), 1e-3)
    values = np.geomspace(0.3, max(fastest, 3.0), _GRID_RATES)
    grid = np.array(list(product(values[::-1], repeat=num_steps)))
    errors = []
    for profiles in np.asarray(_profiles_of_all(grid, times), np.float64):
        components = np.linalg.lstsq(profiles, table, rcond=None)[0]
        components = np.maximum(components, 0) if non_negative else components
        errors.append(float(np.sum((table - profiles @ components) ** 2)))
    return grid[int(np.argmin(errors))]


def _check(
    table: np.ndarray, times: np.ndarray, num_steps: int, initial_rates: np.ndarray | None
) -> None:
    if num_steps < 1:
        raise ValueError(f"num_steps {num_steps} is no reaction; give 1 or more")
    if times.shape != (len(table),):
        raise ValueError(f"times has the shape {times.shape}; give {len(table)}, one a spectrum")
    if not np.isfinite(table).all() or not np.isfinite(times).all():
        raise ValueError("spectra or times hold values that are not finite; remove them")
    if (times < 0).any() or not times.max() > 0:
        raise ValueError(
            f"times run from {times.min():g} to {times.max():g}; count them from the beginning of "
            "the reaction"
        )
    if len(np.unique(times)) <= num_steps + 1:
        raise ValueError(
            f"{len(np.unique(times))} times do not tell {num_steps + 1} species apart; give more"
        )
    if initial_rates is not None and (
        np.shape(initial_rates) != (num_steps,) or not np.all(np.asarray(initial_rates) > 0)
    ):
        raise ValueError(
            f"initial_rates {np.asarray(initial_rates).tolist()} are not {num_steps} positive "
            "numbers; give one for each step"
        )
