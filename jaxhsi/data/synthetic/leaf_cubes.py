"""The built-in leaf scenes as cubes on disk, made once in the user's cache folder."""

import logging
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from jaxhsi.data.cache import source_digest
from jaxhsi.data.cube import Cube
from jaxhsi.data.open import open_cached_cube
from jaxhsi.data.synthetic.leaf_scenes import LeafScene
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.data.zarr_writer import create_cube
from jaxhsi.storage.checksums import file_digest
from jaxhsi.storage.replacement import partial_path

_MAX_THREADS = 4
"""Scenes that are rendered at once at most: each takes some ten MB."""
CLASS_NAMES = ("background", "tissue", "lesion")


def leaf_cubes(
    cache_folder: Path, image_side: int, seeds: Iterable[int]
) -> tuple[tuple[Cube, ...], dict[str, Path]]:
    """Leaf scenes as cubes, and the files of their true labels by name.

    Args:
        cache_folder: folder to keep them in; scenes that are there already are opened as they are.
        image_side: side in pixels, 64 to 4096.
        seeds: one of each scene.

    Raises:
        ValueError: the size is out of range.
    """
    source = source_digest("data/synthetic", "data/zarr_writer.py")
    scenes_folder = cache_folder / f"leaf-scenes-{source}-{image_side}"
    scenes_folder.mkdir(parents=True, exist_ok=True)
    scenes = [LeafScene(size=image_side, seed=seed) for seed in seeds]
    # NumPy computes without the interpreter's lock: scenes are rendered side by side.
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        cubes = tuple(pool.map(partial(_open_leaf_cube, scenes_folder), scenes))
    return cubes, {cube.name: scenes_folder / f"{cube.name}.npy" for cube in cubes}


def _open_leaf_cube(scenes_folder: Path, scene: LeafScene) -> Cube:
    path = scenes_folder / f"leaf-{scene.seed:04d}.zarr"
    if path.exists() and not _labels_are_whole(path.with_suffix(".npy")):
        message = "%s is damaged: the scene is rendered anew"
        logging.getLogger(__name__).warning(message, path.with_suffix(".npy"))
        shutil.rmtree(path)
    return open_cached_cube(path, lambda target: _render_scene(scene, target))


def _labels_are_whole(labels_path: Path) -> bool:
    """Whether the labels of a scene are as they were written."""
    digest_path = _digest_path(labels_path)
    if not labels_path.is_file() or not digest_path.is_file():
        return False
    return digest_path.read_bytes() == file_digest(labels_path).encode()


def _digest_path(labels_path: Path) -> Path:
    """File with the SHA-256 of the labels of a scene."""
    return labels_path.with_name(f"{labels_path.name}.sha256")


def _render_scene(scene: LeafScene, path: Path) -> None:
    """Write a scene tile by tile; the labels are complete before the cube appears."""
    labels_path = path.with_suffix(".npy")
    digest_path = _digest_path(labels_path)
    own_key = str(os.getpid())  # several processes may render a scene at once
    partial_labels, partial_digest = (partial_path(p, own_key) for p in (labels_path, digest_path))
    label_array = np.lib.format.open_memmap(
        partial_labels, mode="w+", dtype=np.uint8, shape=scene.shape[:2]
    )
    history = (f"rendered: {scene}",)
    with create_cube(
        path,
        scene.shape,
        np.float16,
        wavelengths=scene.wavelengths,
        history=history,
        units="reflectance",
    ) as array:
        for place in split_into_tiles(scene.shape[:2], (64, scene.size)):
            rows, _ = place.slices
            values, label_array[rows] = scene.window(*place)
            array[rows].write(values.astype(np.float16)).result()
        label_array.flush()
        partial_digest.write_text(file_digest(partial_labels))
        partial_labels.replace(labels_path)
        partial_digest.replace(digest_path)
