"""Wavelengths as texts, names of bands, channels, and as what is inverse to them."""

import h5py
import numpy as np
import pytest
import tifffile

from tests.data.cases.scenes import check_ingest, counts, save_hdf5, scene, wavelengths

CUBE, WAVES = scene(), wavelengths(12)
STORED = counts(CUBE)


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("wavenumber", 1e7 / WAVES, "cm-1"),
        ("wavenumbers", 1e7 / WAVES, None),
        ("frequency", 299_792_458 / WAVES, "GHz"),
        ("energy", 1239.841984 / WAVES, "eV"),
        ("wavelength", WAVES * 10, "Angstroms"),
        ("wavelength", WAVES * 1e-9, "m"),
    ],
)
def test_quantities_and_units(tmp_path, name, values, unit):
    attributes = {name: {"units": unit}} if unit else {}
    check_ingest(
        save_hdf5(tmp_path / "a.h5", {"cube": CUBE, name: values}, attributes), CUBE, waves=WAVES
    )


@pytest.mark.parametrize(("name", "unit"), [("energy", "keV"), ("frequency", None)])
def test_what_is_no_light_has_no_wavelength(tmp_path, name, unit):
    attributes = {name: {"units": unit}} if unit else {}
    path = save_hdf5(tmp_path / "a.h5", {"cube": CUBE, name: np.arange(12) + 1.5}, attributes)
    check_ingest(path, CUBE, layout="hwc")


def test_numbers_written_as_text(tmp_path):
    texts = np.array([f"{nm:.2f}" for nm in WAVES], "S")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"], file["wavelengths"] = CUBE, texts
    check_ingest(tmp_path / "a.h5", CUBE, waves=WAVES.round(2))


def save_envi(path, **fields):
    STORED.transpose(2, 0, 1).tofile(path)
    fields = {"lines": 24, "samples": 20, "bands": 12, "data type": 2, "byte order": 0} | fields
    lines = "\n".join(f"{name} = {value}" for name, value in fields.items())
    path.with_suffix(".hdr").write_text(f"ENVI\ninterleave = bsq\n{lines}\n")
    return path


def test_names_of_envi_bands(tmp_path):
    names = ", ".join(f"Band {i} ({nm:.1f} Nanometers)" for i, nm in enumerate(WAVES, 1))
    path = save_envi(tmp_path / "a.img", **{"band names": f"{{{names}}}"})
    check_ingest(path, STORED.astype(np.float32), waves=WAVES.round(1))
    names = ", ".join(f"PC {i}" for i in range(12))
    path = save_envi(tmp_path / "b.img", **{"band names": f"{{{names}}}"})
    check_ingest(path, STORED.astype(np.float32))


def test_several_values_that_envi_ignores_and_a_scale_without_meaning(tmp_path):
    fields = {"data ignore value": f"{{{STORED[3, 3, 0]}, {STORED[9, 9, 5]}}}"}
    path = save_envi(tmp_path / "a.img", **fields, **{"scale factor": 10000})
    missing = np.isin(STORED, [STORED[3, 3, 0], STORED[9, 9, 5]]).any(-1)
    cube = check_ingest(path, STORED.astype(np.float32), valid=~missing)
    assert any("scale factor = 10000: not used" in line for line in cube.history)


@pytest.mark.parametrize("channel", ["names", "emission"])
def test_channels_of_ome(tmp_path, channel):
    texts = [f"{nm:.0f}" for nm in WAVES]
    described = {"Name": [f"{text} nm" for text in texts]}
    if channel == "emission":
        described = {"EmissionWavelength": [float(text) for text in texts]}
        described |= {"EmissionWavelengthUnit": ["nm"] * 12}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        file.write(STORED.transpose(2, 0, 1), metadata={"axes": "CYX", "Channel": described})
    path = tmp_path / "a.ome.tif"
    check_ingest(path, STORED.astype(np.float32), waves=np.array(texts, float))


def test_gains_of_envi_to_reflectance_have_priority(tmp_path):
    fields = {f"data {kind}gain values": f"{{{', '.join([gain] * 12)}}}" for kind, gain in GAINS}
    cube = check_ingest(save_envi(tmp_path / "a.img", **fields), STORED.astype(np.float32) * 1e-4)
    assert cube.units == "reflectance"
    assert any("data gain values not applied" in line for line in cube.history)


GAINS = (("", "0.05"), ("reflectance ", "0.0001"))
