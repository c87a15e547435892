"""The linear solver and a refinement in turn: mixing that is not linear, and priors."""

import logging
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxhsi.gmcr.algorithm import Solution
from jaxhsi.gmcr.component_pool import Options
from jaxhsi.gmcr.factor_refinement import Refined, refined
from jaxhsi.gmcr.goodness_of_fit import COARSE, SUSPECT, Misfit, misfit
from jaxhsi.gmcr.mixing import Aggregate, Forward, excess, linear, without_parameters
from jaxhsi.gmcr.noise_model import noise_scale
from jaxhsi.gmcr.priors import Factors, Prior, combine, known, non_negative, scaled_to
from jaxhsi.gmcr.sparse_coding import coefficient_price
from jaxhsi.gmcr.whitening import in_frame, whitening, without_spikes
from jaxhsi.linear_algebra import inverse

ROUNDS = 12
_SURE = 5.0  # times its price: what a concentration gains that is beyond doubt
_STILL = 0.25  # change of the data, in noise deviations, that is none

Linear = Callable[[Array, int], Solution]
PriorOf = Prior | Callable[[Solution], Prior]


def alternate(
    unmix: Linear,
    x: Float[Array, "n c"],
    mixing: Forward | Aggregate,
    priors: Sequence[PriorOf],
    options: Options,
) -> Solution:
    """Components under a forward model and priors, and their number.

    The linear solver finds components and their number, a refinement fits them and the forward
    model's parameters to the data, what the model adds to linear mixing is subtracted from the
    data, and so on until number and data stay. Products of components are thus in the model and
    not among the components, and the noise stays what it was.

    Linear mixing takes one round, whose refinement sees the residual where its noise is white, as
    ``unmix`` found it; other mixing takes the noise as white.

    Args:
        unmix: ``unmix(data, round) -> Solution``, by linear mixing.
        x: the data.
        mixing: a forward model.
        priors: or functions that make them of the solution, whose components they need to know.
        options: of the solver.
    """
    forward = _forward(mixing)
    straight, begun, count = x, None, -1
    for turn in range(ROUNDS):
        found = unmix(straight, turn)
        if not len(found.components):
            return found
        clean, noise = _cleaned(x, straight, found)
        prior = combine(*_all(found, priors, options))
        start = _start(found, forward, begun, prior)
        if mixing is not linear:
            start = start._replace(factors=_sure(start.factors, noise))
        whiten = whitening(found)
        fitted = refined(clean, noise, start, forward, prior, whiten=whiten)
        flattened = x - excess(forward, fitted.parameters, *fitted.factors)
        moved = float(jnp.sqrt(jnp.mean(((flattened - straight) / noise) ** 2)))
        still = mixing is linear or (len(found.components) == count and moved < _STILL)
        straight, begun, count = flattened, fitted.parameters, len(found.components)
        if still:
            break
    else:
        logging.getLogger(__name__).warning(
            "mixing still changed after %d rounds, by %.2g noise deviations; take the answer as "
            "uncertain",
            ROUNDS,
            moved,
        )
    if mixing is not linear:
        last = _start(found, forward, begun, prior)
        fitted = refined(x, noise, last, forward, prior)
    (c, s), parameters = jax.device_get(fitted)
    return found._replace(
        components=s, concentrations=c, parameters=parameters, converged=found.converged and still
    )


@jax.jit
def _sure(factors: Factors, noise: Float[Array, "n 1"]) -> Factors:
    """Without the concentrations that gain little: some stand in for what mixing adds.

    Left out for the moment, they cannot keep the parameters of the mixing from their values. The
    largest of each spectrum and of each component stays.
    """
    c, s = factors
    alone = 1 / jnp.diagonal(inverse(s @ s.T + 1e-6 * jnp.eye(len(s))))
    gain = c**2 * alone / noise**2
    sure = gain > _SURE * coefficient_price(jnp.asarray(len(s), jnp.float32))
    sure |= (c == jnp.max(c, axis=1, keepdims=True)) | (c == jnp.max(c, axis=0))
    return Factors(jnp.where(sure, c, 0.0), s)


