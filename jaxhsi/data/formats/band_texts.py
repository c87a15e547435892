"""Wavelengths in texts that describe bands."""

import re

import numpy as np

from jaxhsi.data.formats.wavelengths import wavelengths_in_nm

NUMBER_PATTERN = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
UNIT_PATTERN = r"(nm|nanomet(?:er|re)s?|um|µm|μm|micromet(?:er|re)s?|microns?)"
BARE_NUMBER = re.compile(rf"\s*{NUMBER_PATTERN}\s*")
NUMBER_WITH_UNIT = re.compile(
    rf"(?:^|[^\w.]|[_=a-zA-Z]){NUMBER_PATTERN}[\s_]*{UNIT_PATTERN}(?![a-zA-Z])", re.IGNORECASE
)


def parse_wavelengths(
    num_bands: int, field_name: str, texts: list[str], unit_name: str | None
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Wavelengths of texts such as "450", "450.0 nm" or "blue (0.45 micrometers)".

    Args:
        num_bands: of the cube.
        field_name: that the texts are from, for the notes.
        texts: one a band.
        unit_name: as stated beside them, or None.

    Returns:
        wavelengths: (C,) in nm, or None.
        notes: why they are not kept, and what is unusual.

    >>> parse_wavelengths(2, "descriptions", ["blue (0.45 um)", "red (0.65 um)"], None)[0].tolist()
    [450.0, 650.0]
    """
    if len(texts) != num_bands:
        note = f"{field_name} not kept, it has {len(texts)} values and there are {num_bands} bands"
        return None, (note,)
    unit_matches = [NUMBER_WITH_UNIT.search(text) for text in texts]
    if all(unit_matches):
        values, unit_name = [float(pair[1]) for pair in unit_matches], unit_matches[0][2]
        if len({pair[2].lower() for pair in unit_matches}) > 1:
            return None, (f"{field_name}: units differ among the bands, not kept",)
    else:
        bare_matches = [BARE_NUMBER.fullmatch(text) for text in texts]
        if not all(bare_matches):
            return None, ()
        values = [float(match[1]) for match in bare_matches]
        if values in ([*range(len(values))], [*range(1, len(values) + 1)]):
            return None, ()  # numbers of the bands
    return wavelengths_in_nm(np.array(values), unit_name, field_name)
