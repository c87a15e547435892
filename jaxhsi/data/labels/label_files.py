"""Truth that accompanies cubes: label maps of every format."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32

from jaxhsi.data.cube import is_store
from jaxhsi.data.formats import has_reader
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.labels.annotation_file import (
    ANNOTATION_SUFFIXES,
    drawn_classes,
    is_annotation,
    load_annotation,
    number_annotation_classes,
)
from jaxhsi.data.labels.array_labels import CONTAINER_SUFFIXES, load_array_labels
from jaxhsi.data.labels.label_map import LabelMap, make_label_map
from jaxhsi.data.labels.label_raster import LabelRaster, load_label_raster, load_label_store
from jaxhsi.data.labels.labelme import BACKGROUND
from jaxhsi.data.labels.mat_labels import load_mat_labels, mat_class_names
from jaxhsi.data.labels.pictures import load_picture
from jaxhsi.data.labels.torch_file import load_torch

ARRAY_SUFFIXES = (".npy", ".mat", ".png", ".pth", ".pt", *CONTAINER_SUFFIXES)
LOSSY_SUFFIXES = (".jpg", ".jpeg")
MAPPED_SUFFIXES = (".npy", ".pth", ".pt")  # stay on disk
READABLE_KINDS = (
    f"{', '.join(ARRAY_SUFFIXES)}, {', '.join(ANNOTATION_SUFFIXES)} and rasters: .tif, ENVI "
    "classification, ESRI grids"
)
UNNAMED_SUFFIXES = (".npy", ".png")  # hold one array without a name


def open_labels(
    path: str | Path,
    cube_shape: Sequence[int],
    *,
    key: str | None = None,
    class_values: dict[str, int] | None = None,
    picture_name: str | None = None,
    place: Georeference | None = None,
) -> LabelMap:
    """Open the label map of one cube, to be read by windows.

    Args:
        path: `.npy` (stays on disk), `.mat`, `.png` (indexed: the palette indices; greyscale: the
            values), a `.pth` tensor of PyTorch (stays on disk; no code in it is run); shapes drawn
            in LabelMe, VGG Image Annotator, Label Studio or CVAT, or in COCO's format; polygons in
            GeoJSON, GeoPackage or a shapefile; a label store of jaxhsi; every other suffix is read
            as a raster of one band: GeoTIFF, ENVI classification, ESRI grid.
        cube_shape: (H, W) or (H, W, C) of the cube.
        key: variable or struct/field of a `.mat`, HDF5, NetCDF or `.npz` file; by default the only
            array of shape (H, W), or the only one of them that is named like labels. A table
            (k, H * W), such as the abundances `A` of the Jasper Ridge file, gives for each pixel
            the row of its maximum, 0..k-1; its pixels run down the columns of the image. Also the
            entry of a dict in a `.pth` file, the attribute of drawn shapes that names the class,
            and the page of a TIFF file.
        class_values: class name -> class value for drawn shapes (`number_label_classes` numbers
            the classes of several files alike); of other files it only names the values.
        picture_name: stem of the picture in a file of several; that of the cube.
        place: of the cube on the ground, to place polygons by and to compare rasters with.

    Returns:
        The map, its values as they are in the file; -1, no data and masked pixels are unlabelled.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, unknown suffix or key, not whole numbers, a shape that is not the
            cube's, or another place on the ground.
    """
    path, image_size = Path(path), (int(cube_shape[0]), int(cube_shape[1]))
    is_label_store = path.is_dir() and is_store(path)
    if not path.is_file() and not is_label_store:
        raise FileNotFoundError(f"no label file at {path}")
    suffix = path.suffix.lower()
    if key is not None and (suffix in UNNAMED_SUFFIXES or is_label_store):
        raise ValueError(f"{path} holds one array without a name; drop the key {key!r}")
    if is_annotation(path):
        class_values = {**(class_values or number_annotation_classes([path], key))}
        class_values.setdefault(BACKGROUND, 0)
    class_names = {value: name for name, value in reversed((class_values or {}).items())}
    if is_annotation(path):
        array = load_annotation(
            path, image_size, class_values, picture_name=picture_name, place=place, key=key
        )
        return make_label_map(lambda: array, image_size, path, class_names=class_names)
    if suffix == ".mat":
        class_names = class_names or mat_class_names(path)
    if suffix in LOSSY_SUFFIXES:
        raise ValueError(
            f"{path} is a JPEG, which changes values at edges; save the labels as .png or .tif "
            "from their source"
        )
    if suffix in ARRAY_SUFFIXES:
        return make_label_map(
            lambda: _load_array(path, image_size, key),
            image_size,
            path,
            class_names=class_names,
            is_memory_mapped=suffix in MAPPED_SUFFIXES,
        )
    if is_label_store:
        raster = load_label_store(path, image_size, place)
    elif has_reader(path):
        raster = load_label_raster(path, image_size, place, key)
    else:
        raise ValueError(f"{path}: labels are read from {READABLE_KINDS}")
    return _raster_label_map(path, raster, image_size, class_names)


def _raster_label_map(
    path: Path, raster: LabelRaster, image_size: tuple[int, int], class_names: dict[int, str]
) -> LabelMap:
    """A raster as a label map; the log says what was decided."""
    for note in raster.notes:
        logging.getLogger(__name__).info("%s: %s", path, note)
    class_names = class_names or raster.class_names
    return make_label_map(lambda: raster.values, image_size, path, class_names=class_names)


def load_labels(
    path: str | Path,
    cube_shape: Sequence[int],
    *,
    key: str | None = None,
    class_values: dict[str, int] | None = None,
    picture_name: str | None = None,
    place: Georeference | None = None,
) -> Int32[np.ndarray, "H W"]:
    """Read the whole label map of one cube; arguments and errors are those of `open_labels`."""
    label_map = open_labels(
        path,
        cube_shape,
        key=key,
        class_values=class_values,
        picture_name=picture_name,
        place=place,
    )
    return label_map.read_labels(slice(None), slice(None))


def number_label_classes(
    files: Iterable[str | Path], key: str | None = None
) -> dict[str, int] | None:
    """Class name -> class value over all files of drawn shapes, so that cubes agree.

    Args:
        files: of labels; those without shapes do not count.
        key: attribute of the shapes that names the class, where they have several.

    Returns:
        "background" 0, then 1, 2, ... by sorted names; None without any file of shapes.
    """
    annotations = [Path(file) for file in files if is_annotation(Path(file))]
    return number_annotation_classes(annotations, key) if annotations else None


def draws_background(files: Iterable[str | Path], key: str | None = None) -> bool:
    """Whether a file has shapes that are themselves called background.

    Args:
        files: of labels.
        key: attribute of the shapes that names the class, where they have several.
    """
    annotations = [Path(file) for file in files if is_annotation(Path(file))]
    return any(BACKGROUND in drawn_classes(file, key) for file in annotations)


def _load_array(path: Path, image_size: tuple[int, int], key: str | None) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return load_mat_labels(path, image_size, key)
    if suffix in CONTAINER_SUFFIXES:
        return load_array_labels(path, image_size, key)
    if suffix == ".png":
        return load_picture(path, image_size)
    return load_npy(path) if suffix == ".npy" else load_torch(path, key)


def encode_classes(
    labels: Int[np.ndarray, "H W"],
    ignore_value: int | None = None,
    class_values: Sequence[int] | None = None,
) -> tuple[Int32[np.ndarray, "H W"], list[int]]:
    """Number the class values consecutively, in ascending order.

    Args:
        labels: class values.
        ignore_value: value that means unlabelled; None where every pixel is labelled, 0 included.
        class_values: the values that count, ascending, to give several maps, or all windows of one,
            one numbering (the windows are then not searched); those in ``labels`` by default.
            Other values are unlabelled.

    Returns:
        codes: index into `class_values`, or -1 where unlabelled.
        class_values: the class values, ascending.
    """
    values = np.unique(labels) if class_values is None else np.asarray(class_values)
    labelled_values = values[values != ignore_value] if ignore_value is not None else values
    if not len(labelled_values):
        return np.full(labels.shape, -1, np.int32), []
    codes = np.minimum(np.searchsorted(labelled_values, labels), len(labelled_values) - 1)
    return np.where(labelled_values[codes] == labels, codes, -1).astype(
        np.int32
    ), labelled_values.tolist()
