"""Candidate components, what they cost, and what the data say for each of them.

Everything is in noise units: spectra divided by their noise deviation.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxhsi.gmcr.noise_covariance import NoiseWhitener
from jaxhsi.gmcr.sparse_coding import coefficient_price, sparse_codes, used
from jaxhsi.linear_algebra import inverse


@dataclass(frozen=True)
class Options:
    """What a user may set; the defaults serve all data shown.

    Attributes:
        non_negative: components and concentrations have no negative values.
        most: components of one spectrum at most.
        margin: a component must gain this many times what noise could.
        pressure: the same at the beginning of the first phase; it falls to `margin`.
        later_pressure: at the beginning of later phases.
        steps: of a phase.
        refresh: steps after which the noise law is fitted anew; divides `steps`.
        rate: how fast gates move.
        newton: share of the Newton step that components take.
        ridge: how strongly a half-closed gate damps its component.
        rounds: of alternating codes and least-squares spectra that end a phase.
        strictness: multiple of the coefficients' price in the first of these rounds; it falls to 1.
        dearest: share of a spectrum's square that coefficients cost at first where the rounds are
            gone through again; 0 to leave that out.
        doubted: the weakest components, which are left out one at a time to see if they are
            needed.
        phases: of gates at most; the run says so where it had not converged by then.
    """

    non_negative: bool = True
    most: int = 12
    margin: float = 1.2
    pressure: float = 4.0
    later_pressure: float = 2.0
    steps: int = 80
    refresh: int = 20
    rate: float = 0.25
    newton: float = 0.8
    ridge: float = 0.1
    rounds: int = 10
    strictness: float = 30.0
    dearest: float = 0.006
    doubted: int = 3
    phases: int = 8

    def __post_init__(self):
        """Refuse values that cannot work."""
        for name in ("most", "steps", "refresh", "rounds", "doubted"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is out of range; give 1 or more")
        if self.strictness < 1:
            raise ValueError(f"strictness {self.strictness} is out of range; give 1 or more")
        if not 0 <= self.dearest < 1:
            raise ValueError(f"dearest {self.dearest} is no share; give 0 or more, below 1")
        if self.phases < 2:
            raise ValueError(f"phases {self.phases} cannot show convergence; give 2 or more")
        if self.steps % self.refresh:
            raise ValueError(f"refresh {self.refresh} does not divide steps {self.steps}")
        if min(self.pressure, self.later_pressure) < self.margin or self.margin <= 0:
            raise ValueError(
                f"pressure {self.pressure} and later_pressure {self.later_pressure} fall to margin "
                f"{self.margin}; they must not be smaller, and it is above 0"
            )


class Candidates(NamedTuple):
    """Candidate components; a slot that is not alive holds nothing.

    Attributes:
        components: unit rows, zero where not alive.
        alive: slots that hold a component.
        fixed: given components, which do not change.
        frame: where the noise is white, if that is not the space of the spectra: components are in
            it then.
    """

    components: Float[Array, "p c"]
    alive: Bool[Array, " p"]
    fixed: Bool[Array, " p"]
    frame: NoiseWhitener | None = None

    def keep(self, alive: Bool[Array, " p"]) -> "Candidates":
        """Without what is not in ``alive``."""
        alive = self.alive & alive
        return self._replace(components=self.components * alive[:, None], alive=alive)

    def update(self, rows: Float[Array, "p c"], options: Options) -> "Candidates":
        """With new spectra, brought into shape; those that are fixed or not alive stay."""
        changed = (self.alive & ~self.fixed)[:, None]
        new = shape(rows, options, self.frame)
        return self._replace(components=jnp.where(changed, new, self.components))


def shape(
    rows: Float[Array, "p c"], options: Options, frame: NoiseWhitener | None = None
) -> Float[Array, "p c"]:
    """Rows of unit length, non-negative where that is asked; zero rows stay.

    In a frame, it is the spectra behind the rows that are not negative.
    """
    if options.non_negative and frame is not None:
        rows = jnp.maximum(rows @ frame.colouring_matrix, 0) @ frame.whitening_matrix
    elif options.non_negative:
        rows = jnp.maximum(rows, 0)
    return rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def coefficient_cost(pool: Candidates) -> Float[Array, ""]:
    """Price of a coefficient, see `coding.coefficient_price`."""
    return coefficient_price(jnp.sum(pool.alive).astype(jnp.float32))


def encode(
    x: Float[Array, "n c"],
    pool: Candidates,
    options: Options,
    cost: Float[Array, ""],
    gates: Float[Array, " p"] | None = None,
) -> Float[Array, "n p"]:
    """Sparse codes of spectra in the pool, with all gates open if none are given."""
    gates = pool.alive.astype(x.dtype) if gates is None else gates * pool.alive
    return sparse_codes(
        x,
        pool.components,
        gates,
        cost,
        most=options.most,
        ridge=options.ridge,
        non_negative=options.non_negative,
    )


def free_price(users: Float[Array, "*p"], bands: int) -> Float[Array, "*p"]:
    """What a spectrum free to adapt must gain at least, given how many spectra n use it.

    (sqrt(n) + sqrt(c))^2, the square of the largest singular value of n x c white noise: what the
    best new spectrum gains on noise alone.
    """
    return (jnp.sqrt(jnp.maximum(users, 1.0)) + bands**0.5) ** 2


def price(users: Float[Array, " p"], pool: Candidates) -> Float[Array, " p"]:
    """What each component must gain at least, given how many spectra use it.

    That of `free_price`; a fixed spectrum cannot adapt to noise, it pays for being chosen among
    p, 2 (log(p + 1) + 2).
    """
    free = free_price(users, pool.components.shape[1])
    return jnp.where(pool.fixed, coefficient_cost(pool), free)


def gains(
    codes: Float[Array, "n p"], components: Float[Array, "p c"], is_open: Bool[Array, " p"]
) -> Float[Array, " p"]:
    """By how much the squared residual would grow at most without each component.

    The smaller of two closed forms: with all other spectra refitted, 1 / [(C'C)^-1]_jj for unit
    components; with all other concentrations refitted, sum c_j^2 / [(S S')^-1]_jj. Both refitted
    together would make up for more.
    """
    gram = codes.T @ codes
    scale = jnp.maximum(jnp.trace(gram) / jnp.maximum(jnp.sum(is_open), 1), 1e-9)
    idle = jnp.where(used(codes) > 0, 1e-5 * scale, scale)  # codes may be all but dependent
    spectra = 1 / jnp.diagonal(inverse(gram + jnp.diag(idle)))
    shown = components * is_open[:, None]
    mixes = 1 / jnp.diagonal(inverse(shown @ shown.T + jnp.diag(jnp.where(is_open, 1e-4, 1.0))))
    return jnp.minimum(spectra, jnp.sum(codes**2, axis=0) * mixes)


def evidence(
    codes: Float[Array, "n p"],
    pool: Candidates,
    cost: Float[Array, ""],
    is_open: Bool[Array, " p"] | None = None,
) -> Float[Array, " p"]:
    """log(gain / price) of each component, what its codes cost taken off the gain."""
    users = used(codes)
    is_open = pool.alive if is_open is None else is_open
    gain = gains(codes, pool.components, is_open) - cost * users
    return jnp.log(jnp.maximum(gain, 1.0) / price(users, pool))
