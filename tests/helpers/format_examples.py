"""Random cubes written by each format's own writer, and what an ingest must give of them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import rasterio
import scipy.io
import tifffile
import xarray
from hypothesis import strategies as st
from spectral.io import envi

from tests.data.cases.scenes import save_hdf5

CRS, TRANSFORM = "EPSG:32633", (2.5, 0.0, 430_000.0, 0.0, -2.5, 5_400_000.0)
MAP_INFO = "UTM, 1, 1, 430000, 5400000, 2.5, 2.5, 33, North, WGS-84, units=Meters"
NO_DATA = -99.0
INTEGER_TYPES, FLOAT_TYPES = ("<i2", ">i2", "<i4", "u1", "<u2", ">u2"), ("<f4", ">f4", "<f8")


class Example(NamedTuple):
    """A cube and what is known of it.

    Attributes:
        stored: (H, W, C), values as they are written.
        missing: (H, W), pixels that have no measurement.
        scale: stored times this, plus `offset`, are the values; None where nothing is stated.
        offset: see there.
        waves: wavelength of each band in nm, rising or falling.
        order: of the axes in the file, where the format leaves it open: position of H, W and C.
        variant: a number by which a writer chooses among its ways to write.
    """

    stored: np.ndarray
    missing: np.ndarray
    scale: float | None
    offset: float | None
    waves: np.ndarray
    order: tuple[int, int, int]
    variant: int

    @property
    def is_float(self) -> bool:
        return self.stored.dtype.kind == "f"

    @property
    def no_data(self) -> float | None:
        """The mark that a file states; floats have NaN."""
        return NO_DATA if self.missing.any() and not self.is_float else None

    def marked(self) -> np.ndarray:
        """What is written where missing values have a mark of their own."""
        if not self.missing.any():
            return self.stored
        stored = self.stored.copy()
        stored[self.missing] = np.nan if self.is_float else NO_DATA
        return stored

    @property
    def values(self) -> np.ndarray:
        return self.stored.astype(np.float64) * (self.scale or 1.0) + (self.offset or 0.0)


@st.composite
def examples(draw, dtypes=(*INTEGER_TYPES, *FLOAT_TYPES)) -> Example:
    """Cubes whose three sides differ, so that a vector of wavelengths fits one of them."""
    sides = draw(st.lists(st.integers(2, 33), min_size=3, max_size=3, unique=True))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    is_marked = draw(st.booleans()) and dtype.kind != "u"
    missing = (rng.random(sides[:2]) < 0.2) & is_marked
    missing[0, 0] = False
    waves = np.sort(rng.choice(np.arange(3500, 25000), sides[2], replace=False)) / 10
    return Example(
        stored=rng.integers(1, 120, sides).astype(dtype),
        missing=missing,
        scale=draw(st.sampled_from([None, 0.01, 0.0001])),
        offset=draw(st.sampled_from([None, -0.25])),
        waves=waves if draw(st.booleans()) else waves[::-1],
        order=draw(st.permutations((0, 1, 2)).map(tuple)),
        variant=draw(st.integers(0, 11)),
    )


class CubeFormat(NamedTuple):
    """A format with its writer, and what a file of it tells; the tests hold it to that.

    Attributes:
        name: for people.
        file_name: of the example.
        write: (path, example).
        layout: what tells the order of the axes, in a few words.
        wavelengths: what tells them, or "" where the format has no place for them.
        mask: what tells missing pixels, or "".
        scale: what tells factor and offset, or "".
        crs: what tells the place on the ground, or "".
        states_offset: whether the offset is among these.
        needs_layout: whether the order of the axes must be told.
        write_labels: (path, labels (H, W) of uint8), or None where truth is not read from it.
        label_note: what is said of labels in the table.
    """

    name: str
    file_name: str
    write: Callable[[Path, Example], object]
    layout: str
    wavelengths: str = ""
    mask: str = ""
    scale: str = ""
    crs: str = ""
    states_offset: bool = False
    needs_layout: bool = False
    write_labels: Callable[[Path, np.ndarray], object] | None = None
    label_note: str = "yes"


def rows_first(order: tuple[int, int, int]) -> tuple[int, int, int]:
    """The order with rows before columns, where nothing else could tell them apart."""
    places = sorted((order.index(0), order.index(1)))
    result = list(order)
    result[places[0]], result[places[1]] = 0, 1
    return tuple(result)


def _marks(example: Example) -> dict:
    marks = {"_FillValue": example.no_data}
    marks |= {"scale_factor": example.scale, "add_offset": example.offset}
    return {name: value for name, value in marks.items() if value is not None}


def write_hdf5(path: Path, example: Example) -> None:
    """With named axes, vector and marks in CF's words or in NEON's."""
    names = [("line", "sample", "band")[axis] for axis in example.order]
    options = {"chunks": True, "compression": "gzip"} if example.variant % 2 else {}
    with h5py.File(path, "w") as file:
        data = example.marked().transpose(example.order)
        cube = file.create_dataset("g/cube", data=data, **options)
        marks = _marks(example)
        if example.variant % 3 == 0 and "_FillValue" in marks:
            marks["Data_Ignore_Value"] = marks.pop("_FillValue")
        if example.variant % 3 == 0 and example.scale and not example.offset:
            marks["Scale_Factor"] = 1 / marks.pop("scale_factor")
        cube.attrs.update(marks | {"map_info": MAP_INFO})
        for axis, name in enumerate(names):
            cube.dims[axis].label = name
        file["g/wavelength"] = example.waves / 1000
        file["g/wavelength"].attrs["units"] = "um"


def write_netcdf3(path: Path, example: Example) -> None:
    names = [("lat", "lon", "band")[axis] for axis in example.order]
    stored = example.marked()
    narrow = {"u1": "i1", "u2": "i2"}.get(stored.dtype.str[1:])  # NetCDF 3 has no unsigned
    stored = stored.astype(narrow) if narrow else stored
    with scipy.io.netcdf_file(path, "w") as file:
        for axis, name in zip(example.order, names, strict=True):
            file.createDimension(name, example.stored.shape[axis])
        cube = file.createVariable("cube", stored.dtype, names)
        cube[:] = stored.transpose(example.order)
        for name, value in _marks(example).items():
            setattr(cube, name, value)
        crs = file.createVariable("crs", "i4", [])
        crs.epsg_code, crs.GeoTransform = CRS, "430000 2.5 0 5400000 0 -2.5"
        cube.grid_mapping = "crs"
        waves = file.createVariable("wavelength", "f8", ["band"])
        waves[:], waves.units = example.waves, "nm"


def write_netcdf4(path: Path, example: Example) -> None:
    """By xarray, which encodes values as CF says, with coordinates of pixel centres."""
    height, width, _ = example.stored.shape
    names = [("y", "x", "wavelength")[axis] for axis in example.order]
    a, _, c, _, e, f = TRANSFORM
    coordinates = {
        "y": ("y", f + e * (np.arange(height) + 0.5), {"units": "m"}),
        "x": ("x", c + a * (np.arange(width) + 0.5), {"units": "m"}),
        "wavelength": ("wavelength", example.waves, {"units": "nm"}),
        "spatial_ref": ((), 0, {"crs_wkt": rasterio.CRS.from_string(CRS).to_wkt()}),
    }
    cube = xarray.DataArray(
        example.marked().transpose(example.order).astype(example.stored.dtype.newbyteorder("=")),
        dims=names,
        attrs=_marks(example) | {"grid_mapping": "spatial_ref"},
    )
    cube.attrs.pop("_FillValue", None)
    encoding = {"_FillValue": None if example.no_data is None else example.no_data}
    if encoding["_FillValue"] is not None:
        encoding["_FillValue"] = example.stored.dtype.type(example.no_data)
    if example.variant % 2:
        encoding |= {"zlib": True, "chunksizes": tuple(min(8, n) for n in cube.shape)}
    dataset = xarray.Dataset({"reflectance": cube}, coordinates)
    dataset.to_netcdf(path, engine="h5netcdf", encoding={"reflectance": encoding})


def write_envi(path: Path, example: Example) -> None:
    """bsq, bil and bip, both byte orders, factor by one of two fields."""
    metadata = {"wavelength": list(example.waves), "wavelength units": "nm", "map info": MAP_INFO}
    num_bands = example.stored.shape[2]
    if example.no_data is not None:
        metadata["data ignore value"] = example.no_data
    if example.scale is not None and example.offset is None:
        metadata["reflectance scale factor"] = 1 / example.scale
    elif example.scale is not None or example.offset is not None:
        metadata["data gain values"] = [example.scale or 1.0] * num_bands
        metadata["data offset values"] = [example.offset or 0.0] * num_bands
    envi.save_image(
        str(path.with_suffix(".hdr")),
        example.marked(),
        dtype=example.stored.dtype.newbyteorder("="),
        interleave=("bsq", "bil", "bip")[example.variant % 3],
        byteorder=int(example.stored.dtype.byteorder == ">"),
        ext=path.suffix,
        metadata={name: f"{{{v}}}" if name == "map info" else v for name, v in metadata.items()},
    )


def write_envi_labels(path: Path, labels: np.ndarray) -> None:
    envi.save_classification(
        str(path.with_suffix(".hdr")),
        labels,
        class_names=[f"class {value}" for value in range(int(labels.max()) + 1)],
        ext=path.suffix,
    )


GEOTIFF_LAYOUTS = (
    {},
    {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
    {"interleave": "pixel", "compress": "lzw"},
    {"blockysize": 3, "BIGTIFF": "YES"},
)


def write_geotiff(path: Path, example: Example) -> None:
    """Striped, tiled, compressed; missing pixels by a value, a mask or an alpha band."""
    height, width, bands = example.stored.shape
    dtype = example.stored.dtype.newbyteorder("=").name
    kind = example.variant % 3 if example.missing.any() and not example.is_float else 0
    profile = {"driver": "GTiff", "height": height, "width": width, "dtype": dtype}
    profile |= {"count": bands + (kind == 2), "crs": CRS, "transform": rasterio.Affine(*TRANSFORM)}
    profile |= {"nodata": example.no_data if kind == 0 else None}
    if example.stored.dtype.byteorder == ">":
        profile["ENDIANNESS"] = "BIG"
    layout = GEOTIFF_LAYOUTS[example.variant // 3]
    values = (example.marked() if kind == 0 else example.stored).transpose(2, 0, 1)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", **profile, **layout) as file,
    ):
        if kind == 2:
            names = [rasterio.enums.ColorInterp.undefined] * bands
            file.colorinterp = [*names, rasterio.enums.ColorInterp.alpha]
            file.write(np.where(example.missing, 0, 255).astype(dtype), bands + 1)
        file.write(values, list(range(1, bands + 1)))
        if kind == 1:
            file.write_mask(~example.missing)
        for band, nm in enumerate(example.waves, 1):
            file.update_tags(band, wavelength=nm, wavelength_units="nm")
        file.scales = [example.scale or 1.0] * bands + [1.0] * (kind == 2)
        file.offsets = [example.offset or 0.0] * bands + [0.0] * (kind == 2)


def write_geotiff_labels(path: Path, labels: np.ndarray) -> None:
    profile = {"driver": "GTiff", "height": labels.shape[0], "width": labels.shape[1]}
    place = {"crs": CRS, "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(path, "w", count=1, dtype="uint8", **profile, **place) as file:
        file.write(labels, 1)


def write_tiff_pages(path: Path, example: Example) -> None:
    """One page a band by tifffile, each with its wavelength in its description."""
    with tifffile.TiffWriter(path, byteorder=">" if example.variant % 2 else "<") as file:
        for band, nm in enumerate(example.waves):
            page = np.ascontiguousarray(example.marked()[..., band])
            options = {"compression": "zlib"} if example.variant % 3 == 0 else {}
            file.write(
                page.astype(page.dtype.newbyteorder("=")),
                metadata=None,
                description=f"{nm:g} nm",
                contiguous=False,
                photometric="minisblack",
                **options,
            )


def write_mat5(path: Path, example: Example) -> None:
    """Variables, or the fields of a struct, with vector and marks beside the cube."""
    arrays = _plain_arrays(example)
    if example.variant % 2:
        arrays = {"hsi": arrays}
    scipy.io.savemat(path, arrays, do_compression=bool(example.variant % 3))


def write_mat73(path: Path, example: Example) -> None:
    group = "hsi/" if example.variant % 2 else ""
    write_mat73_arrays(path, {f"{group}{n}": v for n, v in _plain_arrays(example).items()})


def write_mat73_arrays(path: Path, arrays: dict) -> None:
    """As MATLAB does: a text first, axes in the opposite order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            file[name] = np.atleast_2d(values).T
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")


