"""ENVI headers: their file, their fields, and what they say of the data file's bytes."""

import codecs
import re
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from jaxhsi.data.formats.file_errors import import_reader_package
from jaxhsi.storage.replacement import write_errors_named

INTERLEAVES = ("bsq", "bil", "bip")
DATA_SUFFIXES = (
    "",
    ".img",
    ".raw",
    ".dat",
    ".bil",
    ".bip",
    ".bsq",
    ".bin",
    ".hyspex",
    ".rfl",
    ".rad",
)
"""Of the data files beside a header of the same stem; others count where none of these is there."""

SIDE_SUFFIXES = (
    *(".hdr", ".txt", ".xml", ".json", ".csv", ".log", ".md", ".pdf", ".png", ".jpg", ".jpeg"),
    *(".bmp", ".tif", ".tiff", ".gif", ".prj", ".aux", ".enp", ".sta", ".ovr", ".tfw", ".lut"),
    *(".geojson", ".kml", ".kmz", ".shp", ".dbf", ".shx", ".zip", ".gz", ".mat", ".npy", ".nc"),
    *(".h5", ".hdf5", ".hdf", ".he5", ".lcf", ".times", ".py", ".m", ".yaml", ".yml", ".bak"),
)
"""Of files that stand beside a header and are not its data."""

HeaderFields = dict[str, str | list[str]]


class RasterLayout(NamedTuple):
    """How the values lie in the data file.

    Attributes:
        num_lines: rows of the image.
        num_samples: columns.
        num_bands: bands.
        dtype: of a value, with its byte order.
        interleave: "bsq", "bil" or "bip".
        header_bytes: bytes before the first value.
    """

    num_lines: int
    num_samples: int
    num_bands: int
    dtype: np.dtype
    interleave: str
    header_bytes: int

    @property
    def num_values(self) -> int:
        """Number of values."""
        return self.num_lines * self.num_samples * self.num_bands

    @property
    def file_bytes(self) -> int:
        """Length of the file that holds it."""
        return self.header_bytes + self.num_values * self.dtype.itemsize


def find_header(data_path: Path) -> Path | None:
    """The header of a data file, name.ext.hdr or name.hdr in any case, or None."""
    files_beside = {entry.name.lower(): entry for entry in _list_files(data_path.parent)}
    for name in (f"{data_path.name}.hdr", f"{data_path.stem}.hdr"):
        if name.lower() in files_beside and files_beside[name.lower()] != data_path:
            return files_beside[name.lower()]
    return None


def find_data_file(header_path: Path) -> Path:
    """The data file of a header.

    Raises:
        FileNotFoundError: none beside it.
        ValueError: several.
    """
    stem = header_path.stem.lower()
    files_beside = [
        entry for entry in _list_files(header_path.parent) if entry.suffix.lower() != ".hdr"
    ]
    exact_matches = [entry for entry in files_beside if entry.name.lower() == stem]
    same_stem = [entry for entry in files_beside if entry.stem.lower() == stem]
    data_files = (
        exact_matches
        or [entry for entry in same_stem if entry.suffix.lower() in DATA_SUFFIXES]
        or [entry for entry in same_stem if entry.suffix.lower() not in SIDE_SUFFIXES]
    )
    if not data_files:
        raise FileNotFoundError(
            f"{header_path} has no data file beside it; looked for {header_path.stem} with "
            f"{', '.join(DATA_SUFFIXES[1:])} or no suffix. Name another one "
            f"{header_path.stem}.<suffix> and "
            f"the header {header_path.stem}.<suffix>.hdr"
        )
    if len(data_files) > 1:
        names = ", ".join(sorted(entry.name for entry in data_files))
        raise ValueError(
            f"{header_path} stands beside several data files, {names}; give the data file "
            "instead, or "
            "each a header of its own, <name>.<suffix>.hdr"
        )
    return data_files[0]


def has_header(path: Path) -> bool:
    """Whether a header stands beside a file that can be its data."""
    header = find_header(path)
    if header is None:
        return False
    named_alike = header.name.lower() == f"{path.name.lower()}.hdr"
    return named_alike or path.suffix.lower() not in SIDE_SUFFIXES


def _list_files(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.is_file()]


def read_header(header_path: Path) -> HeaderFields:
    """Fields of a header by their names in lower case; lists for what stands in braces.

    Raises:
        ValueError: not an ENVI header, or a brace that is not closed.
        ImportError: the package spectral is not installed.
    """
    envi = _import_spectral(header_path)
    with header_path.open("rb") as file:
        if not _decode(file.read(64)).lstrip().startswith("ENVI"):
            raise ValueError(
                f"{header_path} is not an ENVI header: its first line does not say ENVI"
            )
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names in capitals are usual
            ascii_copy = Path(folder) / "plain.hdr"
            plain_header = _as_ascii(header_path.read_bytes())
            with write_errors_named(ascii_copy):
                ascii_copy.write_bytes(plain_header)
            fields = envi.read_envi_header(ascii_copy)
    except envi.EnviException as error:
        raise ValueError(
            f"{header_path} cannot be read as an ENVI header ({error}); look for a brace "
            "that is not closed"
        ) from error
    return {" ".join(name.lower().split()): value for name, value in fields.items()}


