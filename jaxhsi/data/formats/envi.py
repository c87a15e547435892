"""ENVI cubes: a text header and a file of plain values, memory-mapped.

The lines of a slab are mapped while it is read, so that neither the file stays open nor the pages
that were read count as memory of the process.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxhsi.data.formats.envi_fields import OptionalFields
from jaxhsi.data.formats.envi_file_size import (
    check_data_file,
    with_lines_of_file,
    with_lines_where_unstated,
)
from jaxhsi.data.formats.envi_header import (
    HeaderFields,
    RasterLayout,
    find_data_file,
    find_header,
    parse_raster_layout,
    read_header,
)
from jaxhsi.data.formats.envi_map import envi_georeference
from jaxhsi.data.formats.volume import Volume


def envi_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of the one array, under the empty key; (H, W) of a class map or a single band.

    Raises:
        FileNotFoundError, ValueError, ImportError: as `open_envi`.
    """
    data_path, header_path = _find_pair(path, None)
    header_fields = read_header(header_path)
    raster, _ = parse_raster_layout(header_path, header_fields)
    raster, _ = with_lines_where_unstated(data_path, raster)
    check_data_file(data_path, header_path, raster)
    shape = raster.num_lines, raster.num_samples, raster.num_bands
    return {"": shape[: 2 if raster.num_bands == 1 else 3]}


@contextmanager
def open_envi(
    path: Path,
    *,
    key: str | None = None,
    size: tuple[int, int] | None = None,
    header_path: Path | None = None,
    num_lines: int | None = None,
) -> Iterator[Volume]:
    """Open an ENVI cube.

    The volume's axes are (C, H, W) for bsq, (H, W, C) for bil and bip.

    Args:
        path: the data file or its header; the other one is found beside it.
        key: must be None, an ENVI file holds one array without a name.
        size: not used, the header tells it.
        header_path: header of another file, such as that of the cube for its white reference,
            which is then read with as many lines as it holds.
        num_lines: rows, in place of the header's.

    Raises:
        FileNotFoundError: no data or no header.
        ValueError: a header that is no ENVI header, lacks fields, is not consistent with itself or
            with the length of the data file, or names what is not supported; a key; data that is
            an archive.
        ImportError: the package spectral is not installed.
    """
    if key is not None:
        raise ValueError(f"{path} holds one array without a name; drop --key {key}")
    data_path, found_header = _find_pair(path, header_path)
    header_fields = read_header(found_header)
    raster, notes = parse_raster_layout(found_header, header_fields)
    raster, more_notes = with_lines_where_unstated(data_path, raster)
    notes += more_notes
    if num_lines is not None:
        raster = raster._replace(num_lines=num_lines)
    elif header_path is not None:
        raster, more_notes = with_lines_of_file(data_path, raster)
        notes += more_notes
    check_data_file(data_path, found_header, raster)
    yield _envi_volume(data_path, header_fields, raster, notes)


def _envi_volume(
    data_path: Path, header_fields: HeaderFields, raster: RasterLayout, notes: tuple[str, ...]
) -> Volume:
    """The volume that a header and its data file make."""
    optional = OptionalFields(header_fields, raster.num_bands)
    wavelengths = optional.wavelengths()
    scale_factor, offset, value_units = optional.scale()
    georeference, map_notes = envi_georeference(
        header_fields.get("map info"),
        header_fields.get("coordinate system string"),
        header_fields.get("pixel size"),
    )
    layout = "chw" if raster.interleave == "bsq" else "hwc"
    image_shape = (raster.num_lines, raster.num_samples)
    return Volume(
        path=data_path,
        key="",
        shape=(raster.num_bands, *image_shape)
        if layout == "chw"
        else (*image_shape, raster.num_bands),
        read_slab=_with_one_mark(_slab_reader(data_path, raster), optional),
        wavelengths=wavelengths,
        layout=layout,
        no_data=optional.no_data(),
        georeference=georeference,
        value_units=value_units,
        scale_factor=scale_factor,
        offset=offset,
        bad_bands=optional.bad_bands(),
        notes=(*notes, *optional.notes, *map_notes),
    )


SlabReader = Callable[[tuple[slice, slice, slice]], np.ndarray]


def _with_one_mark(read_slab: SlabReader, optional: OptionalFields) -> SlabReader:
    """The reader with the first mark of missing values in the place of others."""
    others = optional.other_no_data()

    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        values = read_slab(index)
        values[np.isin(values, others)] = optional.no_data()
        return values

    return read if others else read_slab


def _find_pair(path: Path, header_path: Path | None) -> tuple[Path, Path]:
    """Data file and header."""
    for given_path in (path, header_path):
        if given_path is not None and not given_path.is_file():
            raise FileNotFoundError(f"no file at {given_path}")
    if path.suffix.lower() == ".hdr":
        return find_data_file(path), header_path or path
    found_header = header_path or find_header(path)
    if found_header is None:
        raise FileNotFoundError(
            f"{path} has no ENVI header beside it; looked for {path.name}.hdr and {path.stem}.hdr. "
            "Copy the header that the camera wrote there"
        )
    return path, found_header


def _slab_reader(
    data_path: Path, raster: RasterLayout
) -> Callable[[tuple[slice, slice, slice]], np.ndarray]:
    num_lines, num_samples, num_bands = raster[:3]
    line_shape = {
        "bsq": (num_samples,),
        "bil": (num_bands, num_samples),
        "bip": (num_samples, num_bands),
    }[raster.interleave]

    def mapped(first: int, count: int) -> np.memmap:
        """Some lines of the file; no more is mapped, as the system counts whole large pages."""
        start = raster.header_bytes + first * math.prod(line_shape) * raster.dtype.itemsize
        return np.memmap(data_path, raster.dtype, "r", start, (count, *line_shape))

    def by_lines(rows: slice, columns: slice, chosen: slice) -> np.ndarray:
        top, bottom, _ = rows.indices(num_lines)
        block = mapped(top, bottom - top)
        seen = block.transpose(0, 2, 1) if raster.interleave == "bil" else block
        return np.array(seen[:, columns, chosen])  # a copy, in the order of the file

    def by_bands(chosen: slice, rows: slice, columns: slice) -> np.ndarray:
        top, bottom, _ = rows.indices(num_lines)
        numbers, width = range(num_bands)[chosen], len(range(num_samples)[columns])
        values = np.empty((len(numbers), bottom - top, width), raster.dtype)
        for place, band in enumerate(numbers):
            values[place] = mapped(band * num_lines + top, bottom - top)[:, columns]
        return values

    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        try:
            return by_bands(*index) if raster.interleave == "bsq" else by_lines(*index)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{data_path} changed or vanished while it was read ({error})"
            ) from error

    return read
