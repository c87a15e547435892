"""Labels among the named arrays of a file: HDF5, NetCDF and .npz; which array they are."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxhsi.data.formats import hdf5, netcdf, npz
from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.file_errors import open_hdf5_file
from jaxhsi.data.formats.value_marks import read_value_marks
from jaxhsi.data.labels.label_map import UNLABELLED

CONTAINER_SUFFIXES = (".npz", ".h5", ".hdf5", ".he5", ".nc", ".nc4", ".cdf")
LABEL_WORDS = ("label", "labels", "gt", "groundtruth", "truth", "class", "classes", "classmap")
"""Names, or ends of names, of arrays of labels in lower case without separators."""


def load_array_labels(path: Path, image_size: tuple[int, int], key: str | None) -> np.ndarray:
    """The label map among the arrays of a file; where it states a fill value, that is unlabelled.

    Args:
        path: the file.
        image_size: (H, W) of the cube.
        key: path of the array; by default the only one of that shape, or the only one of them that
            is named like labels.

    Raises:
        ValueError: no such array, or several and nothing to choose by.
    """
    with _opened_container(path) as container:
        shapes = {
            name: tuple(length for length in array.shape if length != 1 or 1 in image_size)
            for name, array in container.arrays.items()
        }
        key = choose_label_key(path, shapes, image_size) if key is None else key.strip("/")
        if key not in container.arrays:
            raise ValueError(
                f"{path} has no array {key!r}; its numeric arrays are: "
                f"{container.describe_arrays()}"
            )
        array = container.arrays[key]
        values = np.array(container.read_array(key, (slice(None),) * len(array.shape)))
    values = values.reshape(shapes[key])
    marks = read_value_marks(array.attributes, key)
    if marks.no_data is None:
        return values
    is_missing = np.isin(values, (marks.no_data, *marks.other_no_data))
    logging.getLogger(__name__).info(
        "%s: %d pixels are no data (%g): unlabelled", path, is_missing.sum(), marks.no_data
    )
    return np.where(is_missing, UNLABELLED, values.astype(np.float64))


@contextmanager
def _opened_container(path: Path) -> Iterator[ArrayContainer]:
    if path.suffix.lower() == ".npz":
        yield npz.describe_container(path)
    elif netcdf.is_version_3(path):
        yield netcdf.describe_container(path)
    else:
        with open_hdf5_file(path, hdf5.FILE_KIND, hdf5.LIKELY_CAUSE) as file:
            yield hdf5.describe_container(path, file)


def choose_label_key(
    path: Path, array_shapes: Mapping[str, tuple[int, ...]], image_size: tuple[int, int]
) -> str:
    """Key of the one array that fits the cube.

    Args:
        path: of the file, for messages.
        array_shapes: shapes of its arrays.
        image_size: (H, W) of the cube.

    Raises:
        ValueError: none, or several and nothing to choose by.
    """
    fitting = [key for key, shape in array_shapes.items() if shape == image_size]
    named = [key for key in fitting if _is_label_name(key)]
    chosen = fitting if len(fitting) == 1 else named
    if len(chosen) == 1:
        if len(fitting) > 1:
            logging.getLogger(__name__).info(
                "%s: labels are %s, by its name, of %s; --label_key takes another",
                path,
                chosen[0],
                ", ".join(fitting),
            )
        return chosen[0]
    array_list = ", ".join(f"{key} {shape}" for key, shape in array_shapes.items()) or "none"
    raise ValueError(
        f"{path} has {len(fitting)} arrays of the cube's shape {image_size}; name one by its key. "
        f"Its numeric arrays are: {array_list}"
    )


def _is_label_name(key: str) -> bool:
    plain = re.sub(r"[^a-z]", "", key.rpartition("/")[2].lower())
    parts = re.split(r"[^a-z]+", key.rpartition("/")[2].lower())
    return plain in LABEL_WORDS or any(part in LABEL_WORDS for part in parts)
