"""White and dark references from files, averaged over their lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from jaxhsi.data.formats import file_format
from jaxhsi.data.formats.envi import open_envi
from jaxhsi.data.formats.envi_header import DATA_SUFFIXES, find_header
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.formats.volume import Volume, read_image_part, resolve_layout
from jaxhsi.data.ingest.reflectance import CameraReference, to_float32

BLOCK_BYTES = 32 * 2**20


def read_reference(
    white_path: Path,
    dark_path: Path | None,
    source_path: Path,
    cube_shape: tuple[int, int, int],
    layout: str,
) -> CameraReference:
    """Read the references of a cube.

    Each is a cube whose lines are averaged, with the columns of the cube or a single one, or a
    spectrum (C,) in a .npy file. An ENVI data file without a header of its own is read by that of
    the source.

    Args:
        white_path: of the white panel.
        dark_path: without light; taken as 0 if None.
        source_path: file of the cube.
        cube_shape: (H, W, C) of the cube.
        layout: of the cube, "hwc" or "chw".

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, or other bands or columns than the cube.
    """
    bright = _averaged(white_path, source_path, cube_shape, layout)
    dim = (
        np.zeros_like(bright)
        if dark_path is None
        else _averaged(dark_path, source_path, cube_shape, layout)
    )
    wide = max(len(bright), len(dim)), cube_shape[2]
    name = f"white {white_path.name}" + ("" if dark_path is None else f", dark {dark_path.name}")
    return CameraReference(
        dark=np.broadcast_to(dim, wide), white=np.broadcast_to(bright, wide), name=name
    )


def source_header(source: Path) -> Path | None:
    """ENVI header that describes a file, which may be given by its header."""
    return source if source.suffix.lower() == ".hdr" else find_header(source)


def _averaged(
    path: Path, source: Path, shape: tuple[int, int, int], layout: str
) -> Float32[np.ndarray, "w c"]:
    if not path.is_file():
        raise FileNotFoundError(f"no reference at {path}")
    if path.suffix.lower() == ".npy" and load_npy(path).ndim == 1:
        mean = np.asarray(load_npy(path), np.float32)[None]
    else:
        with _opened(path, source) as volume:
            mean = _mean_line(volume, layout)
    columns, bands = mean.shape
    if bands != shape[2]:
        raise ValueError(
            f"{path} has {bands} bands and {source} has {shape[2]}; give the reference that the "
            "camera took with this cube"
        )
    if columns not in (1, shape[1]):
        raise ValueError(
            f"{path} has {columns} columns and {source} has {shape[1]}; a reference needs the same "
            "columns, or one for all: crop it as the cube was cropped"
        )
    return mean


@contextmanager
def _opened(path: Path, source: Path) -> Iterator[Volume]:
    header = source_header(source)
    plain = path.suffix.lower() in DATA_SUFFIXES and find_header(path) is None
    if plain and header is not None:
        with open_envi(path, header_path=header) as volume:
            yield volume
    else:
        with file_format(path).open_volume(path, key=None, size=None) as volume:
            yield volume


def _mean_line(volume: Volume, layout: str) -> Float32[np.ndarray, "w c"]:
    """Mean over the lines, of the values that are there; NaN where none is."""
    layout, (height, width, bands) = resolve_layout(volume, layout)
    step = max(1, BLOCK_BYTES // (width * bands * 4))
    total, count = np.zeros((width, bands)), np.zeros((width, bands))
    for top in range(0, height, step):
        part = read_image_part(volume, layout, slice(top, min(top + step, height)), slice(0, width))
        values = to_float32(part, volume.no_data)
        finite = np.isfinite(values)
        total += np.where(finite, values, 0).sum(axis=0, dtype=np.float64)
        count += finite.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)
