"""Every format of cubes that has a writer, and what a file of it tells."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from tests.data.cases.scenes import save_hdf5
from tests.helpers import format_writers as writers
from tests.helpers.format_examples import Example


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


_AS_ARRAYS = {
    "layout": "the wavelengths",
    "wavelengths": "vector",
    "mask": "number beside the cube, NaN",
    "scale": "number beside the cube",
}
"""What arrays of a MATLAB or NumPy file tell, as people name them."""
_AS_NETCDF = {
    "layout": "named dimensions",
    "wavelengths": "coordinate",
    "mask": "_FillValue, NaN",
    "scale": "scale_factor, add_offset",
    "states_offset": True,
}

CUBE_FORMATS = (
    CubeFormat(
        "ENVI (bsq, bil, bip)",
        "a.img",
        writers.write_envi,
        layout="fixed",
        wavelengths="header",
        mask="data ignore value, NaN",
        scale="reflectance scale factor, gains and offsets",
        crs="map info",
        states_offset=True,
        write_labels=writers.write_envi_labels,
        label_note="classification file",
    ),
    CubeFormat(
        "GeoTIFF and what GDAL opens",
        "a.tif",
        writers.write_geotiff,
        layout="fixed",
        wavelengths="tags of the bands or the file, XML",
        mask="no-data value, mask, alpha, NaN",
        scale="scales and offsets",
        crs="GeoTIFF tags",
        states_offset=True,
        write_labels=writers.write_geotiff_labels,
    ),
    CubeFormat(
        "TIFF, a page a band",
        "pages.tif",
        writers.write_tiff_pages,
        layout="pages are bands",
        wavelengths="descriptions of the pages",
        mask="NaN",
    ),
    CubeFormat(
        "NetCDF 4",
        "a.nc",
        writers.write_netcdf4,
        write_labels=partial(writers.write_netcdf_labels, engine="h5netcdf"),
        crs="grid mapping, coordinates",
        **_AS_NETCDF,
    ),
    CubeFormat(
        "NetCDF 3",
        "classic.nc",
        writers.write_netcdf3,
        write_labels=partial(writers.write_netcdf_labels, engine="scipy"),
        crs="grid mapping",
        **_AS_NETCDF,
    ),
    CubeFormat(
        "HDF5",
        "a.h5",
        writers.write_hdf5,
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
        writers.write_hyperspy,
        layout="named axes",
        wavelengths="axis",
        mask="NaN",
    ),
    CubeFormat(
        "MATLAB 5",
        "a.mat",
        writers.write_mat5,
        **_AS_ARRAYS,
        write_labels=lambda path, labels: scipy.io.savemat(path, {"gt": labels}),
    ),
    CubeFormat(
        "MATLAB 7.3",
        "large.mat",
        writers.write_mat73,
        **_AS_ARRAYS,
        write_labels=lambda path, labels: writers.write_mat73_arrays(path, {"gt": labels}),
    ),
    CubeFormat(
        "NumPy .npz",
        "a.npz",
        writers.write_npz,
        write_labels=lambda path, labels: np.savez(path, gt=labels),
        **_AS_ARRAYS,
    ),
    CubeFormat(
        "NumPy .npy",
        "a.npy",
        writers.write_npy,
        layout="lengths, where they leave no doubt",
        mask="NaN",
        needs_layout=True,
        write_labels=lambda path, labels: np.save(path, labels),
    ),
)
"""Every format with a writer; `tests.helpers.format_table` makes the table of the documentation."""
