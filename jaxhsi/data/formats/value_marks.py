"""Attributes that say which value is missing, and how stored values become physical ones."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

NO_DATA_MARKS = (
    *("fillvalue", "missingvalue", "nodata", "nodatavalue", "dataignorevalue", "ignorevalue"),
    *("nullvalue", "invalidvalue", "badvalue", "novalue", "noval", "nodataval", "missing", "fill"),
    *("gdalnodata", "backgroundvalue", "fillval", "missval", "nanvalue", "missingdatavalue"),
)
"""Names of the value that marks a missing measurement, as `plain_name` writes them."""

FACTOR_MARKS = (
    "scalefactor",
    "scalingfactor",
    "reflectancescalefactor",
    "factor",
    "datascalefactor",
    "multiplicationfactor",
    "multiplicativefactor",
    "conversionfactor",
)
"""Names of a factor that some products multiply by and others divide by."""

MULTIPLIER_MARKS = ("slope", "multiplier", "scale", "scaling", "scaleslope", "mult", "gain")
CF_FACTOR_MARKS = ("scalefactor", "slope", "multiplier", "scale", "gain", "gains")
"""Names of lists of factors, one a band, that multiply."""

DIVISOR_MARKS = ("divisor", "quantificationvalue", "quantizationvalue", "scaledivisor")
OFFSET_MARKS = ("addoffset", "offset", "offsets", "intercept", "bias", "scaleoffset", "addend")

SUSPICIOUS_WORDS = (
    *("fill", "missing", "nodata", "ignore", "scale", "offset", "gain", "slope", "factor"),
    *("validmin", "validmax", "validrange"),
)
"""Parts of names by which an attribute that was not used is told."""

LARGE_FACTOR = 100.0
"""A CF `scale_factor` from here on divides: no count times a hundred is a radiance or reflectance,
and products such as MODIS and NEON write the number to divide by under that name."""


class ValueMarks(NamedTuple):
    """What the attributes of an array say of its values.

    Attributes:
        no_data: value that marks a missing measurement, or None.
        other_no_data: further values that do.
        scale_factor: stored values times this, plus the offset, are physical; one number, or one
            a band; None for 1.
        offset: see there; None for 0.
        units: of the physical values, or None.
        notes: how an unclear mark was read, and marks that were not used.
    """

    no_data: float | None = None
    other_no_data: tuple[float, ...] = ()
    scale_factor: float | np.ndarray | None = None
    offset: float | np.ndarray | None = None
    units: str | None = None
    notes: tuple[str, ...] = ()


def plain_name(name: str) -> str:
    """A name without case and separators.

    >>> plain_name("Data_Ignore_Value"), plain_name("_FillValue")
    ('dataignorevalue', 'fillvalue')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_inherited_mark(name: str) -> bool:
    """Whether a mark counts for a cube too where it stands beside it or above it in the file.

    Gains and offsets do not: those of a camera are written there.
    """
    return plain_name(name) in NO_DATA_MARKS + FACTOR_MARKS + DIVISOR_MARKS


def is_value_mark(name: str) -> bool:
    """Whether an attribute of this name says which value is missing, or how values are scaled.

    >>> is_value_mark("scale_factor"), is_value_mark("long_name")
    (True, False)
    """
    marks = NO_DATA_MARKS + FACTOR_MARKS + MULTIPLIER_MARKS + DIVISOR_MARKS + OFFSET_MARKS
    return plain_name(name) in marks


def is_unsigned(attributes: Mapping[str, Any]) -> bool | None:
    """Whether integers are to be taken as unsigned, by NetCDF's attribute `_Unsigned`; else None.

    >>> is_unsigned({"_Unsigned": "true"}), is_unsigned({})
    (True, None)
    """
    text = str(attributes.get("_Unsigned", "")).strip().lower()
    return {"true": True, "false": False}.get(text)


