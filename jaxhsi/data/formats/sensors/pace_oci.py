"""PACE OCI (NASA): level 1B has one cube a detector, each with its own wavelengths.

Guide: NASA OB.DAAC, "File Structure at Three Processing Levels for the Ocean Color Instrument"
(2024). Level 1B holds observation_data/rhot_blue, rhot_red and rhot_SWIR (bands, scans, pixels)
and sensor_band_parameters/blue_wavelength and so on; levels 2 and 3 are read in the general way,
by the dimension wavelength_3d.
"""

import re

import numpy as np

from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.sensors.sensor import Sensor, cubes_of_key, joined_volume
from jaxhsi.data.formats.value_marks import read_value_marks
from jaxhsi.data.formats.volume import Volume

CUBE_PATH = re.compile(r"observation_data/(rhot|Lt)_(blue|red|SWIR)")
WAVELENGTH_PATH = "sensor_band_parameters/{}_wavelength"


def _cubes(container: ArrayContainer) -> dict[str, str]:
    """Path of the cube of each detector, in the order of their wavelengths."""
    matches = [match for name in container.arrays if (match := CUBE_PATH.fullmatch(name))]
    kind = matches[0][1] if matches else ""
    by_detector = {match[2]: match[0] for match in matches if match[1] == kind}
    return {name: by_detector[name] for name in ("blue", "red", "SWIR") if name in by_detector}


def _matches(container: ArrayContainer) -> bool:
    cubes = _cubes(container)
    return bool(cubes) and all(WAVELENGTH_PATH.format(name) in container.arrays for name in cubes)


def _open(container: ArrayContainer, key: str | None) -> Volume | None:
    cubes, parts = cubes_of_key(_cubes(container), key), []
    if not cubes:
        return None
    attributes = {name: container.arrays[key].attributes for name, key in cubes.items()}
    marks = {name: read_value_marks(each) for name, each in attributes.items()}
    for name, path in cubes.items():
        wavelengths = container.read_array(WAVELENGTH_PATH.format(name), (slice(None),))
        parts.append(
            Volume(
                path=container.path,
                key=path,
                shape=container.arrays[path].shape,
                read_slab=lambda index, path=path: container.read_array(path, index),
                wavelengths=np.asarray(wavelengths, np.float64).ravel(),
                scale_factor=marks[name].scale_factor,
                offset=marks[name].offset,
            )
        )
    first = next(iter(marks.values()))
    return joined_volume(
        container.path,
        "+".join(key.rpartition("/")[2] for key in cubes.values()),
        parts,
        ["chw"] * len(parts),
        no_data=first.no_data,
        value_units="reflectance" if "rhot" in next(iter(cubes.values())) else first.units,
        notes=(
            f"PACE OCI L1B: {', '.join(cubes)} by wavelength",
            "place on the ground not kept: geolocation_data gives it pixel by pixel",
        ),
    )


SENSOR = Sensor(
    name="PACE OCI",
    guide="NASA OB.DAAC, File Structure at Three Processing Levels for OCI (2024)",
    matches_container=_matches,
    open_container=_open,
)
