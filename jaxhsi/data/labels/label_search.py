"""Which label file belongs to which cube: by file stem, by picture, by place on the ground."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxhsi.closest_name import closest_name
from jaxhsi.data.cube import Cube, cube_name_from_folder, is_store, refuse_damaged_store
from jaxhsi.data.formats import file_format, readable_files
from jaxhsi.data.formats.mat import mat_tree_shapes
from jaxhsi.data.labels.annotation_file import (
    annotated_pictures,
    annotation_kind,
    is_annotation,
    picture_stem,
)
from jaxhsi.data.labels.label_files import ARRAY_SUFFIXES, READABLE_KINDS
from jaxhsi.data.labels.labelme import labelme_picture_name

CONFIDENCE_ENDING = "-confidence"
"""End of the names of stores that runs and predictions write beside their label maps."""


def find_labels(path: str | Path, cubes: Sequence[Cube], key: str | None = None) -> dict[str, Path]:
    """Match label files to cubes.

    A file belongs to the only cube there is, whatever its name, or to the cube of the same stem; a
    file with shapes of many pictures to the cubes of the pictures' stems; polygons with coordinates
    to every cube. In a folder, stems are matched; the cubes' own files, and the pictures on which
    LabelMe files were drawn, are passed over. Cubes without labels, and files without a cube, are
    logged as warnings, with the names that come closest.

    Args:
        path: a file, a label store, or a folder of them.
        cubes: the cubes, by unique names.
        key: attribute of drawn shapes that names the class, where they have several.

    Returns:
        Cube name -> label file.

    Raises:
        FileNotFoundError: nothing at `path`.
        ValueError: nothing matches, or two files match one cube.
    """
    path, cube_names = Path(path), [cube.name for cube in cubes]
    if not path.exists():
        raise FileNotFoundError(f"no labels at {path}")
    is_one = path.is_file() or is_store(path)
    if is_one and len(cube_names) == 1:
        return {cube_names[0]: path}
    files = [path] if is_one else _list_label_files(path, cubes)
    cubes_of_file = {file: _cubes_of_file(file, cubes, key) for file in files}
    label_files: dict[str, Path] = {}
    for name in cube_names:
        matching = [file for file, names in cubes_of_file.items() if name in names]
        if len(matching) > 1:
            raise ValueError(
                f"several label files for cube {name}: "
                f"{_join_names(file.name for file in matching)}; keep one"
            )
        if matching:
            label_files[name] = matching[0]
    if not label_files:
        raise ValueError(
            f"no label file in {path} has the stem of a cube; label files: "
            f"{_with_closest_cube((file.name for file in files), cube_names)}; cubes: "
            f"{_join_names(cube_names)}. Name them alike; read are {READABLE_KINDS}"
            + ("; or name the label file itself" if len(cube_names) == 1 else "")
        )
    unused_files = [file.name for file, names in cubes_of_file.items() if not names]
    _warn_unmatched(path, unused_files, [n for n in cube_names if n not in label_files])
    return label_files


def _cubes_of_file(file: Path, cubes: Sequence[Cube], key: str | None) -> set[str]:
    """Names of the cubes that a label file belongs to."""
    cube_names = {cube.name for cube in cubes}
    stem = label_stem(file)
    if stem in cube_names:
        return {stem}
    if not is_annotation(file):
        return set()
    try:
        kind = annotation_kind(file)
    except ValueError:
        return set()
    if kind == "vector":
        return {cube.name for cube in cubes if cube.georeference and cube.georeference.crs}
    if kind == "labelme":
        return cube_names & {picture_stem(labelme_picture_name(file))}
    pictures = annotated_pictures(file, key)
    return cube_names & {picture_stem(picture.name) for picture in pictures}


def label_stem(file: Path) -> str:
    """Name of the cube that a label file or store is named after."""
    return cube_name_from_folder(file.name) if file.is_dir() else file.stem


def _list_label_files(folder: Path, cubes: Sequence[Cube]) -> list[Path]:
    entries = [entry for entry in sorted(folder.iterdir()) if entry.name[0] != "."]
    for entry in entries:
        refuse_damaged_store(entry)
    stores = [
        entry
        for entry in entries
        if entry.is_dir() and is_store(entry) and not label_stem(entry).endswith(CONFIDENCE_ENDING)
    ]
    files = {
        entry
        for entry in entries
        if entry.suffix.lower() in ARRAY_SUFFIXES
        or (is_annotation(entry) and not _is_other_xml(entry))
    }
    files = sorted(file for file in files | set(readable_files(folder)) if file.is_file())
    image_sizes = {cube.name: cube.shape[:2] for cube in cubes}
    files = [file for file in files if not _is_cube_file(file, image_sizes.get(file.stem))]
    labelme_files = {file.stem: file for file in files if _is_labelme_file(file)}
    files = [file for file in files if not _is_annotated_picture(file, labelme_files)]
    # A prediction leaves the same map as a store and for other programs; the store has all.
    own_names = {label_stem(store) for store in stores}
    own_names &= {file.stem for file in files if file.suffix == ".npy"}
    return stores + [file for file in files if file.stem not in own_names]


def _is_other_xml(path: Path) -> bool:
    """Whether an XML file is not CVAT's: metadata of products and of GDAL."""
    if path.suffix.lower() != ".xml":
        return False
    with path.open("rb") as file:
        return b"<annotations" not in file.read(2048)


def _is_cube_file(file: Path, image_size: tuple[int, int] | None) -> bool:
    """Whether a file beside the labels is the cube itself: a 3-D array and none of (H, W)."""
    if file.suffix.lower() in (".png", ".pth", ".pt") or is_annotation(file):
        return False
    if file.suffix.lower() == ".mat":
        shapes = mat_tree_shapes(file).values()
    else:
        shapes = file_format(file).array_shapes(file).values()
    return any(len(shape) == 3 for shape in shapes) and image_size not in shapes


def _is_labelme_file(file: Path) -> bool:
    try:
        return file.suffix.lower() == ".json" and annotation_kind(file) == "labelme"
    except ValueError:
        return False


def _is_annotated_picture(file: Path, labelme_files: dict[str, Path]) -> bool:
    """Whether a picture is what the LabelMe file of the same stem was drawn on."""
    labelme_file = labelme_files.get(file.stem)
    return labelme_file is not None and labelme_picture_name(labelme_file) == file.name


def _warn_unmatched(path: Path, unused_files: list[str], unlabelled_cubes: list[str]) -> None:
    log = logging.getLogger(__name__)
    if unlabelled_cubes:
        log.warning("%s has no labels for the cubes: %s", path, _join_names(unlabelled_cubes))
    if unused_files:
        log.warning(
            "%s has label files that match no cube: %s",
            path,
            _with_closest_cube(unused_files, unlabelled_cubes),
        )


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _with_closest_cube(files: Iterable[str], cube_names: Sequence[str]) -> str:
    """File names, each with the cube whose name is the most like it, if one is."""
    hints = []
    for file in files:
        closest = closest_name(Path(file).stem, cube_names)
        hint = "" if closest is None else f" (did you mean cube {closest}?)"
        hints.append(f"{file}{hint}")
    return _join_names(hints)
