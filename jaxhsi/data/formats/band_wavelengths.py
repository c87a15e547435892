"""The wavelengths of a cube among the arrays and attributes of its file."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxhsi.data.formats.container import ArrayContainer, NamedArray
from jaxhsi.data.formats.wavelengths import (
    NANOMETRES_PER_UNIT,
    NANOMETRES_TIMES_UNIT,
    plain_unit,
    wavelengths_in_nm,
)

EXACT_NAMES = (
    *("wl", "wls", "wvl", "wvls", "lambda", "lambdas", "wave", "waves", "wav", "nm", "cw"),
    *("bandcenter", "bandcenters", "bandcentre", "bandcentres", "centerwl", "lambdanm"),
    *("centralwl", "wavelist", "nanometers", "nanometres", "bandwl", "wlnm"),
)
OTHER_MEANINGS = (
    *("fwhm", "width", "widths", "bandwidth", "good", "bad", "flag", "flags", "mask", "error"),
    *("uncertainty", "unit", "units", "irradiance", "solar", "min", "max", "range", "window"),
    *("count", "number", "index", "indices", "id", "names", "type", "shift", "std", "resolution"),
    *("first", "last", "start", "end", "step", "edges", "bounds", "bnds", "quality", "is"),
)
"""Words in names of vectors that speak of wavelengths and are none."""

INVERSE_NAMES = ("wavenumber", "frequency", "frequencies", "energy", "energies")
"""Names of vectors that are inverse to wavelengths: wavenumbers, and others that state a unit."""

UNCERTAIN_NAMES = ("band", "bands")
"""Names of vectors with numbers of bands in some files and wavelengths in others, as in ICVL's:
taken for wavelengths where all values are in `WAVELENGTH_RANGE` and run in one direction."""

WAVELENGTH_RANGE = (250.0, 15000.0)  # nm

WAVELENGTH_ATTRIBUTES = (
    *("wavelength", "central_wavelength", "center_wavelength", "radiation_wavelength"),
)
"""Names of the attribute that holds the wavelength of an array of one band."""

GOOD_BAND_NAMES = ("goodwavelengths", "goodbands", "goodbandlist", "bbl", "goodbandslist")
BAD_BAND_NAMES = ("badbands", "badbandlist", "badbandslist")


class VectorSource(NamedTuple):
    """A vector that may hold the wavelengths of the bands.

    Attributes:
        name: of the dataset or attribute, for messages.
        values: not converted.
        unit_name: as the file states it, or None.
        axis: of the cube that it surely belongs to, or None.
        rank: how near to the cube it stands, 0 nearest.
    """

    name: str
    values: np.ndarray
    unit_name: str | None
    axis: int | None
    rank: int


class BandWavelengths(NamedTuple):
    """Wavelengths of the bands of a cube, as far as its file tells them.

    Attributes:
        values: in nm, or None.
        axis: that the vector is attached to, or None.
        notes: what was passed over, for the history.
        source: name of the vector.
    """

    values: np.ndarray | None = None
    axis: int | None = None
    notes: tuple[str, ...] = ()
    source: str = ""


def is_wavelength_name(name: str) -> bool:
    """Whether an array or attribute of this name holds centre wavelengths.

    >>> [is_wavelength_name(n) for n in ("Wavelength", "List_Cw_Vnir", "good_wavelengths", "fwhm")]
    [True, True, False, False]
    """
    base = name.rpartition("/")[2]
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", base)]
    if any(word in OTHER_MEANINGS for word in words):
        return False
    plain = "".join(words)
    return "wavelen" in plain or plain in EXACT_NAMES or any(word in EXACT_NAMES for word in words)


def find_band_wavelengths(
    container: ArrayContainer, key: str, band_axis: int | None = None
) -> BandWavelengths:
    """Wavelengths of the cube `key`.

    In this order: the scale attached to an axis, attributes of the cube, vectors along a named
    axis of it, vectors in its group, attributes of its groups up to the root, vectors anywhere.

    Args:
        container: the file.
        key: of the cube.
        band_axis: of the cube, where it is known.
    """
    shape = container.arrays[key].shape
    sources = list(_vector_sources(container, key))
    lengths = {shape[band_axis]} if band_axis is not None else set(shape)
    fitting = [
        source
        for source in sources
        if (source.values.size in lengths)
        and (source.axis is None or band_axis is None or source.axis == band_axis)
    ]
    if not fitting:
        notes = [
            f"{source.name} ({source.values.size} values) fits no axis of {key or 'the array'} "
            f"{shape}" + (" that can hold bands" if source.values.size in shape else "")
            for source in sources[:3]
        ]
        return BandWavelengths(notes=tuple(f"wavelengths not kept: {note}" for note in notes))
    source, note = _choose_source(fitting, key)
    if source is None:
        return BandWavelengths(notes=(note,))
    values, notes = wavelengths_in_nm(source.values, source.unit_name, source.name)
    axis = source.axis if values is not None else None
    return BandWavelengths(values, axis, notes, source.name)


def _choose_source(fitting: Sequence[VectorSource], key: str) -> tuple[VectorSource | None, str]:
    """The nearest vector; among equally near ones that which shares most words with the cube."""
    nearest = [s for s in fitting if s.rank == min(each.rank for each in fitting)]
    scores = [len(_words(source.name) & _words(key)) for source in nearest]
    best = [s for s, score in zip(nearest, scores, strict=True) if score == max(scores)]
    if any(not np.array_equal(best[0].values, other.values) for other in best[1:]):
        names = ", ".join(source.name for source in best)
        return None, f"wavelengths not kept, several vectors: {names}"
    return best[0], ""


def _words(name: str) -> set[str]:
    """Words of a path, by which vectors are matched with cubes."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def _vector_sources(container: ArrayContainer, key: str) -> Iterator[VectorSource]:
    """Every vector that may hold wavelengths, the cube's own first."""
    cube, group = container.arrays[key], key.rpartition("/")[0]
    for axis, scale_name in enumerate(cube.axis_scales):
        if scale_name in container.arrays and _is_wavelength_scale(container, scale_name):
            yield _from_array(container, scale_name, axis, 0)
    yield from _from_attributes(cube.attributes, key, 1)
    for name, array in container.arrays.items():
        is_vector = math.prod(array.shape) == max(array.shape, default=0) > 0
        if not is_vector or name in cube.axis_scales or not _holds_wavelengths(container, name):
            continue
        axis = _shared_axis(cube, array)
        rank = 2 if axis is not None else 3 if name.rpartition("/")[0] == group else 5
        yield _from_array(container, name, axis, rank)
    for group_name, attributes in container.group_attributes.items():
        if group_name == "" or key.startswith(f"{group_name}/"):
            yield from _from_attributes(attributes, group_name or "the root", 4)


