"""TIFF files with one page a band, as ImageJ, tifffile, Pillow and some cameras write them."""

import json
import re
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from jaxhsi.data.formats.axis_order import guess_layout
from jaxhsi.data.formats.band_texts import NUMBER_WITH_UNIT
from jaxhsi.data.formats.raster_file import open_dataset
from jaxhsi.data.formats.raster_stack import SingleBand, describe_single_band, stack_vrt

PAGE_TEXT_TAGS, MAX_PAGE_TEXT = ("PAGENAME", "IMAGEDESCRIPTION"), 200
"""Tags of a page that may state its wavelength, and how much of them is looked at."""

MAX_LISTED_GROUPS = 6
"""Runs of equal pages that a message lists."""


class PageStack(NamedTuple):
    """Pages of a file taken as the bands of a cube, or as its rows.

    Attributes:
        vrt: what GDAL opens: the XML of a virtual raster.
        shape: (pages, rows, columns).
        layout: order of these axes, None where their lengths are to decide.
        notes: for the history.
    """

    vrt: str
    shape: tuple[int, ...]
    layout: str | None
    notes: tuple[str, ...]


def find_pages(path: Path, file: Any, key: str | None = None) -> PageStack | None:
    """The pages of a TIFF file as a stack, None where it holds one image.

    Reduced copies of an image (overviews) and masks are no pages.

    Args:
        path: the file.
        file: open rasterio dataset of it.
        key: pages to take, such as "2-51", counted from 1; all if None.

    Raises:
        ValueError: pages of different sizes, types or numbers of bands; pages that are not there.
    """
    numbers = sorted(
        int(match[1]) for name in file.subdatasets if (match := re.match(r"GTIFF_DIR:(\d+):", name))
    )
    if len(numbers) < 2:
        _refuse_contiguous_stack(path, file)
        return None
    chosen = numbers if key is None else _chosen_pages(path, key, numbers)
    pages = {number: _describe_page(path, number) for number in chosen}
    groups = _equal_runs(pages)
    if len(groups) > 1 or next(iter(pages.values()))[0] > 1:
        raise ValueError(_unequal_message(path, groups, pages))
    bands = [page[1] for page in pages.values()]
    _describe_by_ome(file, bands)
    shape = (len(bands), *bands[0].shape)
    note = f"{len(bands)} pages of {bands[0].shape[0]} x {bands[0].shape[1]} stacked"
    return PageStack(stack_vrt(bands), shape, _page_layout(path, file, shape), (note,))


def _chosen_pages(path: Path, key: str, numbers: list[int]) -> list[int]:
    chosen: list[int] = []
    for part in re.split(r"[,\s]+", key.strip()):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= len(numbers):
            raise ValueError(
                f"{path} holds {len(numbers)} pages; --key {key!r} names none of them, give such "
                f"as --key 1-{len(numbers)}"
            )
        chosen += range(first, last + 1)
    return chosen


def _describe_page(path: Path, number: int) -> tuple[int, SingleBand]:
    """Number of bands of a page, and what it is."""
    name = f"GTIFF_DIR:{number}:{path}"
    with open_dataset(path, name) as page:
        band = describe_single_band(name, page)
        texts = [page.tags().get(f"TIFFTAG_{tag}", "") for tag in PAGE_TEXT_TAGS]
        with_wavelength = [text for text in texts if NUMBER_WITH_UNIT.search(text[:MAX_PAGE_TEXT])]
        if with_wavelength and not band.properties["Description"]:
            band.properties["Description"] = with_wavelength[0][:MAX_PAGE_TEXT]
        return page.count, band


def _describe_by_ome(file: Any, bands: list[SingleBand]) -> None:
    """Describe pages by the channels of OME-XML, where it has one for each."""
    description = file.tags().get("TIFFTAG_IMAGEDESCRIPTION", "")
    if "<OME" not in description[:1000]:
        return
    try:
        root = ElementTree.fromstring(description)
    except ElementTree.ParseError:
        return
    channels = [each for each in root.iter() if each.tag.rpartition("}")[2] == "Channel"]
    if len(channels) != len(bands):
        return
    for band, channel in zip(bands, channels, strict=True):
        wavelength = channel.get("EmissionWavelength")
        text = channel.get("Name", "")
        if wavelength is not None:
            text = f"{wavelength} {channel.get('EmissionWavelengthUnit', 'nm')}"
        band.properties["Description"] = band.properties["Description"] or text or None


def _equal_runs(pages: dict[int, tuple[int, SingleBand]]) -> list[tuple[tuple, list[int]]]:
    """Runs of neighbouring pages that agree in number of bands, shape and type."""

    def properties(number: int) -> tuple:
        count, band = pages[number]
        return (*band.shape, count, band.dtype)

    return [(kind, list(numbers)) for kind, numbers in groupby(pages, key=properties)]


def _unequal_message(path: Path, groups: list, pages: dict) -> str:
    listed = [
        f"{_page_range(numbers)}: {height} x {width}, {count} band(s), {dtype}"
        for (height, width, count, dtype), numbers in groups[:MAX_LISTED_GROUPS]
    ]
    more = f"; and {len(groups) - len(listed)} more" if len(groups) > len(listed) else ""
    longest = max(groups, key=lambda group: len(group[1]) * (group[0][2] == 1))[1]
    if len(groups) == 1:
        longest = longest[:1]
    return (
        f"{path} holds {len(pages)} pages that do not make one cube: {'; '.join(listed)}{more}. "
        f"Choose pages with one band of one size, such as --key {_page_range(longest)}, or one "
        "page with several bands (of labels, --label_key)"
    )


def _page_range(numbers: list[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


def _page_layout(path: Path, file: Any, shape: tuple[int, int, int]) -> str | None:
    """Order of (page, row, column): pages are bands, unless the writer or the lengths object.

    tifffile writes any array with its first axis as pages, and notes the shape alone: lengths
    decide then. ImageJ, OME and other writers make pages of images.
    """
    description = file.tags().get("TIFFTAG_IMAGEDESCRIPTION", "")
    if description.startswith("ImageJ=") or "<OME" in description[:1000]:
        return "chw"
    if description.lstrip().startswith('{"'):
        axes = _tifffile_axes(description)
        if axes is not None:
            return axes
        return None
    try:
        guessed_layout = guess_layout(shape, str(path))
    except ValueError:
        return "chw"
    return None if guessed_layout == "hwc" else "chw"


def _tifffile_axes(description: str) -> str | None:
    """Layout by the names of axes in the JSON that tifffile writes, None where there are none."""
    try:
        axes = str(json.loads(description).get("axes", ""))
    except (ValueError, AttributeError):
        return None
    if len(axes) != 3 or "Y" not in axes or "X" not in axes:
        return None
    order = "".join({"Y": "h", "X": "w"}.get(name, "c") for name in axes)
    return order if order in ("hwc", "chw", "hcw") else None


def _refuse_contiguous_stack(path: Path, file: Any) -> None:
    """ImageJ writes stacks above 4 GB with one page that does not tell of the others."""
    description = file.tags().get("TIFFTAG_IMAGEDESCRIPTION", "")
    count = re.search(r"^images=(\d+)", description, re.MULTILINE)
    if description.startswith("ImageJ=") and count and int(count[1]) > max(file.count, 1):
        raise ValueError(
            f"{path} is an ImageJ stack of {count[1]} images of which only the first is listed, as "
            "ImageJ writes above 4 GB. Save it again with one page an image, in Python: "
            f"tifffile.imwrite('new.tif', tifffile.memmap('{path.name}'), bigtiff=True, "
            "metadata={'axes': 'CYX'})"
        )
