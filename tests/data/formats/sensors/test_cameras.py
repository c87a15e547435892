"""Cameras of drones and laboratories: MicaSense captures, Resonon cubes, Cubert's exports."""

import shlex

import numpy as np
import pytest
import tifffile

from jaxhsi.data.cube import open_cube
from jaxhsi.data.formats import file_format
from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.ingest import main
from tests.data.cases.scenes import check_ingest, scene, wavelengths

MICASENSE_BANDS = {"Blue": 475, "Green": 560, "Red": 668, "NIR": 840, "Red edge": 717}
COUNTS = np.round(4800 + 40000 * scene(24, 20, 5)).astype(np.uint16)


def save_micasense_image(path, values, name, nm, *, attributes=False):
    """An image as the camera writes it, but for the tags that nobody reads here."""
    camera, maker = "http://pix4d.com/camera/1.0", "http://micasense.com/MicaSense/1.0/"
    fields = {"BandName": name, "CentralWavelength": nm, "WavelengthFWHM": 20}
    inside = "".join(f"<Camera:{key}>{value}</Camera:{key}>" for key, value in fields.items())
    attribute_text = " ".join(f'Camera:{key}="{value}"' for key, value in fields.items())
    xmp = (
        "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>"
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<rdf:Description xmlns:Camera='{camera}' {attribute_text if attributes else ''}>"
        f"{'' if attributes else inside}</rdf:Description>"
        f"<rdf:Description xmlns:MicaSense='{maker}'>"
        "<MicaSense:CaptureId>aVl4Sm</MicaSense:CaptureId></rdf:Description>"
        "</rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    ).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, values, metadata=None, extratags=[(700, "B", len(xmp), xmp, True)])


def save_capture(folder, number=0, *, counts=COUNTS, **options):
    for band, (name, nm) in enumerate(MICASENSE_BANDS.items(), 1):
        path = folder / f"IMG_{number:04d}_{band}.tif"
        save_micasense_image(path, counts[..., band - 1], name, nm, **options)
    return folder


@pytest.mark.parametrize("attributes", [False, True])
def test_a_capture_of_micasense_is_one_cube(tmp_path, attributes):
    folder = save_capture(tmp_path / "000", attributes=attributes)
    thermal = np.full((12, 16), 29315, np.uint16)
    save_micasense_image(folder / "IMG_0000_6.tif", thermal, "LWIR", 11000)
    waves = np.array(list(MICASENSE_BANDS.values()), float)
    cube = check_ingest(folder, COUNTS.astype(np.float32), waves=waves)
    history = "\n".join(cube.history)
    assert "recognised as a product of MicaSense" in history
    assert "left out: IMG_0000_6.tif (thermal)" in history
    assert "black level, exposure, gain and vignetting" in history
    assert "align them first" in history


def test_a_panchromatic_image_is_left_out(tmp_path):
    folder = save_capture(tmp_path / "000")
    save_micasense_image(folder / "IMG_0000_6.tif", np.zeros((48, 40), np.uint16), "Panchro", 635)
    cube = check_ingest(
        folder, COUNTS.astype(np.float32), waves=np.array([475.0, 560, 668, 840, 717])
    )
    assert any("IMG_0000_6.tif (Panchro of 48 x 40 pixels)" in line for line in cube.history)


def test_several_captures_are_refused_with_the_command_for_one(tmp_path, capsys):
    folder = save_capture(tmp_path / "my flight", 0)
    thermal = np.full((12, 16), 29315, np.uint16)
    save_micasense_image(folder / "IMG_0000_6.tif", thermal, "LWIR", 11000)
    save_capture(folder, 1, counts=COUNTS + 1)
    assert main([str(folder), str(tmp_path / "a.zarr")]) == 1
    error = " ".join(capsys.readouterr().err.split())
    files = error.split("jaxhsi ingest ")[1].split(" NAME.zarr")[0]
    assert main([*shlex.split(files), str(tmp_path / "a.zarr")]) == 0
    cube = open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), COUNTS)
    assert cube.wavelengths.tolist() == list(MICASENSE_BANDS.values())
    assert any("recognised as a product of MicaSense" in line for line in cube.history)


