"""Optional fields of an ENVI header: each is read, or noted and left out."""

import math
import re

import numpy as np

from jaxhsi.data.formats.band_texts import NUMBER_WITH_UNIT, parse_wavelengths
from jaxhsi.data.formats.envi_header import HeaderFields
from jaxhsi.data.formats.wavelengths import wavelengths_in_nm

UNREAD_SCALES = ("scale factor", "scale", "scaling factor", "data scale factor", "quantization")
"""Fields that some programs write, and that do not say whether they multiply or divide."""


class OptionalFields:
    """Reads fields of a header that a cube can do without.

    Attributes:
        notes: what was found, and each field that could not be used, for the history.
    """

    def __init__(self, header_fields: HeaderFields, num_bands: int):
        """Look at nothing yet.

        Args:
            header_fields: of the header.
            num_bands: of the cube.
        """
        self._fields, self._num_bands = header_fields, num_bands
        self.notes: list[str] = []

    def wavelengths(self) -> np.ndarray | None:
        """Centre of each band in nm, (C,), or None."""
        values = self._band_values("wavelength")
        if values is None:
            return self._named_wavelengths()
        lengths, notes = wavelengths_in_nm(values, self._text("wavelength units"), "wavelength")
        self.notes += notes
        return lengths

    def _named_wavelengths(self) -> np.ndarray | None:
        """Wavelengths in the names of the bands, such as "Band 1 (450.0 nm)", or None."""
        names = self._fields.get("band names")
        if not isinstance(names, list) or len(names) != self._num_bands:
            return None
        if not all(NUMBER_WITH_UNIT.search(name) for name in names):
            return None
        lengths, notes = parse_wavelengths(len(names), "band names", names, None)
        self.notes += notes
        return lengths

    def no_data(self) -> float | None:
        """Value that marks a missing measurement, or None."""
        values = self._ignored_values()
        return values[0] if values else None

    def other_no_data(self) -> tuple[float, ...]:
        """Further values that mark a missing measurement."""
        return tuple(self._ignored_values()[1:])

    def _ignored_values(self) -> list[float]:
        values = self._numbers("data ignore value")
        numbers = [] if values is None else list(dict.fromkeys(values.tolist()))
        return [number for number in numbers if math.isfinite(number)]

    def bad_bands(self) -> np.ndarray | None:
        """True for the bands that the list bbl marks by 0, (C,), or None."""
        is_good = self._band_values("bbl")
        return None if is_good is None else is_good == 0

    def scale(
        self,
    ) -> tuple[float | np.ndarray | None, float | np.ndarray | None, str | None]:
        """Factor and offset from stored values to physical ones, and the units of those.

        The header states the inverse of the factor to reflectance. Gains and offsets of the bands
        (value = gain x stored + offset) count where there is no such factor.
        """
        units = self._text("data units")
        unused = [name for name in UNREAD_SCALES if self._text(name)]
        if unused:
            fields = ", ".join(f"{name} = {self._text(name)}" for name in unused)
            self.notes.append(f"{fields}: not used, it does not say how; --scale scales")
        factor = self._single_number("reflectance scale factor")
        if factor is not None and not (math.isfinite(factor) and factor > 0):
            self.notes.append(f"reflectance scale factor = {factor:g} not used, it must be above 0")
            factor = None
        gains, offsets = self._gains_and_offsets("data")
        reflectance_gains = self._gains_and_offsets("data reflectance")
        if any(values is not None for values in reflectance_gains):
            if gains is not None or offsets is not None:
                self.notes.append("data gain values not applied, those to reflectance are")
            (gains, offsets), units = reflectance_gains, "reflectance"
        if factor is None:
            return _common(gains), _common(offsets), units
        if gains is not None or offsets is not None:
            self.notes.append(
                "data gain values and data offset values not applied, the header states a "
                "reflectance scale factor"
            )
        return (
            (None if factor == 1.0 else 1.0 / factor),
            None,
            "reflectance" if factor != 1.0 else units,
        )

    def _gains_and_offsets(self, start: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Gains and offsets of the bands; None for those that change nothing."""
        gains, offsets = (
            self._band_values(f"{start} {kind} values") for kind in ("gain", "offset")
        )
        gains = None if gains is None or (gains == 1).all() else gains
        return gains, None if offsets is None or (offsets == 0).all() else offsets

    def _text(self, name: str) -> str | None:
        field = self._fields.get(name)
        return ", ".join(field) if isinstance(field, list) else field or None

    def _numbers(self, name: str) -> np.ndarray | None:
        """The numbers of a field, or None where it is absent, empty or no numbers."""
        field = self._fields.get(name)
        if not field or field == [""]:
            return None
        text = ",".join(field) if isinstance(field, list) else field
        parts = [
            part for part in re.split(r"[,\s]+" if ";" not in text else r"[;\s]+", text) if part
        ]
        if ";" in text:
            parts = [part.replace(",", ".") for part in parts]
        elif len(parts) == 2 * self._num_bands and all(part.isdigit() for part in parts[1::2]):
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [f"{whole}.{decimals}" for whole, decimals in pairs]  # decimal commas
        try:
            return np.array([float(part) for part in parts])
        except ValueError as error:
            self.notes.append(f"{name} not used, it holds what is no number ({error})")
            return None

    def _band_values(self, name: str) -> np.ndarray | None:
        values = self._numbers(name)
        if values is None or len(values) == self._num_bands:
            return values
        self.notes.append(
            f"{name} not used, it has {len(values)} values and there are {self._num_bands} bands"
        )
        return None

    def _single_number(self, name: str) -> float | None:
        values = self._numbers(name)
        if values is None:
            return None
        if (values != values[0]).any():
            self.notes.append(f"{name} not used, it holds different values")
            return None
        return float(values[0])


def _common(values: np.ndarray | None) -> float | np.ndarray | None:
    """One number where all bands have the same."""
    if values is None or (values != values[0]).any():
        return values
    return float(values[0])
