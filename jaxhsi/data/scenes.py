"""The built-in leaf scenes as cubes on disk, made once in the user's cache folder."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jaxhsi.data.store import Cube, create_cube, open_cube
from jaxhsi.data.synthetic import LeafScene
from jaxhsi.data.tiles import tiles

CLASSES = ("background", "tissue", "lesion")
VERSION = 1  # raise when the scenes change, so that cached ones are made anew


def leaf_cubes(
    cache: Path, size: int, seeds: Iterable[int]
) -> tuple[tuple[Cube, ...], dict[str, Path]]:
    """Leaf scenes as cubes, and the files of their true labels by name.

    Args:
        cache: folder to keep them in; scenes that are there already are opened as they are.
        size: side in pixels, 64 to 4096.
        seeds: one of each scene.

    Raises:
        ValueError: the size is out of range.
    """
    folder = cache / f"leaf-scenes-v{VERSION}-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    cubes = tuple(_leaf_cube(folder, LeafScene(size=size, seed=seed)) for seed in seeds)
    return cubes, {cube.name: folder / f"{cube.name}.npy" for cube in cubes}


def _leaf_cube(folder: Path, scene: LeafScene) -> Cube:
    """Render a scene tile by tile; the labels are complete before the cube appears."""
    path = folder / f"leaf-{scene.seed:04d}.zarr"
    if path.exists():
        return open_cube(path)
    labels = np.lib.format.open_memmap(
        path.with_suffix(".npy"), mode="w+", dtype=np.uint8, shape=scene.shape[:2]
    )
    history = (f"rendered: {scene}",)
    with create_cube(
        path, scene.shape, np.float16, wavelengths=scene.wavelengths, history=history
    ) as array:
        for place in tiles(scene.shape[:2], (64, scene.size)):
            rows = slice(place.y0, place.y0 + place.height)
            values, labels[rows] = scene.window(*place)
            array[rows].write(values.astype(np.float16)).result()
        labels.flush()
    return open_cube(path)
