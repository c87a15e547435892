"""Pre-treatment of spectra as steps that are named, printed, and applied to new spectra alike.

| step | what it does |
|---|---|
| ``cut 500 1700`` | leaves the bands between two places on the axis |
| ``resample 2`` | interpolates linearly to an even axis of this spacing |
| ``despike 8`` | replaces spikes by a local median (modified z-score of differences) |
| ``baseline arpls 1e5`` | subtracts a baseline of pybaselines (asls, arpls, airpls; smoothness) |
| ``savgol 11 2 0`` | Savitzky-Golay: window, order, derivative |
| ``snv`` | standard normal variate: each spectrum less its mean, over its deviation |
| ``normalise area`` | each spectrum over its area, maximum (``max``) or length (``norm``) |
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import savgol_filter

from jaxhsi.data.tables.spectra_table import SpectraTable, as_float32

DEFAULT_SPIKE_SCORE = 8.0
"""Modified z-score of differences from which a value is a spike: Whitaker and Hayes, Chemometrics
and Intelligent Laboratory Systems 179 (2018) 82, who give 6 to 8 for Raman spectra."""

DEFAULT_SMOOTHNESS = 1e5
"""Of baselines; pybaselines' own for arpls."""

BASELINES = ("asls", "arpls", "airpls")
LINEAR_STEPS = ("cut", "resample", "savgol")
"""Steps that treat a mixture as they treat its components, and so a truth and a library too."""
_NONLINEAR_STEPS = ("despike", "baseline")
"""Steps after which spectra are no longer linear mixtures: what they change depends on all
components of a spectrum at once. Those that scale whole spectra leave mixtures linear."""


class Step(NamedTuple):
    """A step of a pre-treatment: its name and what follows it."""

    name: str
    arguments: tuple[str, ...] = ()


class TreatedSpectra(NamedTuple):
    """Spectra after a pre-treatment.

    Attributes:
        spectra: (n, c), of another number of bands where the range was cut or resampled.
        axis: of them, or None.
        notes: what each step did.
    """

    spectra: np.ndarray
    axis: np.ndarray | None
    notes: tuple[str, ...] = ()


def parse_steps(text: str | None) -> tuple[Step, ...]:
    """The steps of a text with commas between them.

    Raises:
        ValueError: an unknown step, or arguments that do not go with it.

    Examples:
        >>> parse_steps("cut 500 1700, snv")
        (Step(name='cut', arguments=('500', '1700')), Step(name='snv', arguments=()))
    """
    steps = []
    for part in (text or "").split(","):
        words = part.split()
        if not words:
            continue
        if words[0] not in _ACTIONS:
            raise ValueError(
                f"the pre-treatment {words[0]!r} is unknown; steps are {', '.join(_ACTIONS)}"
            )
        step = Step(words[0], tuple(words[1:]))
        _check_arguments(step)
        steps.append(step)
    return tuple(steps)


def nonlinear_steps(text: str | None) -> tuple[str, ...]:
    """The steps of a text after which mixtures are no longer linear, as they are written.

    >>> nonlinear_steps("cut 500 1700, baseline arpls 1e5, snv")
    ('baseline arpls 1e5',)
    """
    steps = parse_steps(text)
    return tuple(
        " ".join((step.name, *step.arguments)) for step in steps if step.name in _NONLINEAR_STEPS
    )


def _check_arguments(step: Step) -> None:
    least, most, example = _ARGUMENTS[step.name]
    words = step.arguments[1:] if step.name == "baseline" else step.arguments
    numbers = words if step.name != "normalise" else ()
    try:
        [float(number) for number in numbers]
        is_valid = least <= len(step.arguments) <= most
    except ValueError:
        is_valid = False
    if step.name == "baseline" and step.arguments and step.arguments[0] not in BASELINES:
        is_valid = False
    if step.name == "normalise" and step.arguments and step.arguments[0] not in _SIZES:
        is_valid = False
    if not is_valid:
        raise ValueError(
            f"the pre-treatment {' '.join((step.name, *step.arguments))!r} cannot be read; write "
            f"it like {example!r}"
        )


