"""ENVI cubes: a text header and a file of plain values, memory-mapped.

The lines of a slab are mapped while it is read, so that neither the file stays open nor the pages
that were read count as memory of the process.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxhsi.data.formats.envi_file_size import check_data_file
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
from jaxhsi.data.formats.wavelengths import wavelengths_in_nm


def envi_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of the one array, under the empty key; (H, W) of a class map or a single band.

    Raises:
        FileNotFoundError, ValueError, ImportError: as `open_envi`.
    """
    data, header = _pair(path, None)
    fields = read_header(header)
    raster, _ = parse_raster_layout(header, fields)
    check_data_file(data, header, raster)
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
        header_path: header of another file, such as that of the cube for its white reference, which is
            then read with as many lines as it holds.
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
    data, found = _pair(path, header_path)
    fields = read_header(found)
    raster, notes = parse_raster_layout(found, fields)
    if num_lines is not None:
        raster = raster._replace(num_lines=num_lines)
    elif header_path is not None:
        raster, more = _with_own_lines(data, raster)
        notes += more
    check_data_file(data, found, raster)
    wavelengths, more = _wavelengths(found, fields, raster.num_bands)
    georeference, unread = envi_georeference(
        fields.get("map info"), fields.get("coordinate system string"), fields.get("pixel size")
    )
    scale = _scale(found, fields)
    layout = "chw" if raster.interleave == "bsq" else "hwc"
    image = (raster.num_lines, raster.num_samples)
    yield Volume(
        path=data,
        key="",
        shape=(raster.num_bands, *image) if layout == "chw" else (*image, raster.num_bands),
        read_slab=_reader(data, raster),
        wavelengths=wavelengths,
        layout=layout,
        no_data=_no_data(found, fields),
        georeference=georeference,
        value_units="reflectance" if scale else _text(fields.get("data units")),
        scale_factor=scale,
        bad_bands=_bad_bands(found, fields, raster.num_bands),
        notes=(*notes, *more, *unread, *_unapplied(fields)),
    )


def _pair(path: Path, header: Path | None) -> tuple[Path, Path]:
    """Data file and header."""
    for given in (path, header):
        if given is not None and not given.is_file():
            raise FileNotFoundError(f"no file at {given}")
    if path.suffix.lower() == ".hdr":
        return find_data_file(path), header or path
    found = header or find_header(path)
    if found is None:
        raise FileNotFoundError(
            f"{path} has no ENVI header beside it; looked for {path.name}.hdr and {path.stem}.hdr. "
            "Copy the header that the camera wrote there"
        )
    return path, found


def _with_own_lines(data: Path, raster: RasterLayout) -> tuple[RasterLayout, tuple[str, ...]]:
    line = raster._replace(num_lines=1, header_bytes=0).file_bytes
    lines, rest = divmod(data.stat().st_size - raster.header_bytes, line)
    if rest or lines < 1 or lines == raster.num_lines:
        return raster, ()
    return raster._replace(num_lines=lines), (
        f"{lines} lines by the length of {data.name}, the header says {raster.num_lines}",
    )


def _reader(data: Path, raster: RasterLayout) -> Callable[[tuple[slice, slice, slice]], np.ndarray]:
    lines, samples, bands = raster[:3]
    line = {"bsq": (samples,), "bil": (bands, samples), "bip": (samples, bands)}[raster.interleave]

    def mapped(first: int, count: int) -> np.memmap:
        """Some lines of the file; no more is mapped, as the system counts whole large pages."""
        start = raster.header_bytes + first * math.prod(line) * raster.dtype.itemsize
        return np.memmap(data, raster.dtype, "r", start, (count, *line))

    def by_lines(rows: slice, columns: slice, chosen: slice) -> np.ndarray:
        top, bottom, _ = rows.indices(lines)
        block = mapped(top, bottom - top)
        seen = block.transpose(0, 2, 1) if raster.interleave == "bil" else block
        return np.array(seen[:, columns, chosen])  # a copy, in the order of the file

    def by_bands(chosen: slice, rows: slice, columns: slice) -> np.ndarray:
        top, bottom, _ = rows.indices(lines)
        numbers, width = range(bands)[chosen], len(range(samples)[columns])
        values = np.empty((len(numbers), bottom - top, width), raster.dtype)
        for place, band in enumerate(numbers):
            values[place] = mapped(band * lines + top, bottom - top)[:, columns]
        return values

    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        try:
            return by_bands(*index) if raster.interleave == "bsq" else by_lines(*index)
        except (ValueError, OSError) as error:
            raise ValueError(f"{data} changed or vanished while it was read ({error})") from error

    return read


def _text(field: str | list[str] | None) -> str | None:
    return ", ".join(field) if isinstance(field, list) else field or None


def _numbers(header: Path, fields: HeaderFields, name: str, count: int) -> np.ndarray | None:
    """The numbers of a field, one a band, or None where it is not there."""
    given = fields.get(name)
    if given is None:
        return None
    parts = [part for part in (given if isinstance(given, list) else [given]) if part]
    try:
        values = np.array([float(part) for part in parts])
    except ValueError as error:
        raise ValueError(f"{header}: {name} holds what is no number ({error})") from error
    if len(values) != count:
        raise ValueError(
            f"{header} is not consistent: {name} has {len(values)} values and there are {count} "
            f"bands; correct the one that is wrong, or delete {name}"
        )
    return values


def _wavelengths(
    header: Path, fields: HeaderFields, bands: int
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    values = _numbers(header, fields, "wavelength", bands)
    if values is None:
        return None, ()
    return wavelengths_in_nm(values, _text(fields.get("wavelength units")), f"{header}: wavelength")


def _number(header: Path, fields: HeaderFields, name: str) -> float | None:
    values = _numbers(header, fields, name, 1) if fields.get(name) else None
    return None if values is None else float(values[0])


def _no_data(header: Path, fields: HeaderFields) -> float | None:
    value = _number(header, fields, "data ignore value")
    return value if value is not None and math.isfinite(value) else None


def _scale(header: Path, fields: HeaderFields) -> float | None:
    """Factor from stored values to reflectance; ENVI states its inverse."""
    factor = _number(header, fields, "reflectance scale factor")
    if factor is not None and not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"{header}: reflectance scale factor = {factor} must be above 0")
    return None if factor in (None, 1.0) else 1.0 / factor


def _bad_bands(header: Path, fields: HeaderFields, bands: int) -> np.ndarray | None:
    good = _numbers(header, fields, "bbl", bands)
    return None if good is None else good == 0


def _unapplied(fields: HeaderFields) -> tuple[str, ...]:
    names = [name for name in ("data gain values", "data offset values") if fields.get(name)]
    return (f"{' and '.join(names)} of the header not applied",) if names else ()
