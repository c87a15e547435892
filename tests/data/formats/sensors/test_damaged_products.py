"""Products that lost a part: the rest is right and the loss is told, or a remedy is given."""

import h5py
import numpy as np
import pytest

from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.ingest import main
from jaxhsi.inspect import main as inspect
from tests.data.cases.scenes import check_ingest, from_counts, save_hdf5, wavelengths
from tests.helpers.rasters import PLACE, save_raster
from tests.helpers.sensor_products import CUBE, STORED, WAVES, save_prisma

PRISMA_GROUP = "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields"
SCALES = {f"L2Scale{d}{e}": v for d in ("Vnir", "Swir") for e, v in (("Min", 0.0), ("Max", 1.0))}


def without_attribute(name):
    return lambda file: file.attrs.__delitem__(name)


def shorter_list(file):
    file.attrs["List_Cw_Vnir"] = file.attrs["List_Cw_Vnir"][:-2]


def fewer_lines(file):
    lines = file[f"{PRISMA_GROUP}/SWIR_Cube"][:-4]
    del file[f"{PRISMA_GROUP}/SWIR_Cube"]
    file[f"{PRISMA_GROUP}/SWIR_Cube"] = lines


@pytest.mark.parametrize(
    ("damage", "words", "remedy"),
    [
        (without_attribute("List_Cw_Vnir"), "List_Cw_Vnir holds 0 wavelengths", "SWIR_Cube"),
        (shorter_list, "holds 8 wavelengths and VNIR_Cube has 10 bands", "SWIR_Cube"),
        (fewer_lines, "the detectors have different pixels", "VNIR_Cube"),
    ],
)
def test_prisma_with_one_detector_damaged(tmp_path, damage, words, remedy):
    path = save_prisma(tmp_path / "PRS_L2D.he5", **SCALES)
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(ValueError, match=words) as error:
        ingest(path, tmp_path / "a.zarr")
    assert f"--key {remedy}" in str(error.value)
    cube = ingest(path, tmp_path / "b.zarr", key=remedy)
    assert cube.shape == (24, 20, 9)


def test_prisma_without_scale_is_counts(tmp_path):
    cube = ingest(save_prisma(tmp_path / "PRS_L2D.he5"), tmp_path / "a.zarr")
    counts = np.round(CUBE[..., 1] * 65535)
    np.testing.assert_array_equal(cube.array.read().result()[..., 0], counts)
    assert cube.units is None
    assert any("values are counts; --scale" in line for line in cube.history)


def test_neon_without_scale_is_told(tmp_path):
    key = "SERC/Reflectance/Reflectance_Data"
    path = save_hdf5(tmp_path / "a.h5", {key: STORED, "SERC/Wavelength": WAVES})
    cube = check_ingest(path, STORED.astype(np.float32), waves=WAVES)
    assert any("--scale 0.0001 by the guide" in line for line in cube.history)
    (tmp_path / "scaled").mkdir()
    path.rename(tmp_path / "scaled" / "a.h5")
    check_ingest(tmp_path / "scaled" / "a.h5", from_counts(STORED), waves=WAVES, scale=0.0001)


def save_enmap(folder, *, xml=True, detector=""):
    """A product's folder, with pictures and masks beside the cube."""
    name = "ENMAP01-____L2A-DT0000051064_20231121T023506Z_013_V010402_20240408T193411Z"
    save_raster(folder / f"{name}-SPECTRAL_IMAGE{detector}.TIF", STORED.transpose(2, 0, 1), **PLACE)
    save_raster(folder / f"{name}-QL_VNIR.TIF", np.zeros((3, 24, 20), np.uint8))
    save_raster(folder / f"{name}-QL_PIXELMASK.TIF", np.zeros((16, 24, 20), np.uint8))
    save_raster(folder / f"{name}-QL_QUALITY_CLOUD.TIF", np.zeros((1, 24, 20), np.uint8))
    waves = wavelengths(16 if not detector else 20)
    rows = "".join(
        f'<bandID number="{i}"><wavelengthCenterOfBand>{nm}</wavelengthCenterOfBand>'
        f"<GainOfBand>0.0001</GainOfBand><OffsetOfBand>0</OffsetOfBand></bandID>"
        for i, nm in enumerate(waves, 1)
    )
    if xml:
        (folder / f"{name}-METADATA.XML").write_text(f"<level_X><bands>{rows}</bands></level_X>")
    return folder


