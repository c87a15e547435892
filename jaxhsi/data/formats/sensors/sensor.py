"""What is known of the products of one sensor beyond what its files say in general ways."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.volume import Volume, read_image_part, shared_value


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """One sensor: how its products are recognised and what is known of them.

    Attributes:
        name: of the sensor or camera, for messages.
        guide: document that describes the product.
        matches_container: whether an HDF5 or NetCDF file is a product of it.
        open_container: (container, key) -> the cube of such a file; None leaves it to the general
            reader.
        refine_container: what is added to a volume that the general reader made of such a file.
        matches_file: whether a file of another format is, by its path and what was read of it.
        refine: what is added to a volume that the general reader made.
        find_cube: folder of a product -> the file of its cube, None where it is no such folder.
        closed_suffixes: of its files that only the maker's software reads.
        closed_remedy: what to do with these.
    """

    name: str
    guide: str
    matches_container: Callable[[ArrayContainer], bool] = lambda container: False
    open_container: Callable[[ArrayContainer, str | None], Volume | None] = lambda *_: None
    refine_container: Callable[[ArrayContainer, Volume], Volume] = lambda container, volume: volume
    matches_file: Callable[[Path, Volume], bool] = lambda path, volume: False
    refine: Callable[[Path, Volume], Volume] = lambda path, volume: volume
    find_cube: Callable[[Path], Path | None] = lambda folder: None
    closed_suffixes: tuple[str, ...] = ()
    closed_remedy: str = ""


def add_notes(volume: Volume, *notes: str) -> Volume:
    """A volume with further notes at the end."""
    return replace(volume, notes=(*volume.notes, *notes))


def cubes_of_key(cubes: dict[str, str], key: str | None) -> dict[str, str]:
    """The cubes of the detectors that a key asks for: all without one, none for another array.

    Args:
        cubes: path by detector.
        key: path, or its end, such as "VNIR_Cube".
    """
    if key is None:
        return cubes
    name = key.strip("/")
    return {detector: path for detector, path in cubes.items() if f"/{path}".endswith(f"/{name}")}


def joined_volume(
    path: Path, key: str, parts: list[Volume], layouts: list[str], **fields: Any
) -> Volume:
    """Detectors with the same pixels as one volume (H, W, C), bands by ascending wavelength.

    Args:
        path: of the file.
        key: name of the joined cube.
        parts: each with wavelengths, scale and offset of its bands.
        layouts: order of the axes of each.
        **fields: others of the volume.
    """
    counts = [len(part.wavelengths) for part in parts]
    wavelengths = np.concatenate([part.wavelengths for part in parts])
    order = np.argsort(wavelengths, kind="stable")
    image_shape = parts[0].shape[layouts[0].index("h")], parts[0].shape[layouts[0].index("w")]

    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        rows, columns, bands = index
        values = [
            read_image_part(part, layout, rows, columns)
            for part, layout in zip(parts, layouts, strict=True)
        ]
        return np.concatenate(values, axis=-1)[..., order[bands]]

    return Volume(
        path=path,
        key=key,
        shape=(*image_shape, int(sum(counts))),
        read_slab=read,
        wavelengths=wavelengths[order],
        layout="hwc",
        scale_factor=_band_values(parts, "scale_factor", 1.0, order),
        offset=_band_values(parts, "offset", 0.0, order),
        **fields,
    )


def _band_values(
    parts: list[Volume], name: str, neutral: float, order: np.ndarray
) -> float | np.ndarray | None:
    """Scale or offset of the joined bands: None, one number, or one a band."""
    values = np.concatenate(
        [
            np.broadcast_to(
                neutral if getattr(part, name) is None else getattr(part, name),
                len(part.wavelengths),
            )
            for part in parts
        ]
    )[order]
    return shared_value(values, neutral)
