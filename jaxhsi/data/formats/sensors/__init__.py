"""Sensors by name: one module a sensor, one table of all of them.

A product that none of them recognises is read in the general way, by the format of its file. To add
a sensor, write a module with a `SENSOR` and name it in `SENSORS`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.named_arrays import select_cube
from jaxhsi.data.formats.sensors import (
    aviris,
    cubert,
    desis,
    emit,
    enmap,
    hyperion,
    hyspex,
    micasense,
    neon,
    pace_oci,
    prisma,
    resonon,
    specim_iq,
    tanager,
)
from jaxhsi.data.formats.sensors.sensor import Sensor
from jaxhsi.data.formats.volume import Volume

SENSORS: tuple[Sensor, ...] = (
    prisma.SENSOR,
    emit.SENSOR,
    neon.SENSOR,
    tanager.SENSOR,
    pace_oci.SENSOR,
    enmap.SENSOR,
    desis.SENSOR,
    aviris.SENSOR,
    hyperion.SENSOR,
    hyspex.SENSOR,
    specim_iq.SENSOR,
    micasense.SENSOR,
    resonon.SENSOR,
    cubert.SENSOR,
)
"""In the order in which they are asked."""


def select_sensor_cube(container: ArrayContainer, key: str | None) -> Volume:
    """The cube of an HDF5 or NetCDF file, with what is known of its sensor.

    Args:
        container: the file.
        key: array to take; see `cube_choice.choose_cube`.

    Raises:
        ValueError: as `named_arrays.select_cube`.
    """
    sensor = next((each for each in SENSORS if each.matches_container(container)), None)
    if sensor is None:
        return select_cube(container, key)
    volume = sensor.open_container(container, key)
    if volume is None:
        volume = sensor.refine_container(container, select_cube(container, key))
    return replace(volume, sensor=sensor.name)


def product_cube(folder: Path) -> Path | None:
    """The file of the cube in the folder of a product, or None where it is no such folder.

    >>> product_cube(Path("no_folder")) is None
    True
    """
    if not folder.is_dir():
        return None
    cube_paths = (sensor.find_cube(folder) for sensor in SENSORS)
    return next((path for path in cube_paths if path is not None), None)


def closed_format_remedy(path: Path) -> str | None:
    """What to do with a file that only the software of its camera reads, or None.

    >>> closed_format_remedy(Path("a.npy")) is None
    True
    """
    suffix = path.suffix.lower()
    return next((each.closed_remedy for each in SENSORS if suffix in each.closed_suffixes), None)


OpenVolume = Callable[..., AbstractContextManager[Volume]]


def with_sensors(open_volume: OpenVolume) -> OpenVolume:
    """A reader that adds what is known of the sensor whose product a file is.

    Args:
        open_volume: (path, *, key, size) -> context of a `Volume`.
    """

    @contextmanager
    def opened(
        path: Path, *, key: str | None = None, size: tuple[int, int] | None = None
    ) -> Iterator[Volume]:
        with open_volume(path, key=key, size=size) as volume:
            for sensor in SENSORS:
                if not volume.sensor and sensor.matches_file(volume.path, volume):
                    volume = replace(sensor.refine(volume.path, volume), sensor=sensor.name)
            yield volume

    return opened
