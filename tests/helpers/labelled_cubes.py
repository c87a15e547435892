"""Small cubes that labels are matched to."""

from pathlib import Path

import numpy as np

from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.zarr_writer import create_cube


def make_cubes(folder: Path, *names: str, size=(64, 80), georeference=None) -> list[Cube]:
    """Cubes of these names, of 4 bands."""
    shape = (*size, 4)
    for name in names:
        path = folder / "stores" / f"{name}.zarr"
        with create_cube(path, shape, "uint8", georeference=georeference) as array:
            array.write(np.zeros(shape, np.uint8)).result()
    return [open_cube(folder / "stores" / f"{name}.zarr") for name in names]
