"""A store as xarray, rioxarray and GDAL know it: a Zarr v3 group of values and coordinates.

``<name>.zarr`` holds the array of the values (``reflectance``), ``wavelength`` in nm, ``y`` and
``x`` of the pixel centres and ``spatial_ref`` where these are known, after the CF conventions.
Earlier stores were the array of the values itself; those are read as well.
"""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from jaxhsi.data.georeference import Georeference
from jaxhsi.data.network_wait import wait_for
from jaxhsi.storage.replacement import replace_text

GROUP_FILE = "zarr.json"
DEFAULT_ARRAY = "reflectance"
SPATIAL_REF = "spatial_ref"
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def array_name(metadata: dict[str, Any]) -> str:
    """Name of the array of the values, by its metadata.

    Args:
        metadata: of :func:`jaxhsi.data.zarr_writer.cube_metadata`.
    """
    return metadata["attributes"]["jaxhsi"]["array"]


def convention_attributes(
    dtype: np.dtype, no_data: float | None, georeference: Georeference | None, units: str | None
) -> dict[str, Any]:
    """Attributes of the values by the CF conventions.

    Args:
        dtype: of the values.
        no_data: value that marks a missing measurement.
        georeference: where the pixels lie.
        units: of the values.
    """
    attributes: dict[str, Any] = {} if units is None else {"units": units}
    if no_data is not None:
        is_float = dtype.kind == "f"  # xarray's spelling of a number that JSON may not know
        packed = base64.standard_b64encode(struct.pack("<d", no_data)).decode()
        attributes["_FillValue"] = packed if is_float else int(no_data)
    if georeference is not None:
        attributes["grid_mapping"] = attributes["coordinates"] = SPATIAL_REF
        if (wkt := well_known_text(georeference.crs)) is not None:
            attributes["_CRS"] = {"wkt": wkt}  # GDAL's own
    return attributes


def fill_value(dtype: np.dtype, no_data: float | None) -> float | int | str:
    """What GDAL takes for missing: the no-data value, or a value that data hardly have.

    Args:
        dtype: of the values.
        no_data: value that marks a missing measurement, if there is one.
    """
    if dtype.kind == "f":
        return "NaN" if no_data is None or not np.isfinite(no_data) else float(no_data)
    limits = np.iinfo(dtype)
    if no_data is not None and limits.min <= no_data <= limits.max:
        return int(no_data)
    return int(limits.min if dtype.kind == "i" else limits.max)


def well_known_text(crs: str | None) -> str | None:
    """A coordinate reference system as WKT; text as it is where rasterio is not installed.

    Args:
        crs: WKT or a code such as "EPSG:32633", or None.
    """
    if crs is None:
        return None
    try:
        from rasterio.crs import CRS
        from rasterio.errors import CRSError
    except ImportError:
        return crs
    try:
        return CRS.from_user_input(crs).to_wkt()
    except CRSError:
        return crs


def write_group(folder: Path, metadata: dict[str, Any]) -> None:
    """Write the coordinates and the group's own file, beside the array of the values.

    Args:
        folder: of the store, which holds the array already.
        metadata: of the array when it was begun.
    """
    own, shape = metadata["attributes"]["jaxhsi"], metadata["shape"]
    georeference = Georeference.from_json(own["georeference"])
    if own["wavelengths_nm"] is not None:
        attributes = {
            "units": "nm",
            "standard_name": "radiation_wavelength",
            "long_name": "centre of the band",
        }
        values = np.asarray(own["wavelengths_nm"], np.float64)
        _write_array(folder / "wavelength", values, ["wavelength"], attributes)
    if georeference is not None:
        _write_place(folder, georeference, shape[:2])
    group: dict[str, Any] = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"Conventions": "CF-1.11", "jaxhsi": {"array": own["array"]}},
    }
    arrays = sorted(path.parent for path in folder.glob(f"*/{GROUP_FILE}"))
    group["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": {path.name: json.loads((path / GROUP_FILE).read_text()) for path in arrays},
    }
    replace_text(folder / GROUP_FILE, json.dumps(group))