def judged(
    x: Float[Array | np.ndarray, "n c"], found: Solution, mixing: Forward | Aggregate = linear
) -> Misfit:
    """How well a solution explains the data, and whether another mixing would do better.

    Where noise is coloured or has an offset, residuals are those in the frame where it is white,
    in units of what they are there: `total` is then about 1 whatever they are.
    """
    framed, seen, noise = where_white(found, straightened(x, found, mixing))
    # What a model adds is off the data already; the rest is a linear mixture, in any frame.
    return jax.device_get(misfit(seen, noise, _fitted(framed), _forward(linear)))


def straightened(
    x: Float[Array | np.ndarray, "n c"], found: Solution, mixing: Forward | Aggregate
) -> Float[Array, "n c"]:
    """The data without what the mixing adds to linear mixing."""
    fitted = _fitted(found)
    return jnp.asarray(x) - excess(_forward(mixing), fitted.parameters, *fitted.factors)


def _cleaned(
    x: Float[Array, "n c"], straight: Float[Array, "n c"], found: Solution
) -> tuple[Float[Array, "n c"], Float[Array, "n 1"]]:
    """The data without spikes and offset, and their noise where it is white."""
    noise = where_white(found, straight)[2]
    clean = without_spikes(found, np.asarray(x)) - found.departures.offset
    return jnp.asarray(clean, jnp.float32), noise


def where_white(
    found: Solution, straight: Float[Array | np.ndarray, "n c"]
) -> tuple[Solution, Float[Array, "n c"], Float[Array, "n 1"]]:
    """Solution and linear mixtures in the frame where noise is white, and its deviations there."""
    framed, seen = in_frame(found, without_spikes(found, np.asarray(straight)))
    seen = jnp.asarray(seen)
    return framed, seen, noise_scale(framed.noise, jnp.mean(seen**2, axis=1))[:, None]


def _forward(mixing: Forward | Aggregate) -> Forward:
    return mixing if isinstance(mixing, Forward) else without_parameters(mixing)


def _fitted(found: Solution) -> Refined:
    factors = Factors(jnp.asarray(found.concentrations), jnp.asarray(found.components))
    return Refined(factors, jax.tree.map(jnp.asarray, found.parameters))


def suspicion(judgement: Misfit, name: str) -> str | None:
    """What to tell where the forward model does not explain the data, else None."""
    curvature, total = float(judgement.curvature), float(judgement.total)
    if total > COARSE:
        return f"{name} mixing leaves {total:.3g} times the noise variance; do not trust it"
    if curvature < SUSPECT:
        return None
    return (
        f"what {name} mixing leaves is not noise: curved mixing would explain {curvature:.3g} "
        f"times as much of it as of noise ({SUSPECT:g} is suspect); try another mixing"
    )


def _all(found: Solution, priors: Sequence[PriorOf], options: Options) -> list[Prior]:
    """Those given, what the solver's options say, and known spectra last: they hold exactly."""
    own = []
    if options.non_negative:
        own = [non_negative("concentrations"), non_negative("components")]
    made = [*own, *(prior if isinstance(prior, Prior) else prior(found) for prior in priors)]
    fixed = np.asarray(found.fixed)
    if not fixed.any():
        return made
    rows = jnp.where(fixed[:, None], jnp.asarray(found.components), jnp.nan)
    # Of unit length, so that they leave the scale of the others as it is.
    return [*made, known(components=rows)._replace(scaled=False)]


def _start(found: Solution, forward: Forward, begun: object, prior: Prior) -> Refined:
    """The linear solver's factors, and the parameters of the round before, where they fit."""
    factors = _fitted(found).factors
    if forward.local or begun is None:
        begun = forward.begin(len(factors.concentrations), len(factors.components))
    if prior.total is not None:
        factors = scaled_to(factors, prior.total)
    return Refined(factors, begun)