def _as_ascii(raw_bytes: bytes) -> bytes:
    """A header in ASCII: spectral reads in the locale's encoding, which cameras do not know."""
    text = _decode(raw_bytes)
    lines = text.replace("µ", "u").replace("μ", "u").lstrip().splitlines()
    return "\n".join(_without_comments(lines)).encode("ascii", "replace")


def _decode(raw_bytes: bytes) -> str:
    if raw_bytes.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw_bytes.decode("utf-16", "replace")
    raw_bytes = raw_bytes.removeprefix(codecs.BOM_UTF8)
    try:
        return raw_bytes.decode("utf-8")
    except UnicodeDecodeError:
        return raw_bytes.decode("latin-1")


def _without_comments(lines: list[str]) -> list[str]:
    """Stripped lines without comments, in lists too, and without braces inside of braces.

    A semicolon in a list of numbers may separate them, where the decimal sign is a comma.
    """
    depth, kept = 0, []
    for line in (each.strip() for each in lines):
        if line.startswith(";") and (depth == 0 or re.search("[a-zA-Z]", line)):
            continue
        if depth == 0 and "{" not in line:
            line = line.partition(";")[0].rstrip()
        characters = []
        for character in line:
            depth += (character == "{") - (character == "}")
            is_nested = (character == "{" and depth > 1) or (character == "}" and depth > 0)
            characters.append({"{": "(", "}": ")"}[character] if is_nested else character)
        depth = max(0, depth)
        kept.append("".join(characters))
    return kept


def _import_spectral(path: Path) -> ModuleType:
    return import_reader_package("spectral.io.envi", path, "an ENVI")


def parse_raster_layout(
    header_path: Path, header_fields: HeaderFields
) -> tuple[RasterLayout, tuple[str, ...]]:
    """How the header says that the values lie, and notes on what it leaves out.

    Raises:
        ValueError: a field that is missing, not understood, or not supported.
    """
    missing_fields = [
        name for name in ("lines", "samples", "bands", "data type") if not header_fields.get(name)
    ]
    if missing_fields:
        raise ValueError(
            f"{header_path} lacks {', '.join(missing_fields)}; add what the camera's software says"
        )
    _refuse_unsupported(header_path, header_fields)
    axis_sizes = [
        _whole_number(header_path, header_fields, name, least)
        for name, least in (("lines", 0), ("samples", 1), ("bands", 1))
    ]
    interleave = str(header_fields.get("interleave", "")).lower()
    if interleave not in INTERLEAVES:
        raise ValueError(
            f"{header_path} says interleave {interleave or '(nothing)'}, which is none of "
            f"{', '.join(INTERLEAVES)}; the length of the file does not tell which it is, so write "
            "the right one into the header"
        )
    dtype, notes = _value_dtype(header_path, header_fields)
    header_bytes = (
        _whole_number(header_path, header_fields, "header offset", 0)
        if "header offset" in header_fields
        else 0
    )
    return RasterLayout(*axis_sizes, dtype, interleave, header_bytes), notes


def _refuse_unsupported(header_path: Path, header_fields: HeaderFields) -> None:
    file_type = str(header_fields.get("file type", "")).lower()
    if "library" in file_type:
        raise ValueError(
            f"{header_path} describes a spectral library, not a cube; jaxhsi train gmcr "
            "takes it as --library, or as --data to unmix its spectra"
        )
    if str(header_fields.get("file compression", "0")) not in ("0", ""):
        raise ValueError(
            f"{header_path} says that the data file is compressed; save it uncompressed"
        )
    for name in ("major frame offsets", "minor frame offsets"):
        field_value = header_fields.get(name, [])
        if any(
            part not in ("", "0")
            for part in (field_value if isinstance(field_value, list) else [field_value])
        ):
            raise ValueError(
                f"{header_path} says {name}, bytes between the lines or bands, which are not "
                "supported; "
                "save the cube without them"
            )


def _value_dtype(
    header_path: Path, header_fields: HeaderFields
) -> tuple[np.dtype, tuple[str, ...]]:
    dtypes_by_code = {
        type_code: np.dtype(kind)
        for type_code, kind in _import_spectral(header_path).envi_to_dtype.items()
    }
    real_dtypes = {
        type_code: dtype for type_code, dtype in dtypes_by_code.items() if dtype.kind != "c"
    }
    type_code = str(header_fields["data type"])
    if type_code not in real_dtypes:
        what = "is complex" if type_code in dtypes_by_code else "is none of ENVI's"
        raise ValueError(
            f"{header_path}: data type {type_code} {what}; a cube holds one of "
            f"{', '.join(f'{key} ({dtype})' for key, dtype in real_dtypes.items())}"
        )
    byte_order = str(header_fields.get("byte order", "")).strip()
    if byte_order not in ("0", "1", ""):
        raise ValueError(
            f"{header_path}: byte order {byte_order} is neither 0 (little) nor 1 (big endian)"
        )
    unstated = not byte_order and real_dtypes[type_code].itemsize > 1
    notes = ("the header states no byte order, 0 (little endian) taken",) if unstated else ()
    return real_dtypes[type_code].newbyteorder(">" if byte_order == "1" else "<"), notes


def _whole_number(
    header_path: Path, header_fields: HeaderFields, field_name: str, min_value: int
) -> int:
    try:
        value = int(str(header_fields[field_name]))
    except ValueError:
        value = min_value - 1
    if value < min_value:
        raise ValueError(
            f"{header_path}: {field_name} = {header_fields[field_name]} is no whole number of "
            f"{min_value} or more"
        )
    return value
