"""NetCDF files of one cube, as version 3 and as version 4."""

from pathlib import Path

import h5py
import numpy as np
import scipy.io


def save_netcdf3(path: Path, values, axes, wavelengths=None, **attributes) -> Path:
    with scipy.io.netcdf_file(path, "w") as file:
        for axis, length in zip(axes, values.shape, strict=True):
            file.createDimension(axis, length)
        cube = file.createVariable("cube", values.dtype, axes)
        cube[:] = values
        for name, value in attributes.items():
            setattr(cube, name, value)
        if wavelengths is not None:
            waves = file.createVariable("wavelength", "f8", [axes[values.shape.index(5)]])
            waves[:], waves.units = wavelengths, "nm"
    return path


def save_netcdf4(path: Path, values, axes, wavelengths=None, **attributes) -> Path:
    """Dimension scales attached to the axes, as the NetCDF library writes them."""
    with h5py.File(path, "w") as file:
        file["cube"] = values
        for name, value in attributes.items():
            file["cube"].attrs[name] = value
        for number, (axis, length) in enumerate(zip(axes, values.shape, strict=True)):
            file[axis] = np.arange(length, dtype=np.float32)
            file[axis].make_scale(axis)
            file["cube"].dims[number].attach_scale(file[axis])
        if wavelengths is not None:
            file["wavelength"] = wavelengths
            file["wavelength"].attrs["units"] = np.bytes_("nm")
    return path
