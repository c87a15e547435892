"""Readers: every format gives the same cube, and bad files say what is wrong with them."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io

from jaxhsi.data.formats import cube_shape, file_format
from jaxhsi.data.formats.axis_order import decide_axis_order, guess_layout
from jaxhsi.data.ingest import resumable_writer
from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.windows import read_window

SHAPE = (6, 5, 17)
VALUES = np.random.default_rng(1).integers(-300, 300, SHAPE).astype(np.int16)


def save_v5(path: Path, **arrays) -> Path:
    scipy.io.savemat(path, arrays, do_compression=True)
    return path


def save_v73(path: Path, **arrays) -> Path:
    """As MATLAB does: a text of 512 bytes first, axes in the opposite order, a class for each."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, array in arrays.items():
            array = np.asarray(array)
            file.create_dataset(key, data=array.T)
            kind = {"b": "logical", "U": "char"}.get(array.dtype.kind, "double")
            file[key].attrs["MATLAB_class"] = np.bytes_(kind)
        file.create_group("#refs#")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    return path


def save_npy(path: Path, cube) -> Path:
    path = path.with_suffix(".npy")
    np.save(path, cube)
    return path


WRITERS = [save_v5, save_v73, save_npy]
MATLAB = [save_v5, save_v73]


def values_of(source: Path, target: Path, **options) -> np.ndarray:
    return ingest(source, target, **options).array.read().result()


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((83, 86, 204), "hwc"),  # SalinasA
        ((31, 43, 580), "hwc"),  # PlantCV corn kernel
        ((512, 614, 224), "hwc"),  # AVIRIS scene
        ((610, 340, 103), "hwc"),  # Pavia University
        ((145, 145, 200), "hwc"),  # Indian Pines
        ((301, 1024, 1024), "chw"),
        ((301, 1000, 900), "chw"),
        ((198, 100, 100), "chw"),
    ],
)
def test_layout_rule(shape, layout):
    assert guess_layout(shape) == layout


@pytest.mark.parametrize(
    "shape",
    [
        *((64, 64, 64), (512, 217, 224), (301, 60, 64), (10, 20, 40)),
        (63, 70, 60),  # no pair of axes is much squarer
        *((60, 48, 96), (96, 32, 112)),  # lines x bands x samples, as push-broom frames
    ],
)
def test_layout_that_the_shape_does_not_tell(shape):
    choices = r"--layout hwc \(.*, --layout chw \(.* or --layout hcw \("
    with pytest.raises(ValueError, match=rf"scene\.npy.*{choices}"):
        guess_layout(shape, source_name="scene.npy")


def test_wavelengths_decide_the_layout():
    for count, layout in ((224, "hwc"), (512, "chw"), (217, "hcw")):
        assert decide_axis_order((512, 217, 224), wavelength_count=count).layout == layout
    assert decide_axis_order((83, 86, 204), wavelength_count=7).layout == "hwc"
    with pytest.raises(ValueError, match="--layout"):  # they fit two axes
        decide_axis_order((96, 80, 96), wavelength_count=96)


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", ">i2"])
@pytest.mark.parametrize("bands_first", [False, True])
def test_round_trip(tmp_path, save, dtype, bands_first):
    values = np.abs(VALUES % 100).astype(dtype)
    stored = values.transpose(2, 0, 1) if bands_first else values
    source = save(tmp_path / "scene.mat", cube=stored)
    layout = "chw" if bands_first else None
    cube = ingest(source, tmp_path / "out.zarr", layout=layout)
    np.testing.assert_array_equal(cube.array.read().result(), values)
    assert cube.array.dtype.numpy_dtype == np.dtype(dtype).newbyteorder("=")
    assert cube.shape == cube_shape(source, layout=layout) == SHAPE
    assert source.name in cube.history[0]


@pytest.mark.parametrize("save", WRITERS)
def test_streams_in_slabs(tmp_path, save, monkeypatch):
    values = np.arange(150 * 70 * 3, dtype=np.float32).reshape(150, 70, 3)
    monkeypatch.setattr(resumable_writer, "MAX_SLAB_BYTES", 1000)
    source = save(tmp_path / "tall.mat", cube=values.transpose(2, 0, 1))
    read = values_of(source, tmp_path / "out.zarr", layout="chw")
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize("save", MATLAB)
def test_wavelengths_are_found_and_micrometres_converted(tmp_path, save):
    waves = np.linspace(0.4, 2.5, 17)[:, None]
    source = save(tmp_path / "a.mat", cube=VALUES.transpose(2, 0, 1), Wavelength=waves)
    cube = ingest(source, tmp_path / "a.zarr")  # (17, 6, 5) alone would not tell
    assert cube.shape == SHAPE
    np.testing.assert_allclose(cube.wavelengths, 1000.0 * waves.ravel())
    source = save(tmp_path / "b.mat", cube=VALUES, wl=np.arange(3.0))
    assert ingest(source, tmp_path / "b.zarr", layout="hwc").wavelengths is None


