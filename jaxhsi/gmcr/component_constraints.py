"""What is known of single components: spectra, absences, and concentrations of some samples.

Constraints speak of components by their place: row or column j of every array is the same one. A
linear solution has its components in an order of its own; `apply_constraints` puts those that fit
the constraints best in their places, at the head of the solution, and adds those that are missing.
`constraint_prior` is the projections that hold the constraints through the refinement.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment, nnls

from jaxhsi.gmcr.concentration_priors import dense_concentrations
from jaxhsi.gmcr.priors import (
    Prior,
    combine_priors,
    equality,
    selectivity,
    unimodality,
)
from jaxhsi.gmcr.solution import Solution

_NO_MATCH = 1.0
"""Distance of a constraint and a component of which nothing is common."""


class ComponentConstraints(NamedTuple):
    """Constraints on the first components of a result; m is the same in all that are given.

    Attributes:
        spectra: NaN in the rows of components whose spectrum is not known.
        absent: samples that lack a component.
        concentrations: NaN where they are not known.
        unimodal: components that have one peak in each run.
    """

    spectra: Float[np.ndarray, "m c"] | None = None
    absent: Bool[np.ndarray, "n m"] | None = None
    concentrations: Float[np.ndarray, "n m"] | None = None
    unimodal: tuple[bool, ...] | None = None

    @property
    def count(self) -> int:
        """Number of components that are spoken of."""
        sizes = [0 if self.spectra is None else len(self.spectra), len(self.unimodal or ())]
        columns = (self.absent, self.concentrations)
        return max(*sizes, *(0 if each is None else each.shape[1] for each in columns))

    def padded(self, num_samples: int, num_bands: int, count: int) -> "ComponentConstraints":
        """The same for more components, of which nothing is known; no array is None."""
        return ComponentConstraints(
            _padded(self.spectra, (count, num_bands), np.nan),
            _padded(self.absent, (num_samples, count), False),
            _padded(self.concentrations, (num_samples, count), np.nan),
            (*(self.unimodal or ()), *([False] * count))[:count],
        )


def _padded(values: np.ndarray | None, shape: tuple[int, int], fill: float | bool) -> np.ndarray:
    result = np.full(shape, fill)
    if values is not None:
        result[: values.shape[0], : values.shape[1]] = values
    return result


def check_constraints(
    constraints: ComponentConstraints, num_samples: int, num_bands: int, num_components: int | None
) -> None:
    """Refuse constraints that do not go with a table.

    Args:
        constraints: to check.
        num_samples: of the table.
        num_bands: of the table.
        num_components: given for the result, or None.

    Raises:
        ValueError: shapes that do not fit, a known spectrum that is partly unknown or zero, a
            component that is absent everywhere, concentrations that are known where the component
            is absent, or more constraints than components.
    """
    spectra, absent, concentrations, _ = constraints
    if spectra is not None and spectra.shape[1] != num_bands:
        raise ValueError(
            f"known has {spectra.shape[1]} bands and the spectra {num_bands}; resample one of them"
        )
    for name, values in (("absent", absent), ("known_concentrations", concentrations)):
        if values is not None and len(values) != num_samples:
            raise ValueError(
                f"{name} has {len(values)} rows and the table {num_samples} samples; give a row "
                "for each sample"
            )
    if num_components is not None and constraints.count > num_components:
        raise ValueError(
            f"num_components {num_components} are fewer than the {constraints.count} that known, "
            "absent and known_concentrations speak of; give as many at least"
        )
    if absent is not None and absent.all(axis=0).any():
        column = int(np.flatnonzero(absent.all(axis=0))[0]) + 1
        raise ValueError(
            f"absent leaves component {column} in no sample; leave at least one sample free"
        )
    full = constraints.padded(num_samples, num_bands, constraints.count)
    spectrum_is_known = np.isfinite(full.spectra)
    if (spectrum_is_known.any(1) != spectrum_is_known.all(1)).any():
        raise ValueError("known holds values that are not finite; give whole spectra")
    if (np.nan_to_num(full.spectra) == 0).all(1)[spectrum_is_known.all(1)].any():
        raise ValueError("known holds a spectrum that is all zero; leave it out")
    clash = full.absent & (np.nan_to_num(full.concentrations) != 0)
    if clash.any():
        sample, column = (int(i) + 1 for i in np.argwhere(clash)[0])
        raise ValueError(
            f"known_concentrations has {full.concentrations[sample - 1, column - 1]:g} of "
            f"component {column} in sample {sample}, where absent says there is none; change one "
            "of them"
        )


def apply_constraints(
    solution: Solution, spectra: Float[np.ndarray, "n c"], constraints: ComponentConstraints
) -> Solution:
    """A solution whose first components are those that the constraints speak of.

    Each takes the place of the component that is most like it: by the cosine of spectra, by what it
    has in samples that lack it, and by the cosine of concentrations. Known spectra replace the
    solution's, and concentrations are fitted anew; a known spectrum that resembles no component
    more than others do still takes one's place, since components are as many as the rank. Where
    concentrations are known, their component has the size that goes with them.

    Args:
        solution: of the linear solver.
        spectra: without offset.
        constraints: as `check_constraints` takes them.

    Raises:
        ValueError: more constraints on absences than the solution has components.
    """
    num_samples, num_bands = spectra.shape
    count = constraints.count
    full = constraints.padded(num_samples, num_bands, count)
    solution = _with_missing_components(solution, spectra, full)
    rows, columns = linear_sum_assignment(_distances(solution, full))
    chosen = columns[np.argsort(rows)]
    rest = np.setdiff1d(np.arange(len(solution.components)), chosen)
    solution = _reordered(solution, np.concatenate([chosen, rest]))
    full = constraints.padded(num_samples, num_bands, len(solution.components))
    components = np.array(solution.components, np.float64)
    is_known = np.isfinite(full.spectra).all(1)
    components[is_known] = full.spectra[is_known]
    has_size = np.isfinite(full.concentrations).any(0)
    unit_rows = components / np.linalg.norm(components, axis=1, keepdims=True)
    components = np.where((is_known & has_size)[:, None], components, unit_rows)
    concentrations = _non_negative_fit(spectra, components, full.absent)
    sizes = np.where(is_known, 1.0, _sizes_of_concentrations(concentrations, full.concentrations))
    return solution._replace(
        components=(components * sizes[:, None]).astype(np.float32),
        concentrations=(concentrations / sizes).astype(np.float32),
        in_library=np.asarray(solution.in_library) | is_known,
    )


def constraint_prior(
    constraints: ComponentConstraints, run_lengths: tuple[int, ...] | None, solution: Solution
) -> Prior:
    """The projections that hold constraints on a solution of `apply_constraints`.

    Known spectra are not among them: the solution's ``in_library`` says so.

    Args:
        constraints: on its first components.
        run_lengths: of the runs of samples, or None for one.
        solution: with all of its components.
    """
    num_samples, count = solution.concentrations.shape
    full = constraints.padded(num_samples, solution.components.shape[1], count)
    priors = [dense_concentrations()]
    if any(full.unimodal or ()):
        priors.append(
            unimodality("concentrations", run_lengths=run_lengths, components=full.unimodal)
        )
    if full.absent.any():
        priors.append(selectivity(concentrations=jnp.asarray(full.absent)))
    if np.isfinite(full.concentrations).any():
        known = jnp.asarray(full.concentrations, jnp.float32)
        priors.append(equality(concentrations=known))
    return combine_priors(*priors)


def _distances(solution: Solution, full: ComponentConstraints) -> Float[np.ndarray, "m k"]:
    """How badly each component of a solution fits each constraint, 0 to 1, mean of those given."""
    components = np.asarray(solution.components, np.float64)
    concentrations = np.asarray(solution.concentrations, np.float64)
    terms = []
    for j in range(len(full.spectra)):
        own = []
        if np.isfinite(full.spectra[j]).all():
            own.append(1 - _squared_cosines(full.spectra[j], components))
        if full.absent[:, j].any():
            power = np.sum(concentrations**2, axis=0)
            own.append(np.sum(concentrations[full.absent[:, j]] ** 2, 0) / np.maximum(power, 1e-30))
        known = np.isfinite(full.concentrations[:, j])
        if known.any():
            values = full.concentrations[known, j]
            own.append(1 - _squared_cosines(values, concentrations[known].T))
        terms.append(np.mean(own, axis=0) if own else np.full(len(components), _NO_MATCH))
    return np.array(terms)


def _squared_cosines(vector: np.ndarray, rows: np.ndarray) -> Float[np.ndarray, " k"]:
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    return (rows @ vector / np.maximum(norms, 1e-30)) ** 2


def _with_missing_components(
    solution: Solution, spectra: np.ndarray, full: ComponentConstraints
) -> Solution:
    """The solution with components added, where fewer were found than are spoken of."""
    num_missing = len(full.spectra) - len(solution.components)
    if num_missing <= 0:
        return solution
    has_spectrum = np.isfinite(full.spectra).all(1)
    has_concentrations = np.isfinite(full.concentrations).any(0)
    candidates = [
        *np.flatnonzero(has_spectrum),
        *np.flatnonzero(~has_spectrum & has_concentrations),
    ]
    if len(candidates) < num_missing:
        raise ValueError(
            f"absent speaks of {len(full.spectra)} components and {len(solution.components)} were "
            f"found; drop columns, or give num_components {len(full.spectra)}"
        )
    distances = _distances(solution, full).min(axis=1)
    # What is least like anything that was found is what is missing.
    added = sorted(candidates, key=lambda j: -distances[j])[:num_missing]
    new_rows = [_initial_spectrum(spectra, full, int(j)) for j in added]
    components = np.concatenate([np.asarray(solution.components), np.array(new_rows)])
    padding = ((0, 0), (0, num_missing))
    return solution._replace(
        components=components,
        concentrations=np.pad(np.asarray(solution.concentrations), padding),
        gate_probabilities=np.append(solution.gate_probabilities, np.ones(num_missing)),
        in_library=np.append(solution.in_library, np.zeros(num_missing, bool)),
    )


def _initial_spectrum(spectra: np.ndarray, full: ComponentConstraints, j: int) -> np.ndarray:
    """The known spectrum of a component, or what grows with its known concentrations."""
    if np.isfinite(full.spectra[j]).all():
        return full.spectra[j] / np.linalg.norm(full.spectra[j])
    known = np.isfinite(full.concentrations[:, j])
    values = full.concentrations[known, j]
    row = np.maximum(values @ spectra[known], 1e-12)
    return row / np.linalg.norm(row)


def _reordered(solution: Solution, order: np.ndarray) -> Solution:
    vote = solution.restart_vote
    if vote is not None:
        agreement = np.pad(vote.agreement, (0, len(order) - len(vote.agreement)))
        vote = vote._replace(agreement=agreement[order])
    return solution._replace(
        components=np.asarray(solution.components)[order],
        concentrations=np.asarray(solution.concentrations)[:, order],
        gate_probabilities=np.asarray(solution.gate_probabilities)[order],
        in_library=np.asarray(solution.in_library)[order],
        restart_vote=vote,
    )


def _non_negative_fit(
    spectra: np.ndarray, components: np.ndarray, absent: np.ndarray
) -> Float[np.ndarray, "n k"]:
    """Concentrations by non-negative least squares, zero where a component is absent."""
    result = np.zeros((len(spectra), len(components)))
    for row, spectrum, is_absent in zip(result, spectra, absent, strict=True):
        row[~is_absent] = nnls(components[~is_absent].T, spectrum)[0]
    return result


def _sizes_of_concentrations(
    concentrations: np.ndarray, known: np.ndarray
) -> Float[np.ndarray, " k"]:
    """Factors of the components by which concentrations become those that are known; else 1."""
    is_known, values = np.isfinite(known), np.nan_to_num(known)
    products = np.sum(np.where(is_known, concentrations * values, 0.0), axis=0)
    squares = np.sum(values**2, axis=0)
    sizes = np.where(squares > 0, products / np.maximum(squares, 1e-30), 1.0)
    return np.where(sizes > 0, sizes, 1.0)
