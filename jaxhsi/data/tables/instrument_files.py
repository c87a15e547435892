"""Spectra in the files of instruments: JCAMP-DX, SPC, Bruker OPUS, Renishaw WiRE, ENVI libraries.

Each reader is a package of its own, installed with ``jaxhsi[spectra]`` (SPC: ``jaxhsi[spc]``).
"""

import logging
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.formats.file_errors import import_reader_package, reading_errors
from jaxhsi.data.tables.common_axis import Spectrum, to_common_axis
from jaxhsi.data.tables.stored_table import Reference, StoredTable

OPUS_KEYS = ("a", "t", "r", "ra", "km", "e", "logr", "atr", "pas", "sm")
"""Kinds of spectra in an OPUS file, results before the single channels they were made from."""


SPC_AXES = {
    "XWAVEN": "wavenumber (cm-1)",
    "XRAMANS": "Raman shift (cm-1)",
    "XNMETR": "wavelength (nm)",
    "XUMETR": "wavelength (µm)",
    "XEV": "energy (eV)",
    "XMUNITS": "m/z",
    "XPPM": "ppm",
    "XARB": "",
}
"""Names of the axes that SPC files number; others keep their code."""


OPUS_AXES = {
    "WN": "wavenumber (cm-1)",
    "MI": "wavelength (µm)",
    "LGW": "log wavenumber",
    "MIN": "time (min)",
    "PNT": "point",
}
"""Names of the axes by the codes of OPUS."""


WIRE_AXES = {
    "RamanShift": "Raman shift (cm-1)",
    "Wavenumber": "wavenumber (cm-1)",
    "Nanometre": "wavelength (nm)",
    "Micron": "wavelength (µm)",
    "ElectronVolt": "energy (eV)",
}


def instrument_reader(path: Path) -> Callable[[Path], StoredTable] | None:
    """The reader of an instrument's file by its suffix and first bytes, or None."""
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        first_bytes = file.read(64)
    if first_bytes.startswith(b"WDF1"):
        return read_wire
    if first_bytes.startswith(b"\x0a\x0a\xfe\xfe"):
        return read_opus
    if suffix == ".spc" and first_bytes[1:2] in (b"K", b"L", b"M"):
        return read_spc
    if first_bytes.lstrip(b"\xef\xbb\xbf \r\n").upper().startswith(b"##TITLE"):
        return read_jcamp
    return read_spectral_library if is_spectral_library(path) else None


def read_jcamp(path: Path) -> StoredTable:
    """The spectra of a JCAMP-DX file, of all its blocks."""
    jcamp = import_reader_package("jcamp", path, "a JCAMP-DX", extra="spectra")
    messages = StringIO()
    with reading_errors(path, "a JCAMP-DX"), redirect_stdout(messages):
        block = jcamp.readfile(str(path))
    if "check failed" in messages.getvalue().lower() or "Mismatch" in messages.getvalue():
        raise ValueError(
            f"{path}: its own checks of points fail ({messages.getvalue().splitlines()[0]}); "
            "export it again as points x and y"
        )
    blocks = [child for child in block.get("children", []) if len(child.get("x", ()))] or [block]
    if not len(blocks[0].get("x", ())):
        raise ValueError(f"{path} holds no spectrum of points x and y; export it as XYDATA")
    spectra = [
        Spectrum(
            str(child.get("title") or f"{path.stem} {i}"),
            np.asarray(child["x"], float),
            np.asarray(child["y"], float),
            str(child.get("xunits", "")),
        )
        for i, child in enumerate(blocks, 1)
    ]
    units = {str(child.get("yunits", "")) for child in blocks}
    if len(units) > 1:
        raise ValueError(
            f"{path} holds spectra of different quantities: {', '.join(sorted(units))}; export "
            "those of one alone"
        )
    return _stack(spectra, path, units.pop())


def read_spc(path: Path) -> StoredTable:
    """The spectra of a Galactic or Thermo SPC file, of all its subfiles."""
    spc_io = import_reader_package("spc_io", path, "an SPC", extra="spc")
    # It would say that a file has no date, which is not read.
    logging.getLogger("spc_io.high_level").setLevel(logging.ERROR)
    with reading_errors(path, "an SPC"), path.open("rb") as file:
        spc = spc_io.SPC.from_bytes_io(file)
    spectra = [
        Spectrum(
            path.stem if len(spc) == 1 else f"{path.stem} {i}",
            np.array(sub.xarray, float),
            np.array(sub.yarray, float),
            SPC_AXES.get(str(spc.xtype), str(spc.xtype)),
        )
        for i, sub in enumerate(spc, 1)
    ]
    stored = _stack(spectra, path, str(spc.ytype))
    places = np.array([sub.z for sub in spc], float)
    if len(places) > 1 and (np.diff(places) > 0).all():
        return stored._replace(sample_axis=places)
    return stored


