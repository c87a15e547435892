"""Wavelengths as files state them, into nanometres."""

import numpy as np

_METRE_SPELLINGS = ("meter", "metre")
NANOMETRES_PER_UNIT = {
    **dict.fromkeys(("nm", *(f"nano{metre}" for metre in _METRE_SPELLINGS)), 1.0),
    **dict.fromkeys(("um", "micron", *(f"micro{metre}" for metre in _METRE_SPELLINGS)), 1e3),
    **dict.fromkeys(("mm", *(f"milli{metre}" for metre in _METRE_SPELLINGS)), 1e6),
    **dict.fromkeys(("m", *_METRE_SPELLINGS), 1e9),
    "angstrom": 0.1,
}
"""Length of one unit in nm, by its name in lower case and singular."""

OPTICAL_RANGE = (10.0, 100_000.0)
"""Wavelengths in nm, ultraviolet to far infrared, outside of which a stated unit is doubted."""

UNSTATED_UNITS = ("", "unknown", "none", "n/a", "1")


WAVENUMBER_UNITS = ("wavenumber", "cm-1", "1/cm", "cm^-1", "reciprocal centimeter")
"""Names of units of 1/cm, as `plain_unit` writes them."""

NANOMETRES_TIMES_UNIT = {
    **dict.fromkeys(WAVENUMBER_UNITS, 1e7),
    **{"hz": 2.99792458e17, "ghz": 2.99792458e8, "thz": 2.99792458e5},
    **{"ev": 1239.841984, "electronvolt": 1239.841984},
}
"""Units of quantities that are inverse to the wavelength: number times wavelength in nm."""


def plain_unit(unit_name: str | None) -> str:
    """A unit in lower case, singular, with u in the place of Greek letters.

    >>> plain_unit("Nanometers"), plain_unit("µm")
    ('nanometer', 'um')
    """
    plain = (unit_name or "").strip().lower().replace("µ", "u").replace("μ", "u")
    return plain.strip(" []()").rstrip("s")


def wavelengths_in_nm(
    values: np.ndarray, unit_name: str | None, field_name: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Wavelengths of the bands in nm.

    Args:
        values: one number a band.
        unit_name: as the file names them; where it does not, values all under 100 are micrometres.
        field_name: file and field, for the notes.

    Returns:
        wavelengths: (C,) in nm, or None where the values are no lengths.
        notes: what is unusual, for the history: wavelengths that fall or are out of order, too.

    >>> wavelengths_in_nm(np.array([0.4, 0.5]), "Micrometers", "wavelength")[0].tolist()
    [400.0, 500.0]
    """
    unit = plain_unit(unit_name)
    numbers = np.asarray(values, np.float64).ravel()
    if unit in UNSTATED_UNITS and "wavenumber" in field_name.lower():
        unit = "cm-1"
    if unit in NANOMETRES_TIMES_UNIT and (numbers > 0).all():
        lengths = NANOMETRES_TIMES_UNIT[unit] / numbers
        is_wavenumber = unit in WAVENUMBER_UNITS
        source = "wavenumbers in 1/cm" if is_wavenumber else f"values in {unit_name}"
        notes = _order_notes(lengths, field_name)
        return lengths, (f"{field_name} converted from {source}", *notes)
    if unit not in UNSTATED_UNITS and unit not in NANOMETRES_PER_UNIT:
        return None, (f"{field_name} is in {unit_name!r}, which is no length, and was not kept",)
    is_stated = unit in NANOMETRES_PER_UNIT
    if not is_stated and any(
        np.array_equal(numbers, np.arange(first, first + numbers.size)) for first in (0, 1)
    ):
        return None, (f"{field_name} holds numbers of bands, no wavelengths, and was not kept",)
    lengths = plausible_wavelengths(np.asarray(values))
    if lengths is None:
        return None, (f"{field_name} holds values that are no lengths and was not kept",)
    notes = ()
    if is_stated:
        lengths, notes = _in_stated_unit(numbers, unit, field_name)
    return lengths, (*notes, *_order_notes(lengths, field_name))


def _in_stated_unit(
    numbers: np.ndarray, unit: str, field_name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Lengths in nm by the unit that is stated, unless only another one gives optical lengths."""
    low, high = OPTICAL_RANGE

    def is_optical(factor: float) -> bool:
        lengths = numbers[numbers != 0] * factor
        return lengths.size > 0 and bool((lengths >= low).all() and (lengths <= high).all())

    factor = NANOMETRES_PER_UNIT[unit]
    others = [name for name in ("nm", "um") if is_optical(NANOMETRES_PER_UNIT[name])]
    if is_optical(factor) or len(others) != 1:
        return numbers * factor, ()
    return numbers * NANOMETRES_PER_UNIT[others[0]], (
        f"{field_name} is stated in {unit}, which makes {numbers.min() * factor:g}.."
        f"{numbers.max() * factor:g} nm; its values are taken as {others[0]}",
    )


def plausible_wavelengths(values: np.ndarray | None) -> np.ndarray | None:
    """A vector of wavelengths in nm (micrometres, all under 100, are converted), or None.

    Bands that were switched off may have the wavelength 0.
    """
    if values is None or values.dtype.kind not in "iuf" or values.size != max(values.shape):
        return None
    values = values.astype(np.float64).ravel()
    if not np.isfinite(values).all() or values.min() < 0 or values.max() == 0:
        return None
    return values * 1000.0 if values.max() < 100 else values


def _order_notes(wavelengths: np.ndarray, field_name: str) -> tuple[str, ...]:
    """Notes on wavelengths that do not rise from band to band."""
    steps = np.diff(wavelengths)
    if (steps > 0).all():
        return ()
    if (steps < 0).all():
        return ("wavelengths fall from the first band to the last",)
    is_wrong_step = steps >= 0 if wavelengths[-1] < wavelengths[0] else steps <= 0
    band = int(np.argmax(is_wrong_step)) + 1
    zeros = f"; {int((wavelengths == 0).sum())} bands state 0 nm" if 0 in wavelengths else ""
    return (
        f"{field_name} does not run in one direction and is kept as it is: band {band} (from 0) is "
        f"at {wavelengths[band]:g} nm after {wavelengths[band - 1]:g} nm{zeros}",
    )