@pytest.mark.parametrize("save", WRITERS)
def test_nan_is_kept_and_masked_and_constant_bands_are_data(tmp_path, save):
    values = VALUES.astype(np.float32)
    values[0, 0, 0], values[1, 2, 3], values[..., 5] = np.nan, -np.inf, 2.0
    cube = ingest(save(tmp_path / "a.mat", cube=values), tmp_path / "a.zarr", layout="hwc")
    np.testing.assert_array_equal(cube.array.read().result(), values)
    _, valid = read_window(cube, 0, 0, *SHAPE[:2])
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 2]]


@pytest.mark.parametrize("save", MATLAB)
def test_table_of_columns(tmp_path, save):
    table = VALUES.reshape(-1, 17, order="F").T  # (C, H * W), pixels down the columns
    arrays = {"A": table[:3], "Y": table, "M": np.ones((17, 3))}
    source = save(tmp_path / "own.mat", nRow=[[6.0]], nCol=[[5.0]], **arrays)
    np.testing.assert_array_equal(values_of(source, tmp_path / "own.zarr"), VALUES)
    source = save(tmp_path / "told.mat", **arrays)
    np.testing.assert_array_equal(values_of(source, tmp_path / "t.zarr", size=(6, 5)), VALUES)
    with pytest.raises(ValueError, match=r"Y \(17, 30\).*--size '\[H,W\]'"):
        ingest(source, tmp_path / "x.zarr")
    with pytest.raises(ValueError, match=r"H \* W = 30"):
        ingest(source, tmp_path / "x.zarr", key="Y", size=(7, 5))


def test_table_in_npy(tmp_path):
    source = save_npy(tmp_path / "a", VALUES.reshape(-1, 17, order="F").T)
    np.testing.assert_array_equal(values_of(source, tmp_path / "a.zarr", size=(6, 5)), VALUES)