def _holds_wavelengths(container: ArrayContainer, name: str) -> bool:
    """Whether a vector holds wavelengths by its name, and where that is uncertain by its values."""
    if is_wavelength_name(name):
        return True
    plain = re.sub(r"[^a-z]", "", name.rpartition("/")[2].lower())
    if plain.removesuffix("s") in INVERSE_NAMES or plain in INVERSE_NAMES:
        unit = plain_unit(_unit(container.arrays[name].attributes))
        return unit in NANOMETRES_TIMES_UNIT or (not unit and plain.startswith("wavenumber"))
    if name.rpartition("/")[2].lower() not in UNCERTAIN_NAMES:
        return False
    values = np.asarray(_from_array(container, name, None, 0).values, np.float64)
    low, high = WAVELENGTH_RANGE
    steps = np.diff(values)
    is_ordered = bool((steps > 0).all() or (steps < 0).all())
    return values.size > 1 and is_ordered and bool(low <= values.min() and values.max() <= high)


def _from_array(container: ArrayContainer, name: str, axis: int | None, rank: int) -> VectorSource:
    array = container.arrays[name]
    values = container.read_array(name, (slice(None),) * len(array.shape))
    return VectorSource(name, np.asarray(values).ravel(), _unit(array.attributes), axis, rank)


