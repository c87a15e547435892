"""The length of an ENVI data file against what its header describes, before it is read."""

from pathlib import Path

from jaxhsi.data.formats.envi_header import INTERLEAVES, RasterLayout

CONTAINER_MARKS = (
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b\x08", "a gzip archive"),
    (4, b"1AY&SY", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"II*\x00", "a TIFF file"),
    (0, b"MM\x00*", "a TIFF file"),
)
"""Where files of other formats bear their mark."""


def check_data_file(data_path: Path, header_path: Path, raster: RasterLayout) -> None:
    """Refuse a data file that cannot be what the header describes.

    Raises:
        ValueError: an archive, a suffix of another interleave, or another length; the message
            names the changes of one field that would agree with the length.
    """
    if raster.header_bytes == 0 and (container_kind := _container_kind(data_path)):
        raise ValueError(
            f"{data_path} is {container_kind}, not the plain values that {header_path.name} "
            "describes; unpack it, or "
            "give it the suffix of its format"
        )
    suffix = data_path.suffix.lower().removeprefix(".")
    if suffix in INTERLEAVES and suffix != raster.interleave:
        raise ValueError(
            f"{data_path} is named as {suffix} and {header_path.name} says interleave = "
            f"{raster.interleave}. "
            "The length is the same for both, so find out which is right, then rename the file or "
            "correct the header"
        )
    actual_bytes, expected_bytes = data_path.stat().st_size, raster.file_bytes
    if actual_bytes == expected_bytes:
        return
    expectation = (
        f"{header_path} asks for {expected_bytes} bytes: {raster.num_lines} lines x "
        f"{raster.num_samples} samples x "
        f"{raster.num_bands} bands x {raster.dtype.itemsize} bytes"
        + (f" after an offset of {raster.header_bytes}" if raster.header_bytes else "")
    )
    if actual_bytes < expected_bytes:
        raise ValueError(
            f"{data_path} is truncated, holds {actual_bytes} of {expected_bytes} bytes. "
            f"{expectation}. Copy the file again, "
            "wait until it is written, or correct the "
            f"header{_possible_remedies(actual_bytes, raster)}"
        )
    raise ValueError(
        f"{data_path} holds {actual_bytes} bytes, {actual_bytes - expected_bytes} more than its "
        f"header says. {expectation}. The "
        "header may be that of another file, or miss an "
        f"offset{_possible_remedies(actual_bytes, raster)}"
    )


def with_lines_of_file(
    data_path: Path, raster: RasterLayout
) -> tuple[RasterLayout, tuple[str, ...]]:
    """The layout with as many lines as the file holds, and a note where the header says others."""
    line_bytes = raster._replace(num_lines=1, header_bytes=0).file_bytes
    num_lines, rest_bytes = divmod(data_path.stat().st_size - raster.header_bytes, line_bytes)
    if rest_bytes or num_lines < 1 or num_lines == raster.num_lines:
        return raster, ()
    return raster._replace(num_lines=num_lines), (
        f"{num_lines} lines by the length of {data_path.name}, the header says {raster.num_lines}",
    )


def with_lines_where_unstated(
    data_path: Path, raster: RasterLayout
) -> tuple[RasterLayout, tuple[str, ...]]:
    """The layout with the lines of the file where the header says 0, as during a recording."""
    if raster.num_lines != 0:
        return raster, ()
    raster, notes = with_lines_of_file(data_path, raster)
    return raster._replace(num_lines=max(1, raster.num_lines)), notes


def _container_kind(data_path: Path) -> str | None:
    """What a file of another format is, by its mark."""
    with data_path.open("rb") as file:
        first_bytes = file.read(512)
    matching_kinds = (
        kind for start, mark, kind in CONTAINER_MARKS if first_bytes[start:].startswith(mark)
    )
    return next(matching_kinds, None)


def _possible_remedies(actual_bytes: int, raster: RasterLayout) -> str:
    """The single changes to the header that would agree with the length of the file."""
    remedies, itemsize = [], raster.dtype.itemsize
    body_bytes = actual_bytes - raster.header_bytes
    if (offset := actual_bytes - raster.num_values * itemsize) >= 0:
        remedies.append(f"header offset = {offset}")
    axes = {"lines": raster.num_lines, "samples": raster.num_samples, "bands": raster.num_bands}
    for name, length in axes.items():
        other_bytes = raster.num_values // length * itemsize
        if body_bytes > 0 and body_bytes % other_bytes == 0:
            remedies.append(f"{name} = {body_bytes // other_bytes}")
    if (
        body_bytes > 0
        and body_bytes % raster.num_values == 0
        and body_bytes // raster.num_values in (1, 2, 4, 8)
    ):
        remedies.append(f"a data type of {body_bytes // raster.num_values} bytes")
    return f"; with the length would agree {' or '.join(remedies)}" if remedies else ""