def _plain_arrays(example: Example) -> dict:
    """Arrays as people save them: cube, wavelengths, and single numbers for the marks."""
    marks = {"no_data": example.no_data, "scale_factor": example.scale}
    stored = example.marked().transpose(rows_first(example.order))
    arrays = {"cube": stored.astype(stored.dtype.newbyteorder("=")), "wavelengths": example.waves}
    return arrays | {name: value for name, value in marks.items() if value is not None}


def write_npy(path: Path, example: Example) -> None:
    stored = example.marked()
    np.save(path, np.asfortranarray(stored) if example.variant % 2 else stored)


def write_npz(path: Path, example: Example) -> None:
    save = np.savez_compressed if example.variant % 2 else np.savez
    save(path, **_plain_arrays(example))


def write_hyperspy(path: Path, example: Example) -> None:
    """After HyperSpy's specification of .hspy; its arrays have y, x and then the signal."""
    with h5py.File(path, "w") as file:
        group = file.create_group("Experiments/scene")
        group["data"] = example.marked()
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        for number, (name, length) in enumerate(
            zip(("y", "x", "Wavelength"), example.stored.shape, strict=True)
        ):
            axis = group.create_group(f"axis-{number}")
            axis.attrs.update({"name": name, "size": length, "navigate": name != "Wavelength"})
            axis.attrs.update({"scale": 2.5, "offset": 0.0, "units": "m"})
        axis.attrs["units"] = "nm"
        axis["axis"] = example.waves


