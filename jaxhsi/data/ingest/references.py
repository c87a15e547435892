"""White and dark references from files, averaged over their lines."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from jaxhsi.data.formats import file_format
from jaxhsi.data.formats.envi import open_envi
from jaxhsi.data.formats.envi_header import DATA_SUFFIXES, find_header, read_header
from jaxhsi.data.formats.npy import load_npy
from jaxhsi.data.formats.reference_files import ReferenceFiles, find_references
from jaxhsi.data.formats.volume import Volume, read_image_part, resolve_layout
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.reflectance import CameraReference, to_float32

BLOCK_BYTES = 32 * 2**20


def read_reference(
    white_path: Path,
    dark_path: Path | None,
    source_path: Path,
    cube_shape: tuple[int, int, int],
    layout: str,
    white_dark_path: Path | None = None,
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
        layout: of the cube, one of `jaxhsi.data.axis_layout.LAYOUTS`.
        white_dark_path: without light at the exposure of the white panel, where that is another;
            the exposures are the field tint of the headers.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, or other bands or columns than the cube.
    """
    white_mean = _read_averaged(white_path, source_path, cube_shape, layout)
    dark_mean = (
        np.zeros_like(white_mean)
        if dark_path is None
        else _read_averaged(dark_path, source_path, cube_shape, layout)
    )
    if white_dark_path is not None:
        white_signal = white_mean - _read_averaged(white_dark_path, source_path, cube_shape, layout)
        white_mean = dark_mean + white_signal * _exposure_ratio(source_path, white_path)
    reference_shape = max(len(white_mean), len(dark_mean)), cube_shape[2]
    name = f"white {white_path.name}" + ("" if dark_path is None else f", dark {dark_path.name}")
    return CameraReference(
        dark=np.broadcast_to(dark_mean, reference_shape),
        white=np.broadcast_to(white_mean, reference_shape),
        name=name,
    )


def choose_references(
    source: Path, volume: Volume, options: IngestOptions
) -> tuple[ReferenceFiles, tuple[str, ...], tuple[str, ...]]:
    """References that are given, else those that the camera left beside a cube of counts.

    Args:
        source: file of the cube.
        volume: of it.
        options: of the ingest.

    Returns:
        references: to use; no white one where there is none.
        notes: that they were not asked for.
        hints: files that look like references, and how to use them.
    """
    if options.white is not None:
        return ReferenceFiles(options.white, options.dark), (), ()
    is_counts = volume.read_slab((slice(0, 1),) * 3).dtype.kind in "iu"
    if not source.is_file() or not is_counts or volume.scale_factor is not None:
        return ReferenceFiles(), (), ()
    own, other = find_references(source)
    if own.white is not None and not options.raw and options.scale is None:
        return own, ("references of the camera beside the cube are used; --raw keeps counts",), ()
    if other.white is not None and own.white is None:
        dark = "" if other.dark is None else f" --dark {other.dark}"
        hint = f"for reflectance by the references beside it give --white {other.white}{dark}"
        return ReferenceFiles(), (), (hint,)
    return ReferenceFiles(), (), ()


def _exposure_ratio(source: Path, white: Path) -> float:
    """Exposure of the cube over that of the white reference, 1 where the headers do not tell."""
    exposures = []
    for path in (source, white):
        header = source_header(path)
        field = None if header is None else read_header(header).get("tint")
        try:
            exposures.append(float(field if isinstance(field, str) else "nan"))
        except ValueError:
            return 1.0
    ratio = exposures[0] / exposures[1] if exposures[1] else 1.0
    return ratio if math.isfinite(ratio) and ratio > 0 else 1.0


def source_header(source: Path) -> Path | None:
    """ENVI header that describes a file, which may be given by its header."""
    return source if source.suffix.lower() == ".hdr" else find_header(source)


def _read_averaged(
    path: Path, source_path: Path, cube_shape: tuple[int, int, int], layout: str
) -> Float32[np.ndarray, "w c"]:
    if not path.is_file():
        raise FileNotFoundError(f"no reference at {path}")
    if path.suffix.lower() == ".npy" and load_npy(path).ndim == 1:
        mean_line = np.asarray(load_npy(path), np.float32)[None]
    else:
        with _open_reference(path, source_path) as volume:
            mean_line = _mean_line(volume, layout)
    num_columns, num_bands = mean_line.shape
    if num_bands != cube_shape[2]:
        raise ValueError(
            f"{path} has {num_bands} bands and {source_path} has {cube_shape[2]}; give the "
            "reference that the "
            "camera took with this cube"
        )
    if num_columns not in (1, cube_shape[1]):
        raise ValueError(
            f"{path} has {num_columns} columns and {source_path} has {cube_shape[1]}; a "
            "reference needs the same "
            "columns, or one for all: crop it as the cube was cropped"
        )
    return mean_line


@contextmanager
def _open_reference(path: Path, source_path: Path) -> Iterator[Volume]:
    header = source_header(source_path)
    lacks_header = path.suffix.lower() in DATA_SUFFIXES and find_header(path) is None
    if lacks_header and header is not None:
        with open_envi(path, header_path=header) as volume:
            yield volume
    else:
        with file_format(path).open_volume(path, key=None, size=None) as volume:
            yield volume


def _mean_line(volume: Volume, layout: str) -> Float32[np.ndarray, "w c"]:
    """Mean over the lines, of the values that are there; NaN where none is."""
    layout, (height, width, bands) = resolve_layout(volume, layout)
    block_rows = max(1, BLOCK_BYTES // (width * bands * 4))
    value_sum, value_count = np.zeros((width, bands)), np.zeros((width, bands))
    for top in range(0, height, block_rows):
        stored_part = read_image_part(
            volume, layout, slice(top, min(top + block_rows, height)), slice(0, width)
        )
        values = to_float32(stored_part, volume.no_data)
        is_finite = np.isfinite(values)
        value_sum += np.where(is_finite, values, 0).sum(axis=0, dtype=np.float64)
        value_count += is_finite.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return (value_sum / value_count).astype(np.float32)