def apply_steps(
    steps: tuple[Step, ...], spectra: np.ndarray, axis: np.ndarray | None = None
) -> TreatedSpectra:
    """Apply a pre-treatment to spectra in rows.

    Args:
        steps: see `parse_steps`.
        spectra: (n, c).
        axis: of the bands; numbers from 0 where there is none.

    Raises:
        ImportError: a baseline without pybaselines.
        ValueError: a range without bands, a window longer than the spectra, or a spectrum that
            cannot be normalised.

    Examples:
        >>> treated = apply_steps(parse_steps("cut 1 3"), np.arange(10.0).reshape(2, 5))
        >>> treated.spectra.tolist(), treated.notes
        ([[1.0, 2.0, 3.0], [6.0, 7.0, 8.0]], ('pre-treatment 1: cut 1 3, 3 of 5 bands are left',))
    """
    values = np.asarray(spectra, np.float64)
    places = np.arange(values.shape[1], dtype=float) if axis is None else axis
    notes = []
    for number, step in enumerate(steps, 1):
        num_before = values.shape[1]
        values, places, what = _ACTIONS[step.name](values, places, step.arguments)
        left = f"{values.shape[1]} of {num_before} bands are left"
        text = " ".join((step.name, *step.arguments))
        notes.append(f"pre-treatment {number}: {text}, {what or left}")
    return TreatedSpectra(values, None if axis is None else places, tuple(notes))


def treat_table(table: SpectraTable, steps: tuple[Step, ...]) -> SpectraTable:
    """The table after a pre-treatment, with a note for each step.

    Raises:
        ValueError: pixels of cubes, or as `apply_steps`.
    """
    if not steps:
        return table
    if table.cubes:
        raise ValueError(f"{table.source_name}: a pre-treatment belongs to tables, these are cubes")
    if table.missing_mask is not None:
        raise ValueError(
            f"{table.source_name}: a pre-treatment needs every value; say --missing interpolate in "
            "the place of mask"
        )
    treated = apply_steps(steps, table.spectra, table.axis)
    return table._replace(
        spectra=as_float32(treated.spectra, table.source_name),
        axis=treated.axis,
        notes=(*table.notes, *treated.notes),
    )


def treat_pure_spectra(
    spectra: np.ndarray, steps: tuple[Step, ...], axis: np.ndarray | None
) -> np.ndarray:
    """Components of a truth or a library after those steps that treat mixtures alike."""
    linear_steps = tuple(step for step in steps if step.name in LINEAR_STEPS)
    return apply_steps(linear_steps, spectra, axis).spectra.astype(np.float32)


Result = tuple[np.ndarray, np.ndarray, str]


def _cut(values: np.ndarray, axis: np.ndarray, arguments: tuple[str, ...]) -> Result:
    low, high = sorted(map(float, arguments))
    inside = (axis >= low) & (axis <= high)
    if inside.sum() < 2:
        raise ValueError(
            f"the pre-treatment cut {low:g} {high:g} leaves {inside.sum()} bands; the axis runs "
            f"from {axis[0]:g} to {axis[-1]:g}"
        )
    return values[:, inside], axis[inside], ""


def _resample(values: np.ndarray, axis: np.ndarray, arguments: tuple[str, ...]) -> Result:
    step = float(arguments[0])
    order = np.argsort(axis)
    rising = axis[order]
    if not 0 < step <= (rising[-1] - rising[0]) / 2:
        raise ValueError(
            f"the pre-treatment resample {step:g} leaves fewer than three bands between "
            f"{rising[0]:g} and {rising[-1]:g}"
        )
    num_steps = int(np.floor((rising[-1] - rising[0]) / step + 1e-9))
    even = rising[0] + step * np.arange(num_steps + 1)
    resampled = np.stack([np.interp(even, rising, row[order]) for row in values])
    if axis[0] > axis[-1]:
        even, resampled = even[::-1], resampled[:, ::-1]
    return resampled, even, f"{len(even)} bands from {even[0]:g} to {even[-1]:g}"