CUBE_FORMATS = (
    CubeFormat(
        "ENVI (bsq, bil, bip)",
        "a.img",
        write_envi,
        layout="fixed",
        wavelengths="header",
        mask="data ignore value, NaN",
        scale="reflectance scale factor, gains and offsets",
        crs="map info",
        states_offset=True,
        write_labels=write_envi_labels,
        label_note="classification file",
    ),
    CubeFormat(
        "GeoTIFF and what GDAL opens",
        "a.tif",
        write_geotiff,
        layout="fixed",
        wavelengths="tags of the bands or the file, XML",
        mask="no-data value, mask, alpha, NaN",
        scale="scales and offsets",
        crs="GeoTIFF tags",
        states_offset=True,
        write_labels=write_geotiff_labels,
    ),
    CubeFormat(
        "TIFF, a page a band",
        "pages.tif",
        write_tiff_pages,
        layout="pages are bands",
        wavelengths="descriptions of the pages",
        mask="NaN",
    ),
    CubeFormat(
        "NetCDF 4",
        "a.nc",
        write_netcdf4,
        write_labels=lambda path, labels: xarray.Dataset(
            {"classes": (("y", "x"), labels)}
        ).to_netcdf(path, engine="h5netcdf"),
        layout="named dimensions",
        wavelengths="coordinate",
        mask="_FillValue, NaN",
        scale="scale_factor, add_offset",
        crs="grid mapping, coordinates",
        states_offset=True,
    ),
    CubeFormat(
        "NetCDF 3",
        "classic.nc",
        write_netcdf3,
        write_labels=lambda path, labels: xarray.Dataset(
            {"classes": (("y", "x"), labels.astype(np.int16))}
        ).to_netcdf(path, engine="scipy"),
        layout="named dimensions",
        wavelengths="coordinate",
        mask="_FillValue, NaN",
        scale="scale_factor, add_offset",
        crs="grid mapping",
        states_offset=True,
    ),
    CubeFormat(
        "HDF5",
        "a.h5",
        write_hdf5,
        write_labels=lambda path, labels: save_hdf5(path, {"g/labels": labels}),
        layout="labels or scales of the axes, else the wavelengths",
        wavelengths="vector",
        mask="attribute, NaN",
        scale="attributes",
        crs="map info, EPSG code",
        states_offset=True,
    ),
    CubeFormat(
        "HyperSpy .hspy",
        "a.hspy",
        write_hyperspy,
        layout="named axes",
        wavelengths="axis",
        mask="NaN",
    ),
    CubeFormat(
        "MATLAB 5",
        "a.mat",
        write_mat5,
        layout="the wavelengths",
        wavelengths="vector",
        mask="number beside the cube, NaN",
        scale="number beside the cube",
        write_labels=lambda path, labels: scipy.io.savemat(path, {"gt": labels}),
    ),
    CubeFormat(
        "MATLAB 7.3",
        "large.mat",
        write_mat73,
        layout="the wavelengths",
        wavelengths="vector",
        mask="number beside the cube, NaN",
        scale="number beside the cube",
        write_labels=lambda path, labels: write_mat73_arrays(path, {"gt": labels}),
    ),
    CubeFormat(
        "NumPy .npz",
        "a.npz",
        write_npz,
        write_labels=lambda path, labels: np.savez(path, gt=labels),
        layout="the wavelengths",
        wavelengths="vector",
        mask="number beside the cube, NaN",
        scale="number beside the cube",
    ),
    CubeFormat(
        "NumPy .npy",
        "a.npy",
        write_npy,
        layout="lengths, where they leave no doubt",
        mask="NaN",
        needs_layout=True,
        write_labels=lambda path, labels: np.save(path, labels),
    ),
)
"""Every format with a writer; `tests.helpers.format_table` makes the table of the documentation."""
