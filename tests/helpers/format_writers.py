"""Cubes and labels written by each format's own writer."""

from pathlib import Path

import h5py
import numpy as np
import rasterio
import scipy.io
import tifffile
import xarray
from spectral.io import envi

from tests.helpers.format_examples import Example

CRS, TRANSFORM = "EPSG:32633", (2.5, 0.0, 430_000.0, 0.0, -2.5, 5_400_000.0)
MAP_INFO = "UTM, 1, 1, 430000, 5400000, 2.5, 2.5, 33, North, WGS-84, units=Meters"


def write_hdf5(path: Path, example: Example) -> None:
    """With named axes, vector and marks in CF's words or in NEON's."""
    options = {"chunks": True, "compression": "gzip"} if example.variant % 2 else {}
    with h5py.File(path, "w") as file:
        cube = file.create_dataset("g/cube", data=example.marked_in_order(), **options)
        marks = example.marks
        if example.variant % 3 == 0 and "_FillValue" in marks:
            marks["Data_Ignore_Value"] = marks.pop("_FillValue")
        if example.variant % 3 == 0 and example.scale and not example.offset:
            marks["Scale_Factor"] = 1 / marks.pop("scale_factor")
        cube.attrs.update(marks | {"map_info": MAP_INFO})
        for axis, name in enumerate(example.axis_names("line", "sample", "band")):
            cube.dims[axis].label = name
        file["g/wavelength"] = example.waves / 1000
        file["g/wavelength"].attrs["units"] = "um"


def write_netcdf3(path: Path, example: Example) -> None:
    names, stored = example.axis_names("lat", "lon", "band"), example.marked_in_order()
    narrow = {"u1": "i1", "u2": "i2"}.get(stored.dtype.str[1:])  # NetCDF 3 has no unsigned
    stored = stored.astype(narrow) if narrow else stored
    with scipy.io.netcdf_file(path, "w") as file:
        for name, length in zip(names, stored.shape, strict=True):
            file.createDimension(name, length)
        cube = file.createVariable("cube", stored.dtype, names)
        cube[:] = stored
        for name, value in example.marks.items():
            setattr(cube, name, value)
        crs = file.createVariable("crs", "i4", [])
        crs.epsg_code, crs.GeoTransform = CRS, "430000 2.5 0 5400000 0 -2.5"
        cube.grid_mapping = "crs"
        waves = file.createVariable("wavelength", "f8", ["band"])
        waves[:], waves.units = example.waves, "nm"


def write_netcdf4(path: Path, example: Example) -> None:
    """By xarray, which encodes values as CF says, with coordinates of pixel centres."""
    height, width, _ = example.stored.shape
    a, _, c, _, e, f = TRANSFORM
    coordinates = {
        "y": ("y", f + e * (np.arange(height) + 0.5), {"units": "m"}),
        "x": ("x", c + a * (np.arange(width) + 0.5), {"units": "m"}),
        "wavelength": ("wavelength", example.waves, {"units": "nm"}),
        "spatial_ref": ((), 0, {"crs_wkt": rasterio.CRS.from_string(CRS).to_wkt()}),
    }
    cube = xarray.DataArray(
        example.marked_in_order().astype(example.native_type),
        dims=example.axis_names("y", "x", "wavelength"),
        attrs=example.marks | {"grid_mapping": "spatial_ref"},
    )
    no_data = cube.attrs.pop("_FillValue", None)
    encoding = {"_FillValue": None if no_data is None else example.stored.dtype.type(no_data)}
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
        dtype=example.native_type,
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
    dtype = example.native_type.name
    kind = example.variant % 3 if example.missing.any() and not example.is_float else 0
    profile = _geotiff_profile(height, width, bands + (kind == 2), dtype)
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
    with rasterio.open(path, "w", **_geotiff_profile(*labels.shape, 1, "uint8")) as file:
        file.write(labels, 1)


def _geotiff_profile(height: int, width: int, count: int, dtype: str) -> dict:
    shape = {"height": height, "width": width, "count": count, "dtype": dtype}
    return {"driver": "GTiff", "crs": CRS, "transform": rasterio.Affine(*TRANSFORM), **shape}


def write_tiff_pages(path: Path, example: Example) -> None:
    """One page a band by tifffile, each with its wavelength in its description."""
    with tifffile.TiffWriter(path, byteorder=">" if example.variant % 2 else "<") as file:
        for band, nm in enumerate(example.waves):
            page = np.ascontiguousarray(example.marked()[..., band])
            options = {"compression": "zlib"} if example.variant % 3 == 0 else {}
            file.write(
                page.astype(example.native_type),
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


def rows_first(order: tuple[int, int, int]) -> tuple[int, int, int]:
    """The order with rows before columns, where nothing else could tell them apart."""
    places = sorted((order.index(0), order.index(1)))
    result = list(order)
    result[places[0]], result[places[1]] = 0, 1
    return tuple(result)


def _plain_arrays(example: Example) -> dict:
    """Arrays as people save them: cube, wavelengths, and single numbers for the marks."""
    names = {"_FillValue": "no_data", "scale_factor": "scale_factor"}
    marks = {names[name]: value for name, value in example.marks.items() if name in names}
    stored = example.marked().transpose(rows_first(example.order)).astype(example.native_type)
    return {"cube": stored, "wavelengths": example.waves} | marks


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


def write_netcdf_labels(path: Path, labels: np.ndarray, *, engine: str) -> None:
    """By xarray; NetCDF 3 has no unsigned numbers."""
    values = labels.astype(np.int16) if engine == "scipy" else labels
    xarray.Dataset({"classes": (("y", "x"), values)}).to_netcdf(path, engine=engine)
