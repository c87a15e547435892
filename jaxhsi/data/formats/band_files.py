"""One file a band: which files of a folder are the bands of a cube, and in which order."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from jaxhsi.data.cache import fingerprint
from jaxhsi.data.formats.band_stack import (
    DescribedBand,
    check_alike,
    describe_file,
    ingest_command,
    leave_out_other_images,
    listed,
)
from jaxhsi.data.formats.raster import raster_shapes, raster_volume
from jaxhsi.data.formats.raster_file import RASTER_SUFFIXES, open_dataset
from jaxhsi.data.formats.raster_stack import SingleBand, stack_vrt
from jaxhsi.data.formats.volume import Volume
from jaxhsi.storage.replacement import replace_text

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm")
BAND_TOKEN = re.compile(
    r"(?:b|bd|band|ch|channel|wl|wvl|lambda|ms|im|image|layer)?0*(\d+(?:\.\d+)?)(nm|a)?",
    re.IGNORECASE,
)
"""A part of a file name that numbers a band: "B08", "B8A", "band12", "3", "450nm"."""

COLOUR_ORDER = (
    *("coastal", "aerosol", "violet", "blue", "cyan", "green", "yellow", "orange", "red"),
    *("rededge", "rededge1", "rededge2", "rededge3", "nir", "nir1", "nir2", "swir", "swir1"),
    *("swir2", "swir3", "lwir", "thermal"),
)
"""Bands that file names call by colour, by rising wavelength."""


class BandName(NamedTuple):
    """What a file name says of its band; bands sort by it.

    Attributes:
        number: of the band, its wavelength in nm, or its rank among the colours.
        letter: what follows the number, as in B8A.
        unit: "nm" where the number is a wavelength.
    """

    number: float
    letter: str
    unit: str


def band_name(stem: str, common_parts: frozenset[str] = frozenset()) -> BandName | None:
    """What a file name says of its band, None where it says nothing.

    Args:
        stem: file name without suffix.
        common_parts: parts in lower case that all files of the scene share.

    >>> band_name("T32_B8A", frozenset({"t32"}))
    BandName(number=8.0, letter='a', unit='')
    """
    parts = [part for part in _name_parts(stem) if part not in common_parts]
    for part in reversed(parts):
        if (match := BAND_TOKEN.fullmatch(part)) is not None:
            ending = match[2] or ""
            return BandName(float(match[1]), ending.replace("nm", ""), ending.replace("a", ""))
    for size in (2, 1):
        for start in range(len(parts) - size, -1, -1):
            colour = "".join(parts[start : start + size])
            if colour in COLOUR_ORDER:
                return BandName(float(COLOUR_ORDER.index(colour)), "colour", "")
    return None


def _name_parts(stem: str) -> list[str]:
    return [part.lower() for part in re.split(r"[_\-\s]+|\.(?!\d)", stem) if part]


def list_band_files(folder: Path) -> list[Path]:
    """Raster files of a folder whose names number or colour a band, in the order of the bands.

    Pictures (.png, .jpg and others) count where there is no other raster.

    Args:
        folder: that may hold one file a band.

    Returns:
        Two files or more, or none.
    """
    entries = [e for e in sorted(folder.iterdir()) if e.is_file() and e.name[0] != "."]
    for suffixes in (RASTER_SUFFIXES, PICTURE_SUFFIXES):
        files = [entry for entry in entries if entry.suffix.lower() in suffixes]
        if len(files) > 1:
            return _sorted_bands(files)
    return []


def _sorted_bands(files: Sequence[Path]) -> list[Path]:
    common = frozenset.intersection(*(frozenset(_name_parts(file.stem)) for file in files))
    names = {file: band_name(file.stem, common) for file in files}
    bands = [file for file in files if names[file] is not None]
    if len({names[file].letter == "colour" for file in bands}) > 1:  # numbers count, colours not
        bands = [file for file in bands if names[file].letter != "colour"]
    return sorted(bands, key=lambda file: names[file]) if len(bands) > 1 else []


def band_folder_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shape (bands, H, W) of the cube that a folder's single-band files make.

    Raises:
        ValueError: as `open_band_folder`.
    """
    bands, _ = _describe_folder(folder)
    return {"": (len(bands), *bands[0].shape)}


