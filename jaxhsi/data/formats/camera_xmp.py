"""What multispectral cameras write into the XMP of their images: band names and wavelengths.

The fields are those of the namespace http://pix4d.com/camera/1.0, which MicaSense, Parrot, Sentera
and DJI write: BandName and CentralWavelength in nm, as text, attribute, or a list with one item a
band.
"""

from typing import Any, NamedTuple
from xml.etree import ElementTree

XMP_DOMAIN = "xml:XMP"  # of GDAL
THERMAL_NAMES = ("lwir", "thermal")
THERMAL_WAVELENGTH = 3500.0  # nm; from here on a band measures emitted light, not reflected


class CameraBand(NamedTuple):
    """One band of a camera.

    Attributes:
        name: such as "Blue", or empty.
        wavelength: its centre in nm, or None.
        maker: of the camera, as far as the namespaces tell, or empty.
    """

    name: str
    wavelength: float | None
    maker: str

    @property
    def is_thermal(self) -> bool:
        """Whether the band measures temperature."""
        is_long = self.wavelength is not None and self.wavelength >= THERMAL_WAVELENGTH
        return self.name.casefold() in THERMAL_NAMES or is_long


def camera_bands(file: Any) -> list[CameraBand]:
    """The bands that the XMP of an open rasterio dataset describes; none where it has no XMP.

    Args:
        file: the dataset.
    """
    text = file.tags(ns=XMP_DOMAIN).get(XMP_DOMAIN, "")
    try:
        root = ElementTree.fromstring(text.strip("\ufeff \n\0")) if text else None
    except ElementTree.ParseError:
        return []
    if root is None:
        return []
    names, wavelengths = (_field_texts(root, f) for f in ("BandName", "CentralWavelength"))
    count = max(len(names), len(wavelengths))
    maker = "MicaSense" if "micasense.com" in text.casefold() else ""
    names += [""] * (count - len(names))
    numbers = [_number(each) for each in wavelengths] + [None] * (count - len(wavelengths))
    return [CameraBand(n, nm, maker) for n, nm in zip(names, numbers, strict=True)]


def _field_texts(root: ElementTree.Element, field: str) -> list[str]:
    """Texts of the first field of that name, whatever its namespace."""
    for element in root.iter():
        for name, value in element.attrib.items():
            if name.rpartition("}")[2] == field:
                return [value.strip()]
        if element.tag.rpartition("}")[2] == field:
            items = [item.text for item in element.iter() if item.text and item.text.strip()]
            return [item.strip() for item in items]
    return []


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