def _despike(values: np.ndarray, axis: np.ndarray, arguments: tuple[str, ...]) -> Result:
    threshold = float(arguments[0]) if arguments else DEFAULT_SPIKE_SCORE
    differences = np.diff(values, axis=1, prepend=values[:, :1])
    centred = differences - np.median(differences, axis=1, keepdims=True)
    deviation = np.median(np.abs(centred), axis=1, keepdims=True)
    scores = 0.6745 * np.abs(centred) / np.maximum(deviation, 1e-300)
    # A spike rises and falls: two steps, of opposite sign, at most three bands apart.
    rises, falls = (scores > threshold) & (centred > 0), (scores > threshold) & (centred < 0)
    is_spike = np.zeros_like(rises)
    for width in (1, 2, 3):
        pair = rises[:, :-width] & falls[:, width:]
        for offset in range(width):
            is_spike[:, offset : pair.shape[1] + offset] |= pair
    smooth = median_filter(values, size=(1, 9), mode="nearest")
    what = f"{is_spike.sum()} values of {is_spike.any(1).sum()} spectra were replaced"
    return np.where(is_spike, smooth, values), axis, what


def _baseline(values: np.ndarray, axis: np.ndarray, arguments: tuple[str, ...]) -> Result:
    try:
        from pybaselines import Baseline
    except ImportError as error:
        raise ImportError(
            "the pre-treatment baseline needs pybaselines: pip install 'jaxhsi[spectra]'"
        ) from error
    method = arguments[0] if arguments else "arpls"
    smoothness = float(arguments[1]) if len(arguments) > 1 else DEFAULT_SMOOTHNESS
    fitter = getattr(Baseline(x_data=axis), method)
    baselines = np.stack([fitter(row, lam=smoothness)[0] for row in values])
    size = np.abs(baselines).mean() / np.maximum(np.abs(values).mean(), 1e-300)
    return values - baselines, axis, f"{size:.1%} of the mean value was subtracted"


def _savgol(values: np.ndarray, axis: np.ndarray, arguments: tuple[str, ...]) -> Result:
    window, order, *derivative = (int(float(number)) for number in arguments)
    if not order < window <= values.shape[1]:
        raise ValueError(
            f"the pre-treatment savgol {window} {order} needs a window longer than the order, and "
            f"at most the {values.shape[1]} bands"
        )
    spacing = float(np.median(np.diff(axis)))
    smoothed = savgol_filter(values, window, order, *(derivative or [0]), delta=spacing, axis=1)
    return smoothed, axis, ""


def _snv(values: np.ndarray, axis: np.ndarray, _: tuple[str, ...]) -> Result:
    centred = values - values.mean(axis=1, keepdims=True)
    return centred / _positive(values.std(axis=1), "a deviation of zero"), axis, ""


_SIZES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "area": lambda values, axis: np.abs(np.trapezoid(values, axis, axis=1)),
    "max": lambda values, axis: values.max(axis=1),
    "norm": lambda values, axis: np.linalg.norm(values, axis=1),
}


def _normalise(values: np.ndarray, axis: np.ndarray, arguments: tuple[str, ...]) -> Result:
    kind = arguments[0] if arguments else "norm"
    return values / _positive(_SIZES[kind](values, axis), f"no positive {kind}"), axis, ""


def _positive(sizes: np.ndarray, what: str) -> np.ndarray:
    if not (sizes > 0).all():
        raise ValueError(
            f"spectrum {int(np.argmin(sizes)) + 1} has {what} and cannot be normalised; leave it "
            "out"
        )
    return sizes[:, None]


_ACTIONS: dict[str, Callable[[np.ndarray, np.ndarray, tuple[str, ...]], Result]] = {
    "cut": _cut,
    "resample": _resample,
    "despike": _despike,
    "baseline": _baseline,
    "savgol": _savgol,
    "snv": _snv,
    "normalise": _normalise,
}
_ARGUMENTS = {
    "cut": (2, 2, "cut 500 1700"),
    "resample": (1, 1, "resample 2"),
    "despike": (0, 1, "despike 8"),
    "baseline": (0, 2, "baseline arpls 1e5"),
    "savgol": (2, 3, "savgol 11 2"),
    "snv": (0, 0, "snv"),
    "normalise": (0, 1, "normalise area"),
}
