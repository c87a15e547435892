"""Pool of components: penalties, gains and log-evidence of each component.

Everything is in noise units: spectra divided by their noise deviation, so that the fall of the
squared residual by a useless parameter is chi-squared of one degree of freedom.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.noise_covariance import NoiseWhitener
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.sparse_coding import count_usage, sparse_codes, sparsity_penalty
from jaxhsi.linear_algebra import inverse
from jaxhsi.normalisation import unit_rows

_MIN_NORM = 1e-9
"""Rows below this length are taken as zero; it only guards a division, so that results do not
depend on it."""
_UNUSED_RIDGE = 1e-5
"""Ridge on the Gram matrix of the codes, relative to its mean: codes may be nearly dependent in
float32. Set by hand; it changes gains by less than 1e-5 of themselves."""
_COSINE_RIDGE = 1e-4
"""Ridge on the Gram matrix of unit components, for components that are nearly the same. Set by
hand; at a cosine of 0.9999 the gain comes out twice as large, below 0.999 it is
less than 10 % too large."""


class ComponentPool(NamedTuple):
    """Components in slots of a fixed number; a slot that is not active holds nothing.

    The shape never changes, so that functions compile once; a component is removed by its mask.

    Attributes:
        components: unit rows, zero where not active.
        active: slots that hold a component.
        fixed: given components (of a library), which do not change.
        whitener: transform that makes the noise white, if the noise of the spectra is not;
            components are then in whitened coordinates.

    >>> import jax.numpy as jnp
    >>> pool = ComponentPool(jnp.eye(2), jnp.ones(2, bool), jnp.zeros(2, bool))
    >>> pool.keep_only(jnp.array([True, False])).components.tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """

    components: Float[Array, "p c"]
    active: Bool[Array, " p"]
    fixed: Bool[Array, " p"]
    whitener: NoiseWhitener | None = None

    def keep_only(self, mask: Bool[Array, " p"]) -> "ComponentPool":
        """The pool without the components outside of ``mask``."""
        active = self.active & mask
        return self._replace(components=self.components * active[:, None], active=active)

    def replace_components(
        self, rows: Float[Array, "p c"], options: SolverOptions
    ) -> "ComponentPool":
        """The pool with new spectra, normalised; fixed components and empty slots stay."""
        # Spectra of a library are given: no fit may change them.
        changed = (self.active & ~self.fixed)[:, None]
        unit_rows = normalise_components(rows, options, self.whitener)
        return self._replace(components=jnp.where(changed, unit_rows, self.components))


def normalise_components(
    rows: Float[Array, "p c"], options: SolverOptions, whitener: NoiseWhitener | None = None
) -> Float[Array, "p c"]:
    """Rows of unit length, non-negative where that is asked; zero rows stay zero.

    Args:
        rows: spectra, in whitened coordinates if there is a whitener.
        options: ``non_negative`` says whether negative values become 0.
        whitener: with one, the non-negativity holds for the spectra before whitening.

    Returns:
        The rows, each of length 1 or 0.

    >>> import jax.numpy as jnp
    >>> normalise_components(jnp.array([[3.0, -4.0]]), SolverOptions()).tolist()
    [[1.0, 0.0]]
    """
    if options.non_negative and whitener is not None:
        # Whitening mixes bands: only in the original coordinates has the sign a meaning.
        rows = jnp.maximum(rows @ whitener.colouring_matrix, 0) @ whitener.whitening_matrix
    elif options.non_negative:
        rows = jnp.maximum(rows, 0)
    return unit_rows(rows, _MIN_NORM)


def coefficient_penalty(pool: ComponentPool) -> Float[Array, ""]:
    """Penalty of one coefficient in this pool, see `sparse_coding.sparsity_penalty`."""
    return sparsity_penalty(jnp.sum(pool.active).astype(jnp.float32))


def encode(
    x: Float[Array, "n c"],
    pool: ComponentPool,
    options: SolverOptions,
    penalty: Float[Array, ""],
    gates: Float[Array, " p"] | None = None,
) -> Float[Array, "n p"]:
    """Sparse codes (concentrations in noise units) of spectra in the pool.

    Args:
        x: spectra in noise units.
        pool: components.
        options: ``max_active``, ``gate_ridge`` and ``non_negative`` are used.
        penalty: of a coefficient, see `coefficient_penalty`.
        gates: of the components, in [0, 1]; all open if not given.

    Returns:
        Codes, zero for inactive components.
    """
    gates = pool.active.astype(x.dtype) if gates is None else gates * pool.active
    return sparse_codes(
        x,
        pool.components,
        gates,
        penalty,
        max_active=options.max_active,
        gate_ridge=options.gate_ridge,
        non_negative=options.non_negative,
    )


def free_component_penalty(usage_counts: Float[Array, "*p"], num_bands: int) -> Float[Array, "*p"]:
    """Penalty of a component whose spectrum is fitted: (sqrt(u) + sqrt(c))^2.

    It is the square of the largest singular value of u x c white noise: the most that one
    additional component gains on noise alone. Source: the edge of the Marchenko-Pastur law.

    Args:
        usage_counts: u, the number of spectra that use the component; at least 1 is assumed.
        num_bands: c.

    Returns:
        The penalties, in units of chi-squared.

    >>> import jax.numpy as jnp
    >>> float(free_component_penalty(jnp.array(9.0), 16))
    49.0
    """
    # At least 1: a component that nothing uses costs as much as the rarest.
    return (jnp.sqrt(jnp.maximum(usage_counts, 1.0)) + num_bands**0.5) ** 2


def component_penalties(
    usage_counts: Float[Array, " p"], pool: ComponentPool
) -> Float[Array, " p"]:
    """Penalty of each component: the least gain that it must have.

    For a fitted spectrum it is `free_component_penalty`. A fixed spectrum cannot adapt to noise; it
    only pays for being chosen among p, 2 (log(p + 1) + 2).

    Args:
        usage_counts: number of spectra that use each component.
        pool: components.

    Returns:
        Penalties in units of chi-squared, for every slot.
    """
    free_penalties = free_component_penalty(usage_counts, pool.components.shape[1])
    return jnp.where(pool.fixed, coefficient_penalty(pool), free_penalties)


def component_gains(
    codes: Float[Array, "n p"], components: Float[Array, "p c"], is_open: Bool[Array, " p"]
) -> Float[Array, " p"]:
    """Upper bound of the rise of the squared residual if one component were removed.

    The smaller of two closed forms: with all other spectra refitted, 1 / [(C'C)^-1]_jj for unit
    components; with all other concentrations refitted, sum_n c_nj^2 / [(S S')^-1]_jj. Refitting
    both together would compensate for more, hence "upper bound".

    Args:
        codes: C, in noise units.
        components: S, unit rows.
        is_open: components that take part.

    Returns:
        The gains, in units of chi-squared.

    >>> import jax.numpy as jnp
    >>> component_gains(jnp.eye(2) * 3, jnp.eye(2), jnp.ones(2, bool)).round(1).tolist()
    [9.0, 9.0]
    """
    gram = codes.T @ codes
    mean_power = jnp.maximum(jnp.trace(gram) / jnp.maximum(jnp.sum(is_open), 1), 1e-9)
    # A row of zeros would make the Gram matrix singular: unused components get a diagonal.
    ridge = jnp.where(count_usage(codes) > 0, _UNUSED_RIDGE * mean_power, mean_power)
    refitted_spectra = 1 / jnp.diagonal(inverse(gram + jnp.diag(ridge)))
    open_components = components * is_open[:, None]
    # Closed components have zero rows here; 1 keeps the matrix invertible and them apart.
    cosine_ridge = jnp.diag(jnp.where(is_open, _COSINE_RIDGE, 1.0))
    cosine_gram = open_components @ open_components.T
    refitted_codes = 1 / jnp.diagonal(inverse(cosine_gram + cosine_ridge))
    return jnp.minimum(refitted_spectra, jnp.sum(codes**2, axis=0) * refitted_codes)


def log_evidence(
    codes: Float[Array, "n p"],
    pool: ComponentPool,
    penalty: Float[Array, ""],
    is_open: Bool[Array, " p"] | None = None,
) -> Float[Array, " p"]:
    """log((gain - penalties of its coefficients) / component penalty) of each component.

    Args:
        codes: in noise units.
        pool: components.
        penalty: of a coefficient.
        is_open: components that take part; all active ones if not given.

    Returns:
        Above 0 where a component gains more than noise alone could.
    """
    usage_counts = count_usage(codes)
    is_open = pool.active if is_open is None else is_open
    net_gains = component_gains(codes, pool.components, is_open) - penalty * usage_counts
    # A gain of less than 1 chi-squared is nothing; the bound keeps the logarithm finite.
    return jnp.log(jnp.maximum(net_gains, 1.0) / component_penalties(usage_counts, pool))
