"""Single-band files that make one cube: whether they fit onto each other, and what is left out."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxhsi.data.formats.camera_xmp import CameraBand, camera_bands
from jaxhsi.data.formats.raster_file import open_dataset
from jaxhsi.data.formats.raster_stack import SingleBand, describe_single_band

SIZE_TOLERANCE = 1e-3
"""Share of a pixel by which the places of bands may differ."""

MAX_LISTED_NAMES = 8
"""Files that a message lists."""

DescribedBand = tuple[SingleBand, CameraBand | None]
"""A file as the source of a stack, and what its camera says of it."""


def describe_file(file: Path, default_description: str = "") -> DescribedBand:
    """Describe a raster of one band.

    Args:
        file: the raster.
        default_description: of the band, where neither the file nor its camera describes it.

    Raises:
        ValueError: several bands, or unreadable.
    """
    with open_dataset(file) as dataset:
        if dataset.count != 1:
            raise ValueError(
                f"{file} has {dataset.count} bands, and a stack is made of files of one; ingest it "
                "alone, or move it to another folder"
            )
        band = describe_single_band(file.resolve(), dataset)
        camera = next(iter(camera_bands(dataset)), None)
    if camera is not None and camera.wavelength is not None:
        band.properties["Description"] = f"{camera.name} {camera.wavelength:g} nm".strip()
    elif default_description and not band.properties["Description"]:
        band.properties["Description"] = default_description
    return band, camera


def leave_out_other_images(described: dict[Path, DescribedBand]) -> list[str]:
    """Take out what a camera calls thermal, and its images of another size, such as panchromatic.

    Args:
        described: by file; what is left out is deleted from it.

    Returns:
        What was left out, for the history. Nothing is where fewer than two bands would stay.
    """
    cameras = {file: camera for file, (_, camera) in described.items() if camera is not None}
    reasons = {file: "thermal" for file, camera in cameras.items() if camera.is_thermal}
    shapes = [band.shape for file, (band, _) in described.items() if file not in reasons]
    usual_shape = max(shapes, key=shapes.count, default=None)
    for file, camera in cameras.items():
        shape = described[file][0].shape
        if file not in reasons and shape != usual_shape:
            size = " x ".join(map(str, shape))
            reasons[file] = f"{camera.name or 'an image'} of {size} pixels"
    if len(reasons) > len(described) - 2:
        return []
    for file in reasons:
        del described[file]
    return [f"left out: {file.name} ({reason})" for file, reason in reasons.items()]


def check_alike(described: dict[Path, DescribedBand], folder: Path) -> list[SingleBand]:
    """The bands of files that fit onto each other.

    Args:
        described: by file.
        folder: that they lie in, for the message.

    Raises:
        ValueError: they differ in size, type or place.
    """
    files, bands = list(described), [band for band, _ in described.values()]
    for what, values in {
        "sizes": [band.shape for band in bands],
        "types": [band.dtype for band in bands],
        "coordinate systems": [band.crs for band in bands],
    }.items():
        if len(set(values)) > 1:
            raise ValueError(_differing_message(folder, files, what, values))
    grid = np.array([band.transform for band in bands])
    pixel = max(abs(grid[0, [0, 1, 3, 4]]))
    if np.ptp(grid, axis=0).max() > SIZE_TOLERANCE * pixel:
        places = [f"upper left {band.transform[2]:g}, {band.transform[5]:g}" for band in bands]
        raise ValueError(_differing_message(folder, files, "places", places))
    return bands


def _differing_message(folder: Path, files: Sequence[Path], what: str, values: list) -> str:
    groups: dict[str, list[Path]] = {}
    for file, value in zip(files, values, strict=True):
        text = " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)[:60]
        groups.setdefault(text, []).append(file)
    described = "; ".join(f"{text}: {listed([f.name for f in g])}" for text, g in groups.items())
    largest = max(groups.values(), key=len)
    return (
        f"{folder}: the files of its bands have different {what} ({described}). Name those of "
        f"one kind: {ingest_command(largest)}"
    )


def ingest_command(files: Sequence[Path]) -> str:
    """The command that stacks files in their order.

    >>> ingest_command([Path("a/B1.tif"), Path("a/B2.tif")])
    'jaxhsi ingest a/B1.tif a/B2.tif NAME.zarr'
    """
    return f"jaxhsi ingest {shlex.join(map(str, files))} NAME.zarr"


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """The first names of many.

    >>> listed(["a", "b"])
    'a, b'
    """
    shown = separator.join(names[:MAX_LISTED_NAMES])
    return shown + (f"{separator}..." if len(names) > MAX_LISTED_NAMES else "")
