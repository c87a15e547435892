"""Any cube, written by a writer of its format and ingested, is the same cube."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from spectral.io import envi

from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.windows import read_window

CRS, TRANSFORM = "EPSG:32633", (2.5, 0.0, 430_000.0, 0.0, -2.5, 5_400_000.0)
MAP_INFO = "UTM, 1, 1, 430000, 5400000, 2.5, 2.5, 33, North, WGS-84, units=Meters"


class Example(NamedTuple):
    """A cube and what is known of it."""

    stored: np.ndarray
    no_data: float | None
    scale: float | None
    waves: np.ndarray
    order: tuple[int, int, int]

    @property
    def valid(self) -> np.ndarray:
        missing = np.isnan(self.stored) if self.stored.dtype.kind == "f" else self.stored == -99
        return ~missing.any(-1)

    @property
    def values(self) -> np.ndarray:
        return self.stored.astype(np.float64) * (self.scale or 1.0)


@st.composite
def examples(draw) -> Example:
    height, width, bands = (draw(st.integers(2, 40)) for _ in range(3))
    dtype = np.dtype(draw(st.sampled_from(["<i2", ">i2", "<f4", ">f4", "<f8", "u1"])))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    stored = rng.integers(1, 120, (height, width, bands)).astype(dtype)
    marked = draw(st.booleans()) and dtype.kind != "u"
    if marked:
        stored[rng.random((height, width)) < 0.2, bands // 2] = np.nan if dtype.kind == "f" else -99
        stored[0, 0] = 1  # one pixel is valid
    waves = np.sort(rng.uniform(350, 2500, bands)).round(2)
    return Example(
        stored,
        no_data=-99.0 if marked and dtype.kind == "i" else None,
        scale=draw(st.sampled_from([None, 0.01])),
        waves=waves if draw(st.booleans()) else waves[::-1],
        order=draw(st.permutations((0, 1, 2)).map(tuple)),
    )


def attributes(example: Example) -> dict:
    marks = {"_FillValue": example.no_data, "scale_factor": example.scale}
    return {name: value for name, value in marks.items() if value is not None}


def write_hdf5(path: Path, example: Example) -> None:
    names = [("line", "sample", "band")[axis] for axis in example.order]
    with h5py.File(path, "w") as file:
        file["g/cube"] = example.stored.transpose(example.order)
        file["g/cube"].attrs.update(attributes(example) | {"map_info": MAP_INFO})
        for axis, name in enumerate(names):
            file["g/cube"].dims[axis].label = name
        file["g/wavelength"] = example.waves / 1000
        file["g/wavelength"].attrs["units"] = "um"


def write_netcdf3(path: Path, example: Example) -> None:
    names = [("lat", "lon", "band")[axis] for axis in example.order]
    stored = example.stored
    stored = stored.astype("i1") if stored.dtype == np.uint8 else stored  # NetCDF 3 has no uint8
    with scipy.io.netcdf_file(path, "w") as file:
        for axis, name in zip(example.order, names, strict=True):
            file.createDimension(name, example.stored.shape[axis])
        cube = file.createVariable("cube", stored.dtype, names)
        cube[:] = stored.transpose(example.order)
        for name, value in attributes(example).items():
            setattr(cube, name, value)
        crs = file.createVariable("crs", "i4", [])
        crs.epsg_code, crs.GeoTransform = CRS, "430000 2.5 0 5400000 0 -2.5"
        cube.grid_mapping = "crs"
        waves = file.createVariable("wavelength", "f8", ["band"])
        waves[:], waves.units = example.waves, "nm"


def write_envi(path: Path, example: Example) -> None:
    metadata = {"wavelength": list(example.waves), "wavelength units": "nm", "map info": MAP_INFO}
    if example.no_data is not None:
        metadata["data ignore value"] = example.no_data
    if example.scale is not None:
        metadata["reflectance scale factor"] = 1 / example.scale
    envi.save_image(
        str(path.with_suffix(".hdr")),
        example.stored,
        dtype=example.stored.dtype.newbyteorder("="),
        interleave=("bsq", "bil", "bip")[example.order[0]],
        byteorder=int(example.stored.dtype.byteorder == ">"),
        ext=path.suffix,
        metadata={name: f"{{{v}}}" if name == "map info" else v for name, v in metadata.items()},
    )


def write_geotiff(path: Path, example: Example) -> None:
    height, width, bands = example.stored.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": bands}
    profile |= {"dtype": example.stored.dtype.newbyteorder("=").name, "nodata": example.no_data}
    place = {"crs": CRS, "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(path, "w", **profile, **place) as file:
        file.write(example.stored.transpose(2, 0, 1))
        file.update_tags(wavelength=",".join(map(str, example.waves)), wavelength_units="nm")
        if example.scale is not None:
            file.scales = [example.scale] * bands


WRITERS = {
    "a.h5": write_hdf5,
    "a.nc": write_netcdf3,
    "a.img": write_envi,
    "a.tif": write_geotiff,
}


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=15, deadline=None)
@given(example=examples())
def test_round_trip(name, example):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        WRITERS[name](path, example)
        cube = ingest(path, Path(folder) / "a.zarr")
        values, valid = read_window(cube, 0, 0, *cube.shape[:2])
    assert cube.shape == example.stored.shape
    np.testing.assert_array_equal(valid, example.valid)
    np.testing.assert_allclose(values[valid], example.values[valid], rtol=1e-5)
    np.testing.assert_allclose(cube.wavelengths, example.waves, rtol=1e-6)
    assert cube.georeference.crs == CRS
    np.testing.assert_allclose(cube.georeference.transform, TRANSFORM)
