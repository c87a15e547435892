"""Cubes in stores on disk."""

from pathlib import Path

import numpy as np

from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.zarr_writer import create_cube

SHAPE = (11, 7, 5)
VALUES = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def write_cube(path: Path, values: np.ndarray, **options) -> Path:
    with create_cube(path, values.shape, values.dtype, **options) as array:
        array.write(values).result()
    return path


def make_cube(folder: Path, name: str, values: np.ndarray, **options) -> Cube:
    return open_cube(write_cube(folder / f"{name}.zarr", values, **options))
