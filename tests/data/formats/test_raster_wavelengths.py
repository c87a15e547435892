"""Wavelengths of a raster's bands: names of tags, units, domains, and XML beside the file."""

import numpy as np
import pytest

from jaxhsi.data.formats.raster import open_raster
from tests.helpers.rasters import save_raster

CUBE = np.ones((5, 20, 24), np.uint16)
NM = [475.0, 560.0, 668.0, 717.0, 842.0]


def wavelengths(path):
    with open_raster(path) as volume:
        return volume.wavelengths


def band_tags(domain=None, **tags):
    def edit(file):
        for band, nm in enumerate(NM, 1):
            file.update_tags(band, ns=domain, **{name: value(nm) for name, value in tags.items()})

    return edit


def descriptions(text):
    return lambda file: [file.set_band_description(i, text(nm)) for i, nm in enumerate(NM, 1)]


WRITERS = {
    "GDAL's domain": band_tags("IMAGERY", CENTRAL_WAVELENGTH_UM=lambda nm: f"{nm / 1000:.3f}"),
    "nm in the name": band_tags(CENTRAL_WAVELENGTH_NM=str),
    "other spelling": band_tags(CenterWavelength=str),
    "unit beside": band_tags(
        **{"Wavelength": lambda nm: str(nm / 1e3), "WavelengthUnit": lambda _: "um"}
    ),
    "description": descriptions(lambda nm: f"{nm} Nanometers"),
    "description in brackets": descriptions(lambda nm: f"Band {nm // 100:g} ({nm:g} nm)"),
    "short description": descriptions(lambda nm: f"B_{nm:g}nm"),
    "micrometres": descriptions(lambda nm: f"{nm / 1e3:g} Micrometers"),
    "list": lambda file: file.update_tags(Band_Wavelengths=str(NM)),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_names_units_and_domains(tmp_path, writer):
    path = save_raster(tmp_path / "a.tif", CUBE, edit=WRITERS[writer])
    np.testing.assert_allclose(wavelengths(path), NM)


def enmap_xml(nm):
    bands = "".join(
        f'<bandID number="{i}"><wavelengthCenterOfBand>{w}</wavelengthCenterOfBand>'
        "<FWHMOfBand>7.0</FWHMOfBand></bandID>"
        for i, w in enumerate(nm, 1)
    )
    bands = f"<bandCharacterisation>{bands}</bandCharacterisation>"
    return f"<level_X><specific>{bands}</specific></level_X>"


def desis_xml(nm):
    bands = "".join(
        f"<band><bandNumber>{i}</bandNumber><wavelengthWidthOfBand>3.5</wavelengthWidthOfBand>"
        f"<wavelengthCenterOfBand>{w}</wavelengthCenterOfBand></band>"
        for i, w in enumerate(nm, 1)
    )
    return (
        '<hsi_doc xmlns="http://dlr.de/desis"><specific><bandCharacterisation>'
        f"{bands}</bandCharacterisation></specific></hsi_doc>"
    )


def satellite_xml(nm):
    bands = "".join(f'<Wavelength><CENTRAL unit="nm">{w}</CENTRAL></Wavelength>' for w in nm)
    rows = "".join(
        f'<Band_Info><CENTRAL_WAVELENGTH unit="um">{w / 1e3}</CENTRAL_WAVELENGTH></Band_Info>'
        for w in nm
    )
    return f"<p>{bands}{rows}</p>"


@pytest.mark.parametrize(
    ("image", "xml", "content"),
    [
        ("ENMAP01-____L2A-X-SPECTRAL_IMAGE.TIF", "ENMAP01-____L2A-X-METADATA.XML", enmap_xml),
        ("DESIS-HSI-L2A-X-SPECTRAL_IMAGE.tif", "DESIS-HSI-L2A-X-METADATA.xml", desis_xml),
        ("scene.tif", "scene.xml", satellite_xml),
    ],
)
def test_xml_of_the_product(tmp_path, image, xml, content):
    (tmp_path / xml).write_text(content(NM))
    (tmp_path / "other-METADATA.XML").write_text(content([1.0] * 5))
    path = save_raster(tmp_path / image, CUBE, edit=descriptions(lambda nm: "band"))
    np.testing.assert_allclose(wavelengths(path), NM)
    with open_raster(path) as volume:
        assert any(xml in note for note in volume.notes)


def test_xml_of_another_number_of_bands(tmp_path):
    path = save_raster(tmp_path / "scene.tif", CUBE)
    (tmp_path / "scene.xml").write_text(enmap_xml(NM[:4]))
    assert wavelengths(path) is None
    (tmp_path / "scene.xml").write_text("<a><b>")
    with pytest.raises(ValueError, match=r"scene\.tif.*an XML file beside it, is damaged"):
        wavelengths(path)


def test_a_list_of_another_length_is_told(tmp_path):
    path = save_raster(
        tmp_path / "a.tif", CUBE, edit=lambda file: file.update_tags(wavelengths=str(NM[:4]))
    )
    with open_raster(path) as volume:
        assert volume.wavelengths is None
        assert any("has 4 values and there are 5 bands" in note for note in volume.notes)


def test_wavelengths_of_some_bands_alone_are_told(tmp_path):
    path = save_raster(
        tmp_path / "a.tif", CUBE, edit=lambda file: file.set_band_description(2, "560 nm")
    )
    with open_raster(path) as volume:
        assert volume.wavelengths is None
        assert any("stated for 1 of 5 bands alone" in note for note in volume.notes)
