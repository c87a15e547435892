"""Wavelengths of a raster's bands: from tags, descriptions, or the XML of the product."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.formats.band_texts import NUMBER_WITH_UNIT, parse_wavelengths
from jaxhsi.data.formats.band_wavelengths import is_wavelength_name, split_list
from jaxhsi.data.formats.band_xml import band_columns
from jaxhsi.data.formats.camera_xmp import camera_bands

UNIT_ENDINGS = {
    **{"nm": "nm", "nanometers": "nm", "nanometres": "nm"},
    **{"um": "um", "micrometers": "um", "micrometres": "um", "microns": "um"},
}

BandTexts = tuple[str, list[str], str | None]
"""Name of the field, a text for each band, and the unit if the field states one."""


def raster_wavelengths(
    path: Path, file: Any, bands: Sequence[int]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Wavelengths of bands in nm, from the first of these that has one for every band.

    Tags of the bands (GDAL's IMAGERY domain included), a tag of the file, descriptions of the
    bands, the XML beside the file that EnMAP, DESIS and others deliver.

    Args:
        path: the file.
        file: open rasterio dataset.
        bands: numbers, from 1, of the spectral bands.

    Returns:
        wavelengths: (C,) in nm, or None.
        notes: what was read from where, for the history.
    """
    for field_name, texts, unit_name in _candidate_fields(path, file, bands):
        wavelengths, notes = parse_wavelengths(len(bands), field_name, texts, unit_name)
        if wavelengths is not None and field_name.lower().endswith(".xml"):
            notes = (*notes, f"wavelengths from {field_name}")
        if wavelengths is not None or notes:
            return wavelengths, notes
    num_described = sum(
        bool(NUMBER_WITH_UNIT.search(file.descriptions[band - 1] or "")) for band in bands
    )
    if 0 < num_described < len(bands):
        return None, (f"wavelengths are stated for {num_described} of {len(bands)} bands alone",)
    return None, ()


def _candidate_fields(path: Path, file: Any, bands: Sequence[int]) -> list[BandTexts]:
    domains = {domain for band in bands[:1] for domain in file.tag_namespaces(band)}
    ordered_domains = [None, *sorted(domains - {"IMAGE_STRUCTURE", "DERIVED_SUBDATASETS"})]
    fields = []
    for domain in ordered_domains:
        band_tags = [file.tags(band, ns=domain) for band in bands]
        fields += _fields_of_bands([_by_plain_name(tags) for tags in band_tags])
    fields += _fields_of_file(file, len(bands))
    fields += _fields_of_camera(file, len(bands))
    descriptions = [file.descriptions[band - 1] or "" for band in bands]
    if all(descriptions):
        fields.append(("descriptions of the bands", descriptions, None))
    if not fields or fields[-1][0] == "descriptions of the bands":
        fields += _fields_of_xml(path, len(bands))
    return fields


def _fields_of_bands(band_tags: list[dict[str, tuple[str, str]]]) -> list[BandTexts]:
    return [
        (
            band_tags[0][name][0],
            [tags[name][1] for tags in band_tags],
            _unit_of_name(name) or _stated_unit(band_tags[0]),
        )
        for name in band_tags[0]
        if is_wavelength_name(band_tags[0][name][0]) and all(name in tags for tags in band_tags)
    ]


def _fields_of_file(file: Any, num_bands: int) -> list[BandTexts]:
    tags = _by_plain_name(file.tags())
    fields = []
    for name, (tag_name, text) in tags.items():
        if is_wavelength_name(tag_name):
            fields.append((tag_name, split_list(text), _unit_of_name(name) or _stated_unit(tags)))
    return fields


def _fields_of_camera(file: Any, num_bands: int) -> list[BandTexts]:
    wavelengths = [band.wavelength for band in camera_bands(file)]
    if len(wavelengths) != num_bands or None in wavelengths:
        return []
    return [("CentralWavelength of the XMP", [f"{nm:g}" for nm in wavelengths], "nm")]


def _by_plain_name(tags: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Tags by their names in lower case without separators; the name as it is, and the value."""
    return {re.sub(r"[^a-z0-9µμ]", "", name.lower()): (name, text) for name, text in tags.items()}


def _unit_of_name(name: str) -> str | None:
    """Unit at the end of a name such as CENTRAL_WAVELENGTH_UM."""
    plain_name = name.lower()
    ending = next((each for each in UNIT_ENDINGS if plain_name.endswith(each)), "")
    return UNIT_ENDINGS.get(ending)


def _stated_unit(tags: dict[str, tuple[str, str]]) -> str | None:
    unit_names = ("wavelengthunits", "wavelengthunit", "wavelengthsunits", "wavelengthsunit")
    return next((tags[name][1] for name in unit_names if name in tags), None)


def _fields_of_xml(path: Path, num_bands: int) -> list[BandTexts]:
    """Lists of wavelengths, one for every band, in the product's XML; those of centres first."""
    xml_name, columns = band_columns(path, num_bands)
    names = [name for name in columns if is_wavelength_name(name)]
    names.sort(key=lambda name: "cent" not in name.lower())
    return [
        (xml_name, columns[name].texts, columns[name].unit or _unit_of_name(name))
        for name in names[:1]
    ]