@contextmanager
def open_band_folder(
    folder: Path, *, key: str | None = None, size: tuple[int, int] | None = None
) -> Iterator[Volume]:
    """Open a folder with one file a band as a cube.

    Args:
        folder: of the files; see `list_band_files`.
        key: must be None.
        size: not used.

    Raises:
        ValueError: no such files; several of one band; files of several bands, sizes, types or
            places.
    """
    if key is not None:
        raise ValueError(f"{folder} holds one file a band; drop --key {key}")
    bands, note = _describe_folder(folder)
    with open_dataset(folder, stack_vrt(bands)) as file:
        yield raster_volume(folder, file, notes=(note,))


def write_band_stack(files: Sequence[Path], cache_folder: Path, name: str) -> Path:
    """Write a virtual raster (.vrt) of single-band files, in the order in which they are given.

    Args:
        files: of one band each.
        cache_folder: where to; the same files lead to the same path.
        name: of the raster.

    Returns:
        The path of the raster, which `raster.open_raster` reads.

    Raises:
        ValueError: files of several bands, sizes, types or places.
    """
    bands = check_alike({file: _describe_file(file) for file in files}, files[0].parent)
    note = f"{len(files)} files stacked as bands, in the order given: "
    xml = stack_vrt(bands, note + listed([file.name for file in files]))
    states = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    path = cache_folder / fingerprint((xml, states)) / f"{name}.vrt"
    if not path.is_file():
        replace_text(path, xml)
    return path


def are_single_bands(files: Sequence[Path]) -> bool:
    """Whether every file is a raster of one band."""
    try:
        return all(file.is_file() and len(raster_shapes(file)[""]) == 2 for file in files)
    except ValueError:
        return False


def _describe_folder(folder: Path) -> tuple[list[SingleBand], str]:
    files = list_band_files(folder)
    if not files:
        raise ValueError(
            f"{folder} holds no files whose names number a band, such as scene_B01.tif"
        )
    _refuse_several_scenes(folder, files)
    described = {file: _describe_file(file) for file in files}
    camera_notes = leave_out_other_images(described)
    bands = check_alike(described, folder)
    rasters = [entry for entry in folder.iterdir() if entry.suffix.lower() in RASTER_SUFFIXES]
    left_out = sorted(entry.name for entry in rasters if entry not in files)
    note = f"{len(bands)} files stacked as bands: {listed([file.name for file in described])}"
    note += f"; left out: {listed(left_out)}" if left_out else ""
    return bands, "; ".join((note, *camera_notes))


def _refuse_several_scenes(folder: Path, files: Sequence[Path]) -> None:
    common = frozenset.intersection(*(frozenset(_name_parts(file.stem)) for file in files))
    first_file: dict[BandName, Path] = {}
    for file in files:
        name = band_name(file.stem, common)
        other = first_file.setdefault(name, file)
        if other != file:
            scene = [f for f in files if _scene_name(f.stem) == _scene_name(other.stem)]
            described = {each: _describe_file(each) for each in scene}
            leave_out_other_images(described)
            raise ValueError(
                f"{folder} holds several files of one band, {other.name} and {file.name}: several "
                "scenes, captures or sizes. Name the files of one, in the order of their bands: "
                f"{ingest_command(list(described))}"
            )


def _scene_name(stem: str) -> tuple[str, ...]:
    """The parts of a file name but for the last that numbers a band.

    >>> _scene_name("IMG_0000_5"), _scene_name("S_B02_10m")
    (('img', '0000'), ('s', '10m'))
    """
    parts = _name_parts(stem)
    numbered = [i for i, part in enumerate(parts) if BAND_TOKEN.fullmatch(part)]
    return tuple(part for i, part in enumerate(parts) if i not in numbered[-1:])


def _describe_file(file: Path) -> DescribedBand:
    """A file as a band; its wavelength by the camera, or by a name such as scene_450nm."""
    name = band_name(file.stem)
    is_wavelength = name is not None and name.unit == "nm"
    return describe_file(file, f"{name.number:g} nm" if is_wavelength else "")