def _is_wavelength_scale(container: ArrayContainer, name: str) -> bool:
    """Whether the scale of an axis holds wavelengths, not indices."""
    attributes = container.arrays[name].attributes
    described = " ".join(
        str(attributes.get(text, "")) for text in ("standard_name", "long_name", "description")
    )
    is_length = plain_unit(_unit(attributes)) in NANOMETRES_PER_UNIT and plain_unit(
        _unit(attributes)
    ) not in ("m", "meter", "metre")
    return is_wavelength_name(name) or is_length or "wavelength" in described.lower()


def _shared_axis(cube: NamedArray, vector: NamedArray) -> int | None:
    """The axis of the cube along which a vector runs, by the name of its axis."""
    own_names = [name for name in vector.axis_names if name]
    matching = [axis for axis, name in enumerate(cube.axis_names) if name and name in own_names]
    return matching[0] if len(matching) == 1 else None


def _from_attributes(
    attributes: Mapping[str, Any], owner: str, rank: int
) -> Iterator[VectorSource]:
    for name, value in attributes.items():
        if is_wavelength_name(name) and (values := as_number_list(value)) is not None:
            yield VectorSource(
                f"attribute {name} of {owner}", values, _unit_beside(attributes, name), None, rank
            )


def as_number_list(value: Any) -> np.ndarray | None:
    """Two or more numbers of an array, a list, or text such as "400.0, 410.0"; else None.

    >>> as_number_list("{400 nm, 410 nm}").tolist()
    [400.0, 410.0]
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    try:
        if isinstance(value, str):
            parts = split_list(value)
            values = np.array([float(part) for part in parts if part not in ("nm", "um")])
        else:
            values = np.asarray(value, np.float64).ravel()
    except (ValueError, TypeError):
        return None
    return values if values.size > 1 else None


def split_list(text: str) -> list[str]:
    """Parts of a list in text, whatever brackets and separators it has.

    >>> split_list("{400, 410}")
    ['400', '410']
    """
    return re.split(r"[\s,;]+", text.strip(" \t\r\n{}[]()"))


def _unit(attributes: Mapping[str, Any]) -> str | None:
    for name, value in attributes.items():
        if name.lower() in ("units", "unit") and isinstance(value, str):
            return value
    return None


def _unit_beside(attributes: Mapping[str, Any], name: str) -> str | None:
    """Unit of an attribute that holds wavelengths: an attribute whose name adds "units" to it."""
    for other, value in attributes.items():
        plain = other.lower().replace(" ", "_")
        if (
            plain.startswith(name.lower().rstrip("s"))
            and "unit" in plain
            and isinstance(value, str)
        ):
            return value
    return None


def find_bad_bands(container: ArrayContainer, key: str, num_bands: int) -> np.ndarray | None:
    """True for bands that a vector of zeros and ones in the file marks as unusable, or None."""
    vectors = {
        name: name.rpartition("/")[2]
        for name, a in container.arrays.items()
        if a.shape == (num_bands,)
    }
    for name, base in vectors.items():
        if (plain := re.sub(r"[^a-z]", "", base.lower())) in GOOD_BAND_NAMES + BAD_BAND_NAMES:
            marks = np.asarray(container.read_array(name, (slice(None),)))
            if np.isin(marks, (0, 1)).all():
                return (marks == 0) if plain in GOOD_BAND_NAMES else (marks == 1)
    attributes = container.arrays[key].attributes
    for name, value in attributes.items():
        plain, marks = re.sub(r"[^a-z]", "", name.lower()), as_number_list(value)
        if plain in GOOD_BAND_NAMES and marks is not None and marks.size == num_bands:
            return marks == 0 if np.isin(marks, (0, 1)).all() else None
    return None