RESONON_HEADER = """ENVI
interleave = {interleave}
data type = 12
lines = 24
samples = 20
bands = 12
bit depth = 12
shutter = 14.9
gain = 2.5
framerate = 60.0
imager type = Pika L
imager serial number = 100121-57
rotation = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
wavelength = {{{waves}}}
{more}
"""


def save_resonon(path, values, more=""):
    interleave = path.suffix[1:]
    order = {"bil": (0, 2, 1), "bip": (0, 1, 2), "bsq": (2, 0, 1)}[interleave]
    np.ascontiguousarray(values.astype("<u2").transpose(order)).tofile(path)
    waves = ", ".join(f"{nm:.2f}" for nm in wavelengths(12))
    header = RESONON_HEADER.format(interleave=interleave, waves=waves, more=more)
    path.with_name(f"{path.name}.hdr").write_text(
        header.replace("lines = 24", f"lines = {len(values)}")
    )


WAVES = np.round(wavelengths(12), 2)


@pytest.mark.parametrize("suffix", [".bil", ".bip", ".bsq"])
def test_resonon_counts_and_references(tmp_path, suffix):
    values = np.round(100 + scene() * 3000)
    save_resonon(tmp_path / f"leaf{suffix}", values)
    cube = check_ingest(tmp_path / f"leaf{suffix}", values.astype(np.float32), waves=WAVES)
    history = "\n".join(cube.history)
    assert "recognised as a product of Resonon" in history
    assert "counts of 12 bits, 4095 is saturated" in history
    assert "no byte order" in history
    save_resonon(tmp_path / f"dark{suffix}", np.full((3, 20, 12), 100.0))
    save_resonon(tmp_path / f"white{suffix}", np.full((3, 20, 12), 3100.0))
    cube = ingest(tmp_path / f"leaf{suffix}", tmp_path / "r.zarr")
    expected = (values - 100) / 3000
    np.testing.assert_allclose(cube.array.read().result(), expected, rtol=1e-5, atol=1e-6)
    assert cube.units == "reflectance"


def test_resonon_reflectance(tmp_path):
    values = np.round(scene() * 10000)
    save_resonon(tmp_path / "leaf.bil", values, "reflectance scale factor = 10000")
    cube = check_ingest(tmp_path / "leaf.bil", (values / 10000).astype(np.float32), waves=WAVES)
    assert not any("counts" in line for line in cube.history)
    (tmp_path / "imager.icp").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="calibration pack of Spectronon"):
        file_format(tmp_path / "imager.icp")


def test_cubert_tiff_with_a_page_a_channel(tmp_path):
    values = np.round(scene(24, 20, 6) * 10000).astype(np.uint16)
    nm = np.array([450.0, 454, 458, 462, 466, 470])
    with tifffile.TiffWriter(tmp_path / "mesu_0001.tiff") as file:
        for band in range(6):
            file.write(
                values[..., band],
                metadata=None,
                contiguous=False,
                description=f"{nm[band]:g} nm",
                software="Cubert Cuvis",
            )
    cube = check_ingest(tmp_path / "mesu_0001.tiff", values.astype(np.float32), waves=nm)
    assert any("recognised as a product of Cubert" in line for line in cube.history)


@pytest.mark.parametrize("suffix", [".cu3s", ".cu3", ".cue", ".cub"])
def test_cubert_recordings_are_refused_with_a_way_out(tmp_path, suffix, capsys):
    path = tmp_path / f"session{suffix}"
    path.write_bytes(b"\x00" * 2000)
    assert main([str(path), str(tmp_path / "a.zarr")]) == 1
    assert "cuvis.EnviExporter" in " ".join(capsys.readouterr().err.split())