def test_the_folder_of_a_product_is_its_cube(tmp_path, capsys):
    folder = save_enmap(tmp_path / "enmap")
    assert inspect([str(folder)]) == 0
    assert "EnMAP" in capsys.readouterr().out
    assert main([str(folder), str(tmp_path / "a.zarr")]) == 0
    [image] = folder.glob("*SPECTRAL_IMAGE.TIF")
    cube = check_ingest(image, from_counts(STORED), waves=WAVES)
    assert cube.units == "reflectance"


@pytest.mark.parametrize(("detector", "part"), [("_VNIR", slice(0, 16)), ("_SWIR", slice(4, 20))])
def test_images_of_one_detector_have_their_part_of_the_metadata(tmp_path, detector, part):
    [image] = save_enmap(tmp_path / "l1b", detector=detector).glob("*SPECTRAL_IMAGE*")
    check_ingest(image, from_counts(STORED), waves=wavelengths(20)[part])


def test_enmap_without_metadata_is_counts(tmp_path):
    [image] = save_enmap(tmp_path / "enmap", xml=False).glob("*SPECTRAL_IMAGE*")
    cube = check_ingest(image, STORED.astype(np.float32))
    assert cube.units is None
    assert any("no -METADATA.XML" in line and "counts" in line for line in cube.history)


def test_a_folder_with_several_cubes_names_them(tmp_path, capsys):
    for name in ("east", "west"):
        save_raster(tmp_path / f"scenes/{name}.tif", STORED.transpose(2, 0, 1))
    assert main([str(tmp_path / "scenes"), str(tmp_path / "a.zarr")]) == 1
    assert "east.tif, west.tif; give a folder" in " ".join(capsys.readouterr().err.split())
    assert main([str(tmp_path / "scenes"), str(tmp_path / "stores")]) == 0
    assert {path.name for path in (tmp_path / "stores").iterdir()} == {"east.zarr", "west.zarr"}


def test_an_archive_is_to_be_unpacked(tmp_path, capsys):
    (tmp_path / "product.zip").write_bytes(b"PK\x03\x04")
    assert main([str(tmp_path / "product.zip"), str(tmp_path / "a.zarr")]) == 1
    assert "is an archive; unpack it" in capsys.readouterr().err


def test_a_dimension_without_values_hides_no_wavelengths(tmp_path):
    """As in PACE OCI's level 2: the dimension wavelength_3d has its vector in another group."""
    path = tmp_path / "PACE_OCI.L2.nc"
    with h5py.File(path, "w") as file:
        file["rhos"] = CUBE
        for axis, (name, length) in enumerate({"lines": 24, "pixels": 20, "wave_3d": 16}.items()):
            scale = file.create_dataset(name, data=np.zeros(length, ">f4"))
            scale.make_scale(f"This is a netCDF dimension but not a netCDF variable. {length:9}")
            file["rhos"].dims[axis].attach_scale(scale)
        waves = file.create_dataset("bands/wave_3d", data=WAVES)
        waves.dims[0].attach_scale(file["wave_3d"])
    check_ingest(path, CUBE, waves=WAVES)


@pytest.mark.parametrize(
    ("factor", "unit", "is_told"),
    [(1.0, "nm", False), (1e-3, "um", False), (1.0, "um", True), (1e-3, "Nanometers", True)],
)
def test_units_of_wavelengths_against_their_values(tmp_path, factor, unit, is_told):
    arrays = {"cube": CUBE, "wavelength": WAVES * factor}
    path = save_hdf5(tmp_path / "a.h5", arrays, {"wavelength": {"units": unit}})
    cube = check_ingest(path, CUBE, waves=WAVES)
    assert any("its values are taken as" in line for line in cube.history) == is_told
