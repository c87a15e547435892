"""EMIT (NASA/JPL): NetCDF 4 in sensor geometry, with a geolocation lookup table (GLT).

Guide: NASA LP DAAC, "EMIT L2A Algorithm: Surface Reflectance and Scene Content Masks" and "EMIT
L2A User Guide" (2023). The table glt_x, glt_y of the group location holds, for each pixel of the
map grid that the root's geotransform and spatial_ref describe, the column and row of the cube from
1, or 0 where there is none. Bands with good_wavelengths 0 lie in water-vapour absorption.
"""

from dataclasses import replace

import numpy as np

from jaxhsi.data.formats.band_wavelengths import as_number_list
from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.ground_position import metres_per_unit
from jaxhsi.data.formats.sensors.lookup_table import orthorectified_reader
from jaxhsi.data.formats.sensors.sensor import Sensor, add_notes
from jaxhsi.data.formats.volume import Volume
from jaxhsi.data.georeference import Georeference

TABLE_PATHS = ("location/glt_x", "location/glt_y")


def _matches(container: ArrayContainer) -> bool:
    return all(name in container.arrays for name in TABLE_PATHS)


def _refine(container: ArrayContainer, volume: Volume) -> Volume:
    root = container.group_attributes.get("", {})
    geotransform = as_number_list(root.get("geotransform"))
    if geotransform is None or geotransform.size != 6:
        return volume
    c, a, b, f, d, e = (float(value) for value in geotransform)
    crs = str(root.get("spatial_ref", "EPSG:4326"))
    georeference = Georeference(crs, (a, b, c, d, e, f), metres_per_unit(crs))

    def orthorectify(volume: Volume, layout: str) -> Volume:
        glt_x, glt_y = (container.read_array(n, (slice(None), slice(None))) for n in TABLE_PATHS)
        columns, rows = (np.asarray(table, np.int64) - 1 for table in (glt_x, glt_y))
        return replace(
            volume,
            shape=(*rows.shape, volume.shape[layout.index("c")]),
            read_slab=orthorectified_reader(volume, layout, rows, columns),
            layout="hwc",
            orthorectify=None,
            georeference=georeference,
            notes=(
                *(note for note in volume.notes if "place on the ground" not in note),
                f"orthorectified by the geolocation table, nearest pixels, {rows.shape} of a map",
            ),
        )

    note = "in sensor geometry; --orthorectify brings the pixels to the map by the file's table"
    return add_notes(replace(volume, orthorectify=orthorectify), note)


SENSOR = Sensor(
    name="EMIT",
    guide="NASA LP DAAC, EMIT L2A User Guide (2023)",
    matches_container=_matches,
    refine_container=_refine,
)
