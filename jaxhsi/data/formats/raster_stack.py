"""Single-band rasters as one raster: the XML of a GDAL virtual raster (VRT), kept in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

GDAL_TYPE_NAMES = {
    **{"uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16"},
    **{"uint32": "UInt32", "int32": "Int32", "uint64": "UInt64", "int64": "Int64"},
    **{"float32": "Float32", "float64": "Float64"},
}


class SingleBand(NamedTuple):
    """A raster of one band, as a source of a stack.

    Attributes:
        source: what GDAL opens.
        shape: (H, W).
        dtype: of the values.
        properties: no-data value, scale, offset, unit and description, None where unstated.
        tags: of the band, by domain.
        has_mask: whether it has a mask beside its no-data value.
        crs: WKT, or "".
        transform: of rasterio, six numbers.
    """

    source: str
    shape: tuple[int, int]
    dtype: str
    properties: dict[str, Any]
    tags: dict[str, dict[str, str]]
    has_mask: bool
    crs: str
    transform: tuple[float, ...]


def describe_single_band(source: str | Path, file: Any) -> SingleBand:
    """Describe an open rasterio dataset of one band.

    Args:
        source: what GDAL opened.
        file: the dataset.
    """
    flags = {flag.name for flag in file.mask_flag_enums[0]}
    return SingleBand(
        source=str(source),
        shape=file.shape,
        dtype=file.dtypes[0],
        properties={
            "NoDataValue": file.nodatavals[0],
            "Scale": None if file.scales[0] == 1.0 else file.scales[0],
            "Offset": file.offsets[0] or None,
            "UnitType": file.units[0],
            "Description": file.descriptions[0],
        },
        tags={domain: file.tags(1, ns=domain or None) for domain in ("", "IMAGERY")},
        has_mask=not flags or ("per_dataset" in flags and "alpha" not in flags),
        crs=file.crs.to_wkt() if file.crs else "",
        transform=tuple(file.transform[:6]),
    )


STACK_NOTE_TAG = "JAXHSI_STACK"
"""Tag of a virtual raster that says which files were stacked."""


def stack_vrt(bands: Sequence[SingleBand], note: str = "") -> str:
    """XML of a raster whose bands are single-band rasters of one size and place.

    Args:
        bands: sources of one shape; the first tells the place.
        note: which files they are, for the history of what is made of it.
    """
    (height, width), first = bands[0].shape, bands[0]
    a, b, c, d, e, f = first.transform
    place = f"<SRS>{escape(first.crs)}</SRS>" if first.crs else ""
    if first.transform != (1.0, 0.0, 0.0, 0.0, 1.0, 0.0):
        place += f"<GeoTransform>{c!r},{a!r},{b!r},{f!r},{d!r},{e!r}</GeoTransform>"
    if note:
        place += f'<Metadata><MDI key="{STACK_NOTE_TAG}">{escape(note)}</MDI></Metadata>'
    band_elements = "".join(_band_element(band, number) for number, band in enumerate(bands, 1))
    return (
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{place}{band_elements}'
        "</VRTDataset>"
    )


def _band_element(band: SingleBand, number: int) -> str:
    properties = "".join(
        f"<{name}>{escape(str(value))}</{name}>"
        for name, value in band.properties.items()
        if value is not None
    )
    tags = "".join(
        f"<Metadata{f' domain={quoteattr(domain)}' if domain else ''}>"
        + "".join(f"<MDI key={quoteattr(k)}>{escape(v)}</MDI>" for k, v in values.items())
        + "</Metadata>"
        for domain, values in band.tags.items()
        if values
    )
    mask = ""
    if band.has_mask:
        mask = f'<MaskBand><VRTRasterBand dataType="Byte">{_source(band, "mask,1")}'
        mask += "</VRTRasterBand></MaskBand>"
    return (
        f'<VRTRasterBand dataType="{GDAL_TYPE_NAMES[band.dtype]}" band="{number}">'
        f"{tags}{properties}{_source(band, '1')}{mask}</VRTRasterBand>"
    )


def _source(band: SingleBand, source_band: str) -> str:
    return (
        f'<SimpleSource><SourceFilename relativeToVRT="0">{escape(band.source)}</SourceFilename>'
        f"<SourceBand>{source_band}</SourceBand></SimpleSource>"
    )