def read_opus(path: Path) -> StoredTable:
    """The result spectrum of a Bruker OPUS file."""
    brukeropus = import_reader_package("brukeropus", path, "a Bruker OPUS", extra="spectra")
    with reading_errors(path, "a Bruker OPUS"):
        opus = brukeropus.read_opus(str(path))
        keys = [key for key in OPUS_KEYS if key in opus.all_data_keys]
    if not keys:
        raise ValueError(
            f"{path} holds no spectrum, only {', '.join(opus.all_data_keys) or 'notes'}"
        )
    data: Any = getattr(opus, keys[0])
    axis, values = np.asarray(data.x, float), np.atleast_2d(np.asarray(data.y, float))
    names = (path.stem,) if len(values) == 1 else None
    stored = StoredTable(
        values, axis, OPUS_AXES.get(str(data.params.dxu), str(data.params.dxu)), names
    )
    others = [key for key in opus.all_data_keys if key != keys[0]]
    passed_over = f"; {', '.join(others)} in the file are not read" if others else ""
    return stored._replace(notes=(f"{data.label} of an OPUS file{passed_over}",))


def read_wire(path: Path) -> StoredTable:
    """The spectra of a Renishaw WiRE file; of a map row after row, with their places."""
    package = import_reader_package("renishawWiRE", path, "a Renishaw WiRE", extra="spectra")
    with reading_errors(path, "a Renishaw WiRE"):
        reader = package.WDFReader(str(path))
        axis = np.array(reader.xdata, float)
        values = np.array(reader.spectra, float).reshape(-1, len(axis))
        places = {
            name: np.ravel(getattr(reader, attribute, ())).astype(float)
            for name, attribute in (("x", "xpos"), ("y", "ypos"))
        }
        unit = getattr(reader.xlist_unit, "name", str(reader.xlist_unit))
        reader.close()
    references = tuple(
        Reference(name, tuple(place.tolist()))
        for name, place in places.items()
        if len(place) == len(values) and len(values) > 1
    )
    axis_name = WIRE_AXES.get(unit, unit)
    note = "a file of WiRE" + f", a map with {' and '.join(places)}" * (len(references) == 2)
    return StoredTable(values, axis, axis_name, None, (note,), references)


def is_spectral_library(path: Path) -> bool:
    """Whether a file is an ENVI spectral library, or its header."""
    suffix = path.suffix.lower()
    if suffix == ".sli":
        return True
    if suffix != ".hdr":
        return False
    with path.open("rb") as file:
        return b"spectral library" in file.read(4096).lower()


def read_spectral_library(path: Path) -> StoredTable:
    """The spectra of an ENVI spectral library, with their names."""
    envi = import_reader_package("spectral.io.envi", path, "an ENVI")
    headers = (
        [path]
        if path.suffix.lower() == ".hdr"
        else [
            path.with_suffix(".hdr"),
            path.with_name(path.name + ".hdr"),
            path.with_suffix(".HDR"),
        ]
    )
    header = next((candidate for candidate in headers if candidate.is_file()), None)
    if header is None:
        raise FileNotFoundError(f"{path} has no header; copy {headers[0].name} beside it")
    with reading_errors(path, "an ENVI spectral library"), warnings.catch_warnings():
        # The package sets shapes in a way that NumPy 2.5 advises against.
        warnings.simplefilter("ignore", DeprecationWarning)
        library = envi.open(str(header), None if header == path else str(path))
        values = np.array(library.spectra, float)
    centers = library.bands.centers
    axis = None if not centers else np.array(centers, float)
    unit = library.bands.band_unit or ""
    axis_name = "" if axis is None else f"wavelength ({unit})" if unit else "wavelength"
    names = tuple(map(str, library.names)) if len(library.names) == len(values) else None
    return StoredTable(values, axis, axis_name, names, (f"{len(values)} spectra of a library",))


def _stack(spectra: list[Spectrum], path: Path, value_name: str) -> StoredTable:
    common = to_common_axis(spectra, str(path))
    names = tuple(spectrum.name for spectrum in spectra)
    note = f"{len(spectra)} spectra of {path.suffix.lower()}" + (
        f" ({value_name})" if value_name else ""
    )
    return StoredTable(
        common.values, common.axis, spectra[0].axis_name, names, (note, *common.notes)
    )
