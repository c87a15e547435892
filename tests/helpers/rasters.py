"""Raster files for tests, written by rasterio."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine

PLACE = {"crs": "EPSG:32632", "transform": Affine(10.0, 0.0, 5e5, 0.0, -10.0, 5e6)}


def save_raster(path: Path, values: np.ndarray, *, edit=None, begin=None, **profile) -> Path:
    """Write an array (C, H, W); `begin` and `edit` get the open file, before and after that."""
    count, height, width = values.shape
    profile = {"driver": "GTiff", "dtype": values.dtype, **profile}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as file:
            if begin:
                begin(file)
            file.write(values)
            if edit:
                edit(file)
    return path