def read_value_marks(
    attributes: Mapping[str, Any], source_name: str = "", num_bands: int | None = None
) -> ValueMarks:
    """Missing value, scale, offset and units among the attributes of an array.

    Names are compared without case and separators. Of a `scale_factor` CF says that it multiplies;
    products such as NEON's divide by it. A factor above 1 under another spelling than CF's, and
    any of `LARGE_FACTOR` or more, divides; this is noted.

    Args:
        attributes: of the array, by name.
        source_name: of the array, for the notes.
        num_bands: of the cube, where it is known: lists of as many factors and offsets count.

    >>> marks = read_value_marks({"Scale_Factor": 10000.0, "Data_Ignore_Value": -9999})
    >>> marks.no_data, marks.scale_factor
    (-9999.0, 0.0001)
    """
    plain = {plain_name(name): (name, value) for name, value in attributes.items()}
    used, notes = set(), []
    missing = _missing_values(plain)
    used |= {name for name, _ in missing}
    no_data = missing[0][1] if missing else None
    factor, factor_name = _first_number(plain, FACTOR_MARKS)
    multiplier, multiplier_name = _first_number(plain, MULTIPLIER_MARKS)
    divisor, divisor_name = _first_number(plain, DIVISOR_MARKS)
    offset, offset_name = _first_number(plain, OFFSET_MARKS)
    if plain_name(multiplier_name) == "gain" and abs(multiplier or 0) >= 1 and offset is None:
        multiplier = None  # an amplifier's, not a unit's
    scale_factor = None
    if factor not in (None, 0.0):
        scale_factor, note = _read_factor(factor, factor_name)
        notes += [note] if note else []
        used.add(factor_name)
    elif multiplier not in (None, 0.0):
        scale_factor, _ = multiplier, used.add(multiplier_name)
    elif divisor not in (None, 0.0):
        scale_factor, _ = 1.0 / divisor, used.add(divisor_name)
    used.add(offset_name)
    factors, factors_name = _band_numbers(plain, CF_FACTOR_MARKS, num_bands)
    offsets, offsets_name = _band_numbers(plain, OFFSET_MARKS, num_bands)
    used |= {factors_name, offsets_name}
    units = _text(plain.get("units", plain.get("unit", (None, None)))[1])
    unused = _unused_marks(attributes, used, no_data)
    if unused:
        notes.append(f"attributes of {source_name or 'the array'} not used: {', '.join(unused)}")
    return ValueMarks(
        no_data=no_data,
        other_no_data=tuple({value for _, value in missing} - {no_data}),
        scale_factor=factors if factors is not None else _unless(scale_factor, 1.0),
        offset=offsets if offsets is not None else _unless(offset, 0.0),
        units=units,
        notes=tuple(notes),
    )


def _unless(number: float | None, neutral: float) -> float | None:
    return None if number in (None, neutral) else number


def _band_numbers(
    plain: Mapping[str, tuple[str, Any]], marks: tuple[str, ...], num_bands: int | None
) -> tuple[np.ndarray | None, str]:
    """The first of the named attributes that is a list of different numbers, one a band."""
    for mark in marks:
        name, value = plain.get(mark, ("", None))
        if num_bands is None or isinstance(value, str | bytes) or np.size(value) != num_bands:
            continue
        numbers = np.asarray(value)
        if numbers.dtype.kind in "iuf" and np.isfinite(numbers).all() and np.ptp(numbers):
            numbers = numbers.astype(np.float64).ravel()
            is_divisor = marks is CF_FACTOR_MARKS and (np.abs(numbers) >= LARGE_FACTOR).all()
            return 1.0 / numbers if is_divisor else numbers, name
    return None, ""


def _read_factor(factor: float, name: str) -> tuple[float, str]:
    """Factor to multiply by, and a note where the file states its inverse."""
    is_cf_spelling = name == "scale_factor"
    if abs(factor) >= LARGE_FACTOR or (abs(factor) > 1 and not is_cf_spelling):
        return 1.0 / factor, f"{name} {factor:g} read as the number to divide by"
    return factor, ""


def _missing_values(plain: Mapping[str, tuple[str, Any]]) -> list[tuple[str, float]]:
    """Name in the file and value of every mark of missing measurements."""
    named = [plain[mark] for mark in NO_DATA_MARKS if mark in plain]
    numbers = [(name, number) for name, value in named for number in _all_numbers(value)]
    return [(name, number) for name, number in numbers if math.isfinite(number)]


def _all_numbers(value: Any) -> list[float]:
    """The different numbers of an attribute, which may be a list or text."""
    if (number := _as_number(value)) is not None:
        return [number]
    if isinstance(value, np.ndarray | list | tuple) and np.asarray(value).dtype.kind in "iuf":
        return list(dict.fromkeys(np.asarray(value, np.float64).ravel().tolist()))
    return []


def _first_number(
    plain: Mapping[str, tuple[str, Any]], marks: tuple[str, ...]
) -> tuple[float | None, str]:
    """The first of the named attributes that is one finite number, and its name in the file."""
    for mark in marks:
        name, value = plain.get(mark, ("", None))
        number = _as_number(value)
        if number is not None:
            return number, name
    return None, ""


def _as_number(value: Any) -> float | None:
    """One finite number, also of text, or of a list that repeats it; else None."""
    if value is None:
        return None
    try:
        if isinstance(value, str | bytes):
            numbers = np.array([float(value)])
        else:
            numbers = np.asarray(value, np.float64).ravel()
    except (ValueError, TypeError):
        return None
    if numbers.size == 0 or not math.isfinite(numbers[0]) or (numbers != numbers[0]).any():
        return None
    return float(numbers[0])


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _unused_marks(
    attributes: Mapping[str, Any], used: set[str], no_data: float | None
) -> list[str]:
    """Attributes that look like a mark, were not used, and say something else than those."""
    unused = []
    for name, value in attributes.items():
        is_suspicious = any(word in plain_name(name) for word in SUSPICIOUS_WORDS)
        number = _as_number(value)
        neutral = 1.0 if "scale" in name.lower() or "factor" in name.lower() else 0
        is_neutral = number is not None and number in (no_data, neutral)
        is_neutral &= "valid" not in name.lower()
        is_nan = isinstance(value, float | np.floating) and math.isnan(value)
        if is_suspicious and name not in used and not is_neutral and not is_nan:
            unused.append(f"{name} = {value if np.size(value) < 4 else 'a list'}")
    return unused
