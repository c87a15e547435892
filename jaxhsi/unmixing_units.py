"""Units around the solver: spectra divided by a number near their size, results brought back.

The solver works on spectra of a root mean square near 1. A power of two divides them, so that no
digit changes.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Float32

from jaxhsi.data.tables.negative_values import describe_negative_values
from jaxhsi.gmcr.component_constraints import ComponentConstraints
from jaxhsi.gmcr.data_scale import data_scale
from jaxhsi.gmcr.mixing import FORWARD_MODELS, ForwardModel, linear, rescale_model
from jaxhsi.gmcr.nonlinear import PriorFactory
from jaxhsi.gmcr.odd_spectra import (
    MAX_DOMINANCE,
    describe_odd,
    dominant_value,
    far_values,
    size_ratios,
)
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.priors import Prior
from jaxhsi.gmcr.solution import Solution
from jaxhsi.gmcr.weighted_projection import first_fill
from jaxhsi.workflows.unmixing_model import UnmixingModel


class ScaledData(NamedTuple):
    """Spectra divided by a number near their size, and the mixing model for them.

    Attributes:
        spectra_scaled: what the solver sees.
        data_unit: that the spectra were divided by.
        scaled_forward: mixing of scaled concentrations to scaled spectra.
        has_shared_mixing: the mixing is not linear, and its parameters are the same for all
            spectra, new ones included.
    """

    spectra_scaled: Float32[np.ndarray, "n c"]
    data_unit: float
    scaled_forward: Any
    has_shared_mixing: bool


def scale_data(
    spectra: Float[np.ndarray | Array, "..."], mixing: str, options: SolverOptions
) -> ScaledData:
    """Spectra divided by a power of two near their root mean square, and the mixing for them.

    Args:
        spectra: (n, c), one a row.
        mixing: "linear", or a name in `jaxhsi.gmcr.mixing.FORWARD_MODELS`.
        options: of the solver; negative values are spoken of where it allows none.

    Raises:
        ValueError: no table, or an unknown mixing.
    """
    table = _checked_spectra(spectra, mixing, options)
    unit = data_scale(table)
    forward = linear if mixing == "linear" else FORWARD_MODELS[mixing]()
    if not isinstance(forward, ForwardModel):
        return ScaledData(table / np.float32(unit), unit, forward, False)
    return ScaledData(
        table / np.float32(unit), unit, rescale_model(forward, unit), not forward.per_spectrum
    )


def separate_missing(
    spectra: Any, missing: str | None
) -> tuple[Any, Bool[np.ndarray, "n c"] | None]:
    """The table with estimates in the place of missing values, and where these are.

    Args:
        spectra: (n, c); NaN is missing.
        missing: "mask", or None where no value may be missing.

    Raises:
        ValueError: another choice, or a spectrum or band without any value.

    >>> separate_missing(np.array([[1.0, 2.0], [2.0, np.nan]]), "mask")[0].round(2).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    if missing is None:
        return spectra, None
    if missing != "mask":
        raise ValueError(f"missing {missing!r} is unknown; give 'mask', or None")
    table = np.asarray(spectra, np.float64)
    mask = np.isnan(table)
    for axis, name in ((1, "spectra"), (0, "bands")):
        if mask.all(axis=axis).any():
            raise ValueError(
                f"{mask.all(axis=axis).sum()} {name} have no value at all; remove them"
            )
    return (first_fill(table, mask), mask) if mask.any() else (spectra, None)


