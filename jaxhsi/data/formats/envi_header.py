"""ENVI headers: their file, their fields, and what they say of the data file's bytes."""

import codecs
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from jaxhsi.data.formats.file_errors import import_reader_package

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
"""Of the data files beside a header of the same stem; any other is found as name.ext.hdr."""

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
    beside = {entry.name.lower(): entry for entry in _files(data_path.parent)}
    for name in (f"{data_path.name}.hdr", f"{data_path.stem}.hdr"):
        if name.lower() in beside and beside[name.lower()] != data_path:
            return beside[name.lower()]
    return None


def find_data_file(header_path: Path) -> Path:
    """The data file of a header.

    Raises:
        FileNotFoundError: none beside it.
        ValueError: several.
    """
    stem = header_path.stem.lower()
    beside = [entry for entry in _files(header_path.parent) if entry.suffix.lower() != ".hdr"]
    exact = [entry for entry in beside if entry.name.lower() == stem]
    found = exact or [
        entry
        for entry in beside
        if entry.stem.lower() == stem and entry.suffix.lower() in DATA_SUFFIXES
    ]
    if not found:
        raise FileNotFoundError(
            f"{header_path} has no data file beside it; looked for {header_path.stem} with "
            f"{', '.join(DATA_SUFFIXES[1:])} or no suffix. Name another one {header_path.stem}.<suffix> and "
            f"the header {header_path.stem}.<suffix>.hdr"
        )
    if len(found) > 1:
        names = ", ".join(sorted(entry.name for entry in found))
        raise ValueError(
            f"{header_path} stands beside several data files, {names}; give the data file instead, or "
            "each a header of its own, <name>.<suffix>.hdr"
        )
    return found[0]


def has_header(path: Path) -> bool:
    """Whether a header stands beside a file that can be its data."""
    header = find_header(path)
    if header is None:
        return False
    named = header.name.lower() == f"{path.name.lower()}.hdr"
    return named or path.suffix.lower() in DATA_SUFFIXES


def _files(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.is_file()]


def read_header(path: Path) -> HeaderFields:
    """Fields of a header by their names in lower case; lists for what stands in braces.

    Raises:
        ValueError: not an ENVI header, or a brace that is not closed.
        ImportError: the package spectral is not installed.
    """
    envi = _spectral(path)
    with path.open("rb") as file:
        if not file.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"ENVI"):
            raise ValueError(f"{path} is not an ENVI header: its first line does not say ENVI")
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names in capitals are usual
            copy = Path(folder) / "plain.hdr"
            copy.write_bytes(_ascii(path.read_bytes()))
            fields = envi.read_envi_header(copy)
    except envi.EnviException as error:
        raise ValueError(
            f"{path} cannot be read as an ENVI header ({error}); look for a brace "
            "that is not closed"
        ) from error
    return {" ".join(name.lower().split()): value for name, value in fields.items()}


def _ascii(raw: bytes) -> bytes:
    """A header in ASCII: spectral reads in the locale's encoding, which cameras do not know."""
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = text.replace("µ", "u").replace("μ", "u").lstrip().splitlines()
    return "\n".join(line.strip() for line in lines).encode("ascii", "replace")


def _spectral(path: Path) -> ModuleType:
    return import_reader_package("spectral.io.envi", path, "an ENVI")


def parse_raster_layout(path: Path, fields: HeaderFields) -> tuple[RasterLayout, tuple[str, ...]]:
    """How the header says that the values lie, and notes on what it leaves out.

    Raises:
        ValueError: a field that is missing, not understood, or not supported.
    """
    missing = [name for name in ("lines", "samples", "bands", "data type") if not fields.get(name)]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; add what the camera's software says")
    _refuse_unsupported(path, fields)
    sizes = [_whole(path, fields, name, 1) for name in ("lines", "samples", "bands")]
    interleave = str(fields.get("interleave", "")).lower()
    if interleave not in INTERLEAVES:
        raise ValueError(
            f"{path} says interleave {interleave or '(nothing)'}, which is none of "
            f"{', '.join(INTERLEAVES)}; the length of the file does not tell which it is, so write "
            "the right one into the header"
        )
    dtype, notes = _dtype(path, fields)
    offset = _whole(path, fields, "header offset", 0) if "header offset" in fields else 0
    return RasterLayout(*sizes, dtype, interleave, offset), notes


def _refuse_unsupported(path: Path, fields: HeaderFields) -> None:
    kind = str(fields.get("file type", "")).lower()
    if "library" in kind:
        raise ValueError(f"{path} describes a spectral library, not a cube")
    if str(fields.get("file compression", "0")) not in ("0", ""):
        raise ValueError(f"{path} says that the data file is compressed; save it uncompressed")
    for name in ("major frame offsets", "minor frame offsets"):
        given = fields.get(name, [])
        if any(part not in ("", "0") for part in (given if isinstance(given, list) else [given])):
            raise ValueError(
                f"{path} says {name}, bytes between the lines or bands, which are not supported; "
                "save the cube without them"
            )


def _dtype(path: Path, fields: HeaderFields) -> tuple[np.dtype, tuple[str, ...]]:
    codes = {code: np.dtype(kind) for code, kind in _spectral(path).envi_to_dtype.items()}
    real = {code: dtype for code, dtype in codes.items() if dtype.kind != "c"}
    code = str(fields["data type"])
    if code not in real:
        what = "is complex" if code in codes else "is none of ENVI's"
        raise ValueError(
            f"{path}: data type {code} {what}; a cube holds one of "
            f"{', '.join(f'{key} ({dtype})' for key, dtype in real.items())}"
        )
    order = str(fields.get("byte order", "")).strip()
    if order not in ("0", "1", ""):
        raise ValueError(f"{path}: byte order {order} is neither 0 (little) nor 1 (big endian)")
    unstated = not order and real[code].itemsize > 1
    notes = ("the header states no byte order, 0 (little endian) taken",) if unstated else ()
    return real[code].newbyteorder(">" if order == "1" else "<"), notes


def _whole(path: Path, fields: HeaderFields, name: str, least: int) -> int:
    try:
        value = int(str(fields[name]))
    except ValueError:
        value = least - 1
    if value < least:
        raise ValueError(f"{path}: {name} = {fields[name]} is no whole number of {least} or more")
    return value
