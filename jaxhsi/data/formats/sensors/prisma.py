"""PRISMA (ASI): VNIR and SWIR cubes of rows x bands x columns, described at the root of the file.

Guide: ASI, "PRISMA Products Specification Document" (2020). `List_Cw_Vnir` and `List_Cw_Swir` hold
centre wavelengths, 0 for bands that are not available. Level 2 values are
L2Scale*Min + stored (L2Scale*Max - L2Scale*Min) / 65535; level 1 radiances are stored /
ScaleFactor_* - Offset_*. Level 2D is on a UTM grid of 30 m, `Product_ULcorner_*` being the centre
of its first pixel; around the scene it holds 0 in all bands. The matrices *_ERR_MATRIX flag single
values: of level 1, 1 defective, 2 saturated, 3 of lower confidence, 4 NaN or infinite; of level 2
any but 0 is not to be used.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.ground_position import metres_per_unit
from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes, cubes_of_key, joined_volume
from jaxhsi.data.formats.volume import Volume
from jaxhsi.data.georeference import Georeference

CUBE_PATH = re.compile(r"HDFEOS/SWATHS/PRS_L(\w+)_HCO/Data Fields/(VNIR|SWIR)_Cube")
FULL_COUNT = 65535
PIXEL_SIZE = 30.0  # metres of level 2D
ERROR_FLAGS = {"1": (1, 2, 4)}
"""Flags of values that are missing, by level; of other levels all but 0."""

LOW_CONFIDENCE = 3  # flag of level 1, of values that are kept
NO_GRID_NOTE = "place on the ground not kept: Latitude and Longitude give it pixel by pixel"


def _cubes(container: ArrayContainer) -> dict[str, str]:
    """Path of the cube of each detector, VNIR first."""
    matches = [match for name in container.arrays if (match := CUBE_PATH.fullmatch(name))]
    paths = {match[2]: match[0] for match in matches}
    return {name: paths[name] for name in ("VNIR", "SWIR") if name in paths}


def _matches(container: ArrayContainer) -> bool:
    root = container.group_attributes.get("", {})
    return bool(_cubes(container)) and any(name.startswith("List_Cw_") for name in root)


def _detector(container: ArrayContainer, detector: str, key: str, level: str) -> Volume:
    scale, offset = _scale_and_offset(container.group_attributes[""], detector, level)
    return Volume(
        path=container.path,
        key=key,
        shape=container.arrays[key].shape,
        read_slab=_detector_reader(container, key, level),
        wavelengths=_wavelengths(container, detector, key),
        scale_factor=scale,
        offset=offset,
    )


def _wavelengths(container: ArrayContainer, detector: str, key: str) -> np.ndarray:
    name, num_bands = f"List_Cw_{detector.title()}", container.arrays[key].shape[1]
    values = np.atleast_1d(np.asarray(container.group_attributes[""].get(name, ()), np.float64))
    if values.shape != (num_bands,):
        raise ValueError(
            f"{container.path}: {name} holds {values.size} wavelengths and {detector}_Cube has "
            f"{num_bands} bands; copy the product again, or read the other detector alone: --key "
            f"{'SWIR' if detector == 'VNIR' else 'VNIR'}_Cube"
        )
    return values


def _scale_and_offset(
    root: Mapping[str, Any], detector: str, level: str
) -> tuple[float | None, float | None]:
    """From counts to values; None where the file does not state it."""
    name = detector.title()
    if level.startswith("1"):
        factor = root.get(f"ScaleFactor_{name}")
        if factor is None:
            return None, None
        return 1.0 / float(factor), -float(root.get(f"Offset_{name}", 0.0))
    low, high = (root.get(f"L2Scale{name}{end}") for end in ("Min", "Max"))
    if low is None or high is None:
        return None, None
    return (float(high) - float(low)) / FULL_COUNT, float(low)


def _check_same_pixels(container: ArrayContainer, cubes: Mapping[str, str]) -> None:
    shapes = {name: container.arrays[key].shape[::2] for name, key in cubes.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"{container.path}: the detectors have different pixels ({listed}); copy the product "
            "again, or read one of them: --key VNIR_Cube"
        )


def _error_matrix(container: ArrayContainer, key: str) -> str | None:
    """Path of the matrix that flags the values of a cube, or None."""
    detector = key.rpartition("/")[2].partition("_")[0]
    group = key.rpartition("/")[0]
    names = [f"{group}/{detector}_PIXEL_{kind}_ERR_MATRIX" for kind in ("SAT", "L2")]
    shape = container.arrays[key].shape
    return next(
        (n for n in names if n in container.arrays and container.arrays[n].shape == shape), None
    )


def _detector_reader(
    container: ArrayContainer, key: str, level: str
) -> Callable[[tuple[slice, slice, slice]], np.ndarray]:
    """Reads counts of a detector, NaN where they are flagged."""
    matrix, flags = _error_matrix(container, key), ERROR_FLAGS.get(level)

    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        values = np.asarray(container.read_array(key, index)).astype(np.float32)
        if matrix is not None:
            errors = np.asarray(container.read_array(matrix, index))
            values[errors != 0 if flags is None else np.isin(errors, flags)] = np.nan
        return values

    return read


def _without_padding(volume: Volume) -> Volume:
    """The joined cube with NaN in pixels that hold 0 in all bands of both detectors."""
    read_joined = volume.read_slab

    def read(index: tuple[slice, slice, slice]) -> np.ndarray:
        values = read_joined((index[0], index[1], slice(None)))
        values[(values == 0).all(axis=-1)] = np.nan
        return values[..., index[2]]

    return replace(volume, read_slab=read)


def _georeference(container: ArrayContainer, shape: tuple[int, ...]) -> Georeference | None:
    root = container.group_attributes[""]
    if not {"Epsg_Code", "Product_ULcorner_easting", "Product_ULcorner_northing"} <= root.keys():
        return None
    east, north = (float(root[f"Product_ULcorner_{axis}"]) for axis in ("easting", "northing"))
    width = height = PIXEL_SIZE
    if {"Product_LRcorner_easting", "Product_LRcorner_northing"} <= root.keys():
        width = (float(root["Product_LRcorner_easting"]) - east) / max(1, shape[1] - 1)
        height = (north - float(root["Product_LRcorner_northing"])) / max(1, shape[0] - 1)
    crs = f"EPSG:{int(root['Epsg_Code'])}"
    transform = (width, 0.0, east - width / 2, 0.0, -height, north + height / 2)
    return Georeference(crs, transform, metres_per_unit(crs))


def _open(container: ArrayContainer, key: str | None) -> Volume | None:
    cubes = cubes_of_key(_cubes(container), key)
    if not cubes:
        return None
    level = CUBE_PATH.fullmatch(next(iter(cubes.values())))[1]
    _check_same_pixels(container, cubes)
    parts = [_detector(container, name, key, level) for name, key in cubes.items()]
    shape = (parts[0].shape[0], parts[0].shape[2])
    is_map = level.upper() == "2D"
    georeference = _georeference(container, shape) if is_map else None
    notes = [] if georeference else [NO_GRID_NOTE]
    missing = {"VNIR", "SWIR"} - _cubes(container).keys()
    notes += [f"no {name}_Cube in the file" for name in sorted(missing)]
    is_scaled = all(part.scale_factor is not None for part in parts)
    if not is_scaled:
        notes.append("the file states no scale of its counts: values are counts; --scale scales")
    volume = joined_volume(
        container.path,
        "+".join(f"{name}_Cube" for name in cubes),
        parts,
        ["hcw"] * len(parts),
        value_units=("radiance" if level[0] == "1" else "reflectance") if is_scaled else None,
        georeference=georeference,
        notes=(f"PRISMA L{level}: {' and '.join(cubes)} by wavelength", *notes),
    )
    volume = _without_padding(volume)
    if any(_error_matrix(container, key) for key in cubes.values()):
        volume = add_notes(volume, _error_note(level))
    is_absent = volume.wavelengths == 0
    return replace(volume, bad_bands=is_absent) if is_absent.any() else volume


def _error_note(level: str) -> str:
    if level in ERROR_FLAGS:
        return (
            "values that the error matrix flags as defective, saturated or not finite are missing; "
            f"those of lower confidence (flag {LOW_CONFIDENCE}) are kept"
        )
    return "values that the error matrix flags are missing"


SENSOR = Sensor(
    name="PRISMA",
    guide="ASI, PRISMA Products Specification Document (2020)",
    matches_container=_matches,
    open_container=_open,
)
