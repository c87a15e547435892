"""Labels in MATLAB files: maps, also in structs, and tables of abundances."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from jaxhsi.data.formats.mat import is_hdf5_mat, load_mat, mat_tree_shapes
from jaxhsi.data.labels.array_labels import choose_label_key

NAME_FIELDS = ("materials_type", "class_names", "classnames", "label_names", "labelnames", "names")
"""Cells beside the labels that name the classes 1, 2, ..., in lower case."""


def load_mat_labels(path: Path, image_size: tuple[int, int], key: str | None) -> np.ndarray:
    """The label map of a MATLAB file.

    Args:
        path: the file.
        image_size: (H, W) of the cube.
        key: variable, or struct/field; by default the only array of that shape, or the only one of
            them that is named like labels. A table (k, H * W) gives for each pixel the row of its
            maximum.

    Raises:
        ValueError: no such array, or several and nothing to choose by.
    """
    if key is None:
        key = choose_label_key(path, mat_tree_shapes(path), image_size)
    key = key.replace(".", "/").strip("/")
    values = load_mat(path, key)
    num_pixels = image_size[0] * image_size[1]
    if values.ndim == 2 and values.shape != image_size and values.shape[1] == num_pixels:
        return values.argmax(axis=0).reshape(image_size, order="F")
    return values


def mat_class_names(path: Path) -> dict[int, str]:
    """Names of the classes 1, 2, ... where a file of version 5 has a cell of them.

    Args:
        path: the file.
    """
    if is_hdf5_mat(path):  # version 7.3, whose cells are references
        return {}
    kinds = {name: kind for name, _, kind in scipy.io.whosmat(path)}
    wanted = [name for name, kind in kinds.items() if kind in ("struct", "cell")]
    if not wanted:
        return {}
    content = scipy.io.loadmat(path, variable_names=wanted, simplify_cells=True)
    names = _find_names(content)
    return {} if names is None else dict(enumerate(names, 1))


def _find_names(content: dict[str, Any]) -> list[str] | None:
    for field, value in content.items():
        if isinstance(value, dict) and (names := _find_names(value)) is not None:
            return names
        if field.lower() in NAME_FIELDS and isinstance(value, np.ndarray):
            texts = [str(each).strip() for each in value.ravel() if isinstance(each, str)]
            if texts and len(texts) == value.size:
                return texts
    return None
