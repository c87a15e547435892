"""Which axis of an array holds rows, columns and bands, by the names that files give to axes."""

import re

NAMES_BY_ROLE = {
    "h": (
        *("y", "row", "line", "lat", "latitude", "north", "northing", "height", "downtrack"),
        *("alongtrack", "scan", "scanline", "ydim", "yc", "imageline", "frame", "track"),
    ),
    "w": (
        *("x", "column", "col", "sample", "lon", "longitude", "east", "easting", "width"),
        *("crosstrack", "acrosstrack", "xtrack", "xdim", "xc", "pixelsperline", "pixel"),
        *("ccdpixel", "swathwidth"),
    ),
    "c": (
        *("band", "channel", "c", "wavelength", "lambda", "wl", "wvl", "wave", "spectral"),
        *("spectrum", "spectra", "wavenumber", "frequency", "spectralband", "spectralaxis"),
        *("bandnumber", "bandindex", "spectralchannel", "energy", "ramanshift"),
    ),
}
"""Names of axes, as `plain_axis_name` writes them, by what the axis holds: h rows, w columns, c
bands. Those of CF, ENVI, NEON, EMIT, PACE OCI, HDF-EOS5 grids and swaths, and HyperSpy."""

_BAND_WORDS = ("band", "wavelength", "channel", "spectral")
_COUNT_WORDS = re.compile(r"^(numberof|numof|number|num|nof|nr|no|n)(?=[a-z]{3})")


def plain_axis_name(name: str) -> str:
    """A name of an axis without case, separators, counting words and plural.

    >>> [plain_axis_name(name) for name in ("number_of_lines", "nBands", "Sample", "wavelength_3d")]
    ['line', 'band', 'sample', 'wavelength']
    """
    plain = re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].lower())
    plain = re.sub(r"(\dd|nm|um)$", "", plain)
    all_names = {each for names in NAMES_BY_ROLE.values() for each in names}
    for candidate in (plain, _COUNT_WORDS.sub("", plain)):
        for form in (candidate, candidate.removesuffix("s"), candidate.removesuffix("dim")):
            if form in all_names:
                return form
    return plain


def axis_role(name: str) -> str | None:
    """What an axis of this name holds: "h" rows, "w" columns, "c" bands, or None.

    >>> [axis_role(name) for name in ("downtrack", "crosstrack", "blue_bands", "time")]
    ['h', 'w', 'c', None]
    """
    plain = plain_axis_name(name)
    for role, names in NAMES_BY_ROLE.items():
        if plain in names:
            return role
    words = re.findall(r"[a-z]+", name.rpartition("/")[2].lower())
    is_band = any(word.removesuffix("s") in _BAND_WORDS for word in words)
    return "c" if is_band else None


def axis_roles(names: tuple[str, ...]) -> tuple[str | None, ...]:
    """Roles of the axes of one array; a role that two axes claim is given to neither.

    >>> axis_roles(("y", "bands", "x"))
    ('h', 'c', 'w')
    >>> axis_roles(("x", "column", "band"))
    (None, None, 'c')
    """
    roles = [axis_role(name) if name else None for name in names]
    return tuple(role if roles.count(role) == 1 else None for role in roles)
