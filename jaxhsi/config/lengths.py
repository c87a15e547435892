"""Lengths that a user gives with a unit, such as "0.5mm"."""

import math
import re

METRES_PER_UNIT = {
    **dict.fromkeys(("", "m", "metre", "meter"), 1.0),
    **dict.fromkeys(("mm", "millimetre", "millimeter"), 1e-3),
    **dict.fromkeys(("um", "micron", "micrometre", "micrometer"), 1e-6),
    **dict.fromkeys(("cm", "centimetre", "centimeter"), 1e-2),
    **dict.fromkeys(("km", "kilometre", "kilometer"), 1e3),
    **dict.fromkeys(("nm", "nanometre", "nanometer"), 1e-9),
    **dict.fromkeys(("ft", "foot", "feet"), 0.3048),
    "in": 0.0254,
}
"""Length of one unit in metres, by its name in lower case and singular."""


def length_in_metres(option: str, value: float | str | None) -> float | None:
    """A length in metres.

    Args:
        option: that gives it, for messages.
        value: metres, or text with a unit; None stays None.

    Raises:
        ValueError: no length above 0, or an unknown unit.

    >>> length_in_metres("--pixel_size", "0.5mm"), length_in_metres("--pixel_size", "30 cm")
    (0.0005, 0.3)
    """
    if value is None:
        return None
    match = re.fullmatch(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([^\W\d]*)\s*", str(value))
    unit_name = match[2].lower().replace("µ", "u").replace("μ", "u") if match else ""
    unit = METRES_PER_UNIT.get(unit_name) or METRES_PER_UNIT.get(unit_name.removesuffix("s"))
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if unit is None or math.isnan(number):
        raise ValueError(
            f"{option} {value} is no length; give metres, or a number with mm, cm, m or km such as "
            "0.5mm"
        )
    if not 0 < number < math.inf:
        raise ValueError(f"{option} {value} is out of range; give a length above 0")
    return number * unit
