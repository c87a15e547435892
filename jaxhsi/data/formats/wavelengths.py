"""Wavelengths as files state them: into nanometres, and in order."""

import numpy as np

from jaxhsi.data.formats.volume import plausible_wavelengths

_METRE_SPELLINGS = ("meter", "metre")
NANOMETRES_PER_UNIT = {
    **dict.fromkeys(("nm", *(f"nano{metre}" for metre in _METRE_SPELLINGS)), 1.0),
    **dict.fromkeys(("um", "micron", *(f"micro{metre}" for metre in _METRE_SPELLINGS)), 1e3),
    **dict.fromkeys(("mm", *(f"milli{metre}" for metre in _METRE_SPELLINGS)), 1e6),
    **dict.fromkeys(("m", *_METRE_SPELLINGS), 1e9),
    "angstrom": 0.1,
}
"""Length of one unit in nm, by its name in lower case and singular."""

UNSTATED_UNITS = ("", "unknown", "none", "n/a")


def wavelengths_in_nm(
    values: np.ndarray, unit_name: str | None, field_name: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Wavelengths of the bands in nm, which must run in one direction.

    Args:
        values: one number a band.
        unit_name: as the file names them; where it does not, values all under 100 are micrometres.
        field_name: file and field, for messages.

    Returns:
        wavelengths: (C,) in nm, or None where the values are no lengths.
        notes: what was found, for the history.

    Raises:
        ValueError: wavelengths that neither rise nor fall from each band to the next.

    >>> wavelengths_in_nm(np.array([0.4, 0.5]), "Micrometers", "wavelength")[0].tolist()
    [400.0, 500.0]
    """
    plain_unit = (unit_name or "").strip().lower().replace("µ", "u").replace("μ", "u").rstrip("s")
    if plain_unit not in UNSTATED_UNITS and plain_unit not in NANOMETRES_PER_UNIT:
        return None, (f"{field_name} is in {unit_name!r}, which is no length, and was not kept",)
    lengths = plausible_wavelengths(np.asarray(values))
    if lengths is None:
        return None, (f"{field_name} holds values that are no lengths and was not kept",)
    if plain_unit in NANOMETRES_PER_UNIT:
        lengths = np.asarray(values, np.float64).ravel() * NANOMETRES_PER_UNIT[plain_unit]
    return lengths, _order_notes(lengths, field_name)


def _order_notes(wavelengths: np.ndarray, field_name: str) -> tuple[str, ...]:
    steps = np.diff(wavelengths)
    if (steps > 0).all():
        return ()
    if (steps < 0).all():
        return ("wavelengths fall from the first band to the last",)
    is_wrong_step = steps >= 0 if wavelengths[-1] < wavelengths[0] else steps <= 0
    band = int(np.argmax(is_wrong_step)) + 1
    raise ValueError(
        f"{field_name} is out of order: band {band + 1} is at {wavelengths[band]:g} nm and band "
        f"{band} "
        f"before it at {wavelengths[band - 1]:g} nm. Wavelengths must rise, or fall, from each "
        "band to "
        "the next; correct the list, or delete it to read the bands without wavelengths"
    )