def leave_out_far_values(
    spectra: Any,
    missing_mask: Bool[np.ndarray, "n c"] | None,
    names: Sequence[str] | None,
    axis: Float[np.ndarray, " c"] | None,
) -> tuple[Any, Bool[np.ndarray, "n c"] | None]:
    """The table with estimates in the place of values far above all others, which are named.

    Args:
        spectra: (n, c), missing values replaced.
        missing_mask: where these were, or None.
        names: of the spectra; numbers from 1 if None.
        axis: number of each band; numbers from 1 if None.

    Returns:
        The table, and what takes no part in the fit; both as they were where no value is odd.
    """
    table = np.asarray(spectra, np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        return spectra, missing_mask  # refused later
    mask = far_values(table)
    if not mask.any():
        return spectra, missing_mask
    band_names = _band_names(table, axis)
    unit_ratios = np.ones((len(table), 1), np.float32)
    for line in describe_odd(mask, unit_ratios, _sample_names(table, names), band_names):
        logging.getLogger(__name__).warning(line)
    excluded = mask if missing_mask is None else mask | missing_mask
    return first_fill(table, excluded).astype(np.float32), excluded


def refuse_dominant_values(
    spectra: Any, names: Sequence[str] | None, axis: Float[np.ndarray, " c"] | None
) -> None:
    """Refuse a spectrum beside which nothing is left of the others.

    Args:
        spectra: (n, c), missing values replaced.
        names: of the spectra; numbers from 1 if None.
        axis: number of each band; numbers from 1 if None.

    Raises:
        ValueError: names the spectrum and the band.
    """
    table = np.asarray(spectra, np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        return  # refused later
    place = dominant_value(table)
    if place is not None:
        name, band_name = _sample_names(table, names)[place[0]], _band_names(table, axis)[place[1]]
        raise ValueError(
            f"the value of spectrum {name} at {band_name} is {table[place]:g}, more than "
            f"{MAX_DOMINANCE:,.0f} times all values of the other spectra, of which nothing is left "
            "beside it in float32; remove the spectrum, or mark the value as missing"
        )


def tell_odd_sizes(spectra: Float32[np.ndarray, "n c"], names: Sequence[str] | None) -> None:
    """Log which spectra are of another size than all others, and what is done about them.

    Args:
        spectra: that are unmixed.
        names: of the spectra; numbers from 1 if None.
    """
    ratios = (
        size_ratios(spectra)
        if np.isfinite(spectra).all()
        else np.ones((len(spectra), 1), np.float32)
    )
    no_mask = np.zeros(spectra.shape, bool)
    for line in describe_odd(no_mask, ratios, _sample_names(spectra, names), ()):
        logging.getLogger(__name__).warning(line)


def _sample_names(table: np.ndarray, names: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(names) if names is not None else tuple(str(i + 1) for i in range(len(table)))


def _band_names(table: np.ndarray, axis: Float[np.ndarray, " c"] | None) -> tuple[str, ...]:
    bands = np.arange(1, table.shape[1] + 1) if axis is None else axis
    return tuple(f"{float(band):g}" for band in bands)


def library_component_names(
    components: Float32[np.ndarray, "k c"],
    from_library: Bool[np.ndarray, " k"],
    library: Float[np.ndarray | Array, "l c"] | None,
    library_names: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Names from the library for the components that are in it, numbers for the others.

    >>> eye = np.eye(3, dtype=np.float32)
    >>> library_component_names(eye, np.array([True, False, True]), eye[::-1], ["a", "b", "c"])
    ('c', 'component 2', 'a')
    """
    numbered = tuple(f"component {i + 1}" for i in range(len(components)))
    if library is None:
        return numbered
    library = np.asarray(library, np.float32)
    norms = np.linalg.norm(library, axis=1)
    entries = (components @ (library / norms[:, None]).T).argmax(1)
    names = (
        list(library_names) if library_names else [f"library {i + 1}" for i in range(len(library))]
    )
    return tuple(
        names[entries[i]] if from_library[i] else number for i, number in enumerate(numbered)
    )


def _checked_spectra(
    spectra: Float[np.ndarray | Array, "..."], mixing: str, options: SolverOptions
) -> Float32[np.ndarray, "n c"]:
    table = np.asarray(spectra, np.float32)
    if table.ndim != 2:
        raise ValueError(f"spectra have the shape {table.shape}; give a table (spectra, bands)")
    if mixing != "linear" and mixing not in FORWARD_MODELS:
        raise ValueError(f"mixing {mixing!r} is unknown; give linear, {', '.join(FORWARD_MODELS)}")
    if options.non_negative and np.isfinite(table).all():
        describe_negative_values(table, "spectra", "options.non_negative=False")
    return table


def unit_components(solution: Solution) -> tuple[Solution, Float32[np.ndarray, " k"]]:
    """The solution with components of unit length, and the lengths that they had.

    Networks learn unit rows; a strong prior can leave a component of length zero, which stays.
    """
    components = np.asarray(solution.components)
    norms = np.linalg.norm(components, axis=1)
    norms = np.where(norms > 0, norms, 1)
    normalised = solution._replace(
        components=components / norms[:, None],
        concentrations=np.asarray(solution.concentrations) * norms,
    )
    return normalised, norms


def scale_constraints(
    known: Float[np.ndarray | Array, "m c"] | None,
    absent: Bool[np.ndarray | Array, "n m"] | None,
    known_concentrations: Float[np.ndarray | Array, "n m"] | None,
    data_unit: float,
) -> ComponentConstraints | None:
    """What is known of single components, for spectra divided by a number; None if nothing is.

    Raises:
        ValueError: an array that is no table, or absences that are not true or false.
    """
    arrays = {"known": known, "absent": absent, "known_concentrations": known_concentrations}
    tables = {name: np.asarray(array) for name, array in arrays.items() if array is not None}
    for name, array in tables.items():
        if array.ndim != 2:
            raise ValueError(f"{name} has the shape {array.shape}; give a table")
    mask = tables.get("absent")
    if mask is not None and not np.isin(mask, (0, 1)).all():
        raise ValueError("absent holds other values than true and false; give a mask")
    if not tables:
        return None
    spectra, concentrations = tables.get("known"), tables.get("known_concentrations")
    return ComponentConstraints(
        None if spectra is None else spectra.astype(np.float64) / data_unit,
        None if mask is None else mask.astype(bool),
        None if concentrations is None else concentrations.astype(np.float64),
    )


def reported_norms(
    norms: Float32[np.ndarray, " k"],
    data_unit: float,
    priors: Sequence[PriorFactory],
    constraints: ComponentConstraints | None = None,
) -> Float32[np.ndarray, " k"]:
    """Norms of the reported components: 1, or their own where concentrations have a scale.

    They have one under a prior that fixes their sum, and where some of them are known.
    """
    has_scale = np.full(len(norms), _fixes_sum(priors))
    if constraints is not None and constraints.concentrations is not None:
        is_known = np.isfinite(constraints.concentrations).any(axis=0)
        has_scale[: len(is_known)] |= is_known
    own_norms = norms * np.float32(data_unit)
    return np.where(has_scale, own_norms, 1).astype(np.float32)


def _fixes_sum(priors: Sequence[PriorFactory]) -> bool:
    return any(isinstance(prior, Prior) and prior.concentration_sum is not None for prior in priors)


def in_reported_units(
    model: UnmixingModel, concentrations_scaled: Float32[np.ndarray, "n k"]
) -> tuple[Float32[np.ndarray, "k c"], Float32[np.ndarray, "n k"]]:
    """Components and concentrations in the units of the data, with the norms that are reported."""
    concentrations = concentrations_scaled * np.float32(model.data_unit)
    norms = model.component_norms
    return model.components * norms[:, None], concentrations / norms