@pytest.mark.parametrize("save", MATLAB)
def test_key_is_guessed_given_or_named(tmp_path, save):
    source = save(tmp_path / "one.mat", note=np.ones((2, 2)), img=VALUES)
    np.testing.assert_array_equal(values_of(source, tmp_path / "1.zarr", layout="hwc"), VALUES)
    with pytest.raises(ValueError, match=r"no numeric array 'cube'.*img \(6, 5, 17\)"):
        ingest(source, tmp_path / "x.zarr", key="cube")
    with pytest.raises(ValueError, match=r"'note' has shape|'note' is a table"):
        ingest(source, tmp_path / "x.zarr", key="note")
    source = save(tmp_path / "two.mat", a=VALUES, b=VALUES + 1)
    with pytest.raises(ValueError, match=r"several 3-D arrays.*a \(6, 5, 17\), b \(6, 5, 17\)"):
        ingest(source, tmp_path / "x.zarr")
    read = values_of(source, tmp_path / "2.zarr", key="b", layout="hwc")
    np.testing.assert_array_equal(read, VALUES + 1)


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 4, 5)])
def test_arrays_of_other_dimensions(tmp_path, save, shape):
    source = save(tmp_path / "a.mat", cube=np.ones(shape))
    with pytest.raises(ValueError, match=rf"a\.(mat|npy).*\({', '.join(map(str, shape))}\)"):
        ingest(source, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("dtype", ["complex64", "bool"])
def test_values_that_are_no_real_numbers(tmp_path, save, dtype):
    source = save(tmp_path / "a.mat", cube=(VALUES > 0).astype(dtype))
    with pytest.raises(ValueError, match=r"a\.(mat|npy)"):
        ingest(source, tmp_path / "a.zarr", layout="hwc")
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("cube", [VALUES.astype(object), VALUES.astype(str)])
def test_objects_and_text_in_npy(tmp_path, cube):
    path = tmp_path / "a.npy"
    np.save(path, cube, allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy"):
        ingest(path, tmp_path / "a.zarr", layout="hwc")


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.3, 0.6, 0.95])
def test_truncated_files(tmp_path, save, kept):
    source = save(tmp_path / "a.mat", cube=np.random.default_rng(2).normal(size=(30, 31, 20)))
    whole = source.read_bytes()
    source.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"a\.(mat|npy).*(again|no 3-D array)"):
        ingest(source, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("name", ["a.mat", "a.npy"])
def test_files_of_other_content(tmp_path, name):
    (tmp_path / name).write_bytes(b"this is text, " * 100)
    with pytest.raises(ValueError, match=rf"{name} cannot be read"):
        ingest(tmp_path / name, tmp_path / "a.zarr")


def test_missing_file_unknown_suffix_and_options(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.mat"):
        ingest(tmp_path / "none.mat", tmp_path / "a.zarr")
    (tmp_path / "a.csv").touch()
    with pytest.raises(ValueError, match=r"'\.csv'; supported are \.mat, \.npy"):
        ingest(tmp_path / "a.csv", tmp_path / "a.zarr")
    source = save_npy(tmp_path / "a", VALUES)
    with pytest.raises(ValueError, match="unknown layout 'hxc'"):
        ingest(source, tmp_path / "a.zarr", layout="hxc")
    with pytest.raises(ValueError, match="drop --key Y"):
        ingest(source, tmp_path / "a.zarr", key="Y")


def test_v73_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    source = save_v73(tmp_path / "a.mat", cube=VALUES)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxhsi\[io\]'"):
        ingest(source, tmp_path / "a.zarr")


def save_envi(path: Path, cube) -> Path:
    height, width, bands = cube.shape
    path.with_suffix(".hdr").write_text(
        f"ENVI\nlines = {height}\nsamples = {width}\nbands = {bands}\ndata type = 2\n"
        "interleave = bsq\nbyte order = 1\n"
    )
    path.with_suffix(".img").write_bytes(cube.transpose(2, 0, 1).astype(">i2").tobytes())
    return path.with_suffix(".img")


def save_geotiff(path: Path, cube) -> Path:
    path = path.with_suffix(".tif")
    height, width, bands = cube.shape
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(2, 0, 5e5, 0, -2, 4e6)}
    with rasterio.open(path, "w", "GTiff", width, height, bands, dtype=cube.dtype, **place) as file:
        file.write(cube.transpose(2, 0, 1))
    return path


def save_hdf5(path: Path, cube) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["scene/cube"] = cube
    return path.with_suffix(".h5")


@pytest.mark.parametrize("save", [save_npy, save_envi, save_geotiff, save_hdf5])
def test_every_format_gives_the_same_cube(tmp_path, save):
    source = save(tmp_path / "scene", VALUES)
    cube = ingest(source, tmp_path / "out.zarr", layout="hwc")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    assert cube.array.dtype.name == "int16"
    assert cube.shape == cube_shape(source, layout="hwc") == SHAPE
    if save is save_geotiff:
        assert (cube.georeference.crs, cube.georeference.pixel_area) == ("EPSG:32633", 4.0)


def test_salinas(shared_data, tmp_path):
    source = shared_data / "salinasA/SalinasA_corrected.mat"
    cube = ingest(source, tmp_path / "a.zarr")
    assert cube.shape == (83, 86, 204)
    assert cube.array.dtype.name == "int16"
    truth = scipy.io.loadmat(source)["salinasA_corrected"]
    np.testing.assert_array_equal(read_window(cube, 20, 30, 5, 5)[0], truth[20:25, 30:35])


def test_jasper_and_samson(shared_data, tmp_path):
    source = shared_data / "jasper/jasperRidge2_R198.mat"
    cube = ingest(source, tmp_path / "jasper.zarr")
    table = scipy.io.loadmat(source)["Y"]
    assert cube.shape == (100, 100, 198)
    np.testing.assert_array_equal(read_window(cube, 3, 2, 1, 1)[0][0, 0], table[:, 203])
    source = shared_data / "samson/Samson.mat"
    with pytest.raises(ValueError, match=r"Y \(156, 9025\).*--size"):
        ingest(source, tmp_path / "samson.zarr")
    assert ingest(source, tmp_path / "samson.zarr", size=(95, 95)).shape == (95, 95, 156)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="is a folder without files whose names number a band"):
        file_format(tmp_path)
