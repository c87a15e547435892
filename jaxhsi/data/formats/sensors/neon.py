"""NEON AOP (Battelle): HDF5 with one group a site, reflectance times 10,000.

Guide: NEON, "Imaging Spectrometer: Reflectance Data Product User Guide" (DP3.30006). The cube has
Data_Ignore_Value, and Scale_Factor, by which stored values are divided; Map_Info and EPSG Code
tell the place. The two Band_Window attributes bound the water-vapour bands, which users leave out.
"""

from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume

CUBE_NAMES = ("Reflectance/Reflectance_Data", "Radiance/Radiance_Data")


def _matches(container: ArrayContainer) -> bool:
    return any(name.endswith(CUBE_NAMES) for name in container.arrays)


def _refine(container: ArrayContainer, volume: Volume) -> Volume:
    attributes = container.arrays[volume.key].attributes
    if volume.scale_factor is None:
        note = "no Scale_Factor in the file, values are as stored: --scale 0.0001 by the guide"
        volume = add_notes(volume, note)
    windows = [attributes.get(f"Band_Window_{i}_Nanometers") for i in (1, 2)]
    ends = [window for window in windows if window is not None and len(window) == 2]
    ranges = [f"{float(low):g}-{float(high):g}nm" for low, high in ends]
    if not ranges:
        return volume
    bands = ", ".join(ranges)
    return add_notes(volume, f"water-vapour bands are kept; --bad_bands '{bands}' drops them")


SENSOR = Sensor(
    name="NEON AOP",
    guide="NEON, Imaging Spectrometer: Reflectance Data Product User Guide (DP3.30006)",
    matches_container=_matches,
    refine_container=_refine,
)