def _write_place(folder: Path, georeference: Georeference, plane_shape: list[int]) -> None:
    """Coordinates of the pixel centres, where axes of the map are those of the image, and the CRS.

    The last attributes are GDAL's spelling of the affine map, which rioxarray reads too.
    """
    a, b, c, d, e, f = georeference.transform
    wkt = well_known_text(georeference.crs)
    is_angle = georeference.metres_per_unit is None and wkt is not None and "GEOG" in wkt[:6]
    unit = {"units": "m"} if georeference.metres_per_unit == 1 else {}
    if b == d == 0:
        names = {
            "y": ("latitude", "degrees_north") if is_angle else ("projection_y_coordinate", None),
            "x": ("longitude", "degrees_east") if is_angle else ("projection_x_coordinate", None),
        }
        places = {"y": (f, e, plane_shape[0]), "x": (c, a, plane_shape[1])}
        for axis, (origin, size, count) in places.items():
            standard_name, degrees = names[axis]
            attributes = {"axis": axis.upper(), "standard_name": standard_name}
            attributes |= unit if degrees is None else {"units": degrees}
            values = origin + size * (np.arange(count) + 0.5)
            _write_array(folder / axis, values, [axis], attributes)
    texts = {} if wkt is None else {"crs_wkt": wkt, "spatial_ref": wkt}
    texts["GeoTransform"] = " ".join(map(repr, (c, a, b, f, d, e)))
    _write_array(folder / SPATIAL_REF, np.array(0, np.int32), [], texts)


def _write_array(
    folder: Path, values: np.ndarray, dimensions: list[str], attributes: dict[str, Any]
) -> None:
    metadata = {
        "shape": list(values.shape),
        "data_type": values.dtype.name,
        "dimension_names": dimensions,
        "codecs": [_LITTLE],
        "fill_value": fill_value(values.dtype, None),
        "attributes": attributes,
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}}
    spec |= {"metadata": metadata, "store_data_equal_to_fill_value": True}
    ts.open(spec, create=True, delete_existing=True).result().write(values).result()


# Reading ------------------------------------------------------------------------------------------


def with_array_of_group(spec: dict[str, Any], context: ts.Context, location: str) -> dict[str, Any]:
    """The spec of the cube's array where a spec names a group; any other spec as it is.

    Args:
        spec: TensorStore spec of a store.
        context: of TensorStore.
        location: path or URL of the store, for messages.

    Raises:
        ValueError: the group holds no array of three axes, or several.
    """
    kvstore = spec.get("kvstore")
    if spec.get("driver") not in ("auto", "zarr3") or not isinstance(kvstore, dict):
        return spec
    folder = kvstore | {"path": f"{kvstore.get('path', '').rstrip('/')}/"}
    store = wait_for(ts.KvStore.open(folder, context=context), location)
    stored = wait_for(store.read(GROUP_FILE), location)
    try:
        group = json.loads(stored.value) if stored.state == "value" else {}
    except ValueError:
        group = {}  # opening it says what is wrong
    if not isinstance(group, dict) or group.get("node_type") != "group":
        return spec
    name = _name_in_group(group)
    if ".." in Path(name).parts:
        raise ValueError(f"a Zarr group that names an array outside of its folder, {name!r}")
    return spec | {"kvstore": folder | {"path": f"{folder['path']}{name}/"}}


def _name_in_group(group: dict[str, Any]) -> str:
    """The array of the values: as our own stores name it, else the only one with three axes."""
    if name := group.get("attributes", {}).get("jaxhsi", {}).get("array"):
        return name
    members = group.get("consolidated_metadata") or {}
    shapes = {name: each.get("shape", ()) for name, each in members.get("metadata", {}).items()}
    cubes = sorted(name for name, shape in shapes.items() if len(shape) == 3)
    if len(cubes) == 1:
        return cubes[0]
    reason = f"it holds {', '.join(cubes)}" if cubes else "it lists no array of three axes"
    raise ValueError(
        f"a Zarr group, of which the cube is not known ({reason}); give the folder of an array"
    )
