"""From a path or URL to the array that it names, and what TensorStore says where that fails."""

import os
from typing import Any

import tensorstore as ts

STORE_DRIVERS = {"zarr.json": "zarr3", ".zarray": "zarr", "attributes.json": "n5"}
"""TensorStore's driver for the file that marks a store of it."""

STORE_FORMAT_NAMES = "Zarr v3, Zarr v2 or N5"

# What TensorStore says of requests that got no whole answer, however often they were repeated.
_UNREACHABLE = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "retry attempts failed")

AXIS_NAMES = {
    "y": ("y", "row", "rows", "line", "lines", "height", "lat", "latitude", "northing"),
    "x": ("x", "column", "columns", "sample", "samples", "width", "lon", "longitude", "easting"),
    "band": ("band", "bands", "channel", "channels", "c", "wavelength", "wavelengths", "spectral"),
}
"""Names by which stores call the axes of a cube."""


def store_spec(location: str) -> dict[str, Any]:
    """TensorStore spec of the array at a local folder or URL.

    TensorStore looks for the format itself, unless a pipeline such as `s3://bucket/a/|zarr2:`
    tells it.

    Args:
        location: full local path or URL.

    Raises:
        ValueError: a URL that TensorStore does not know.
    """
    if "|" in location:
        return with_s3_endpoint(ts.Spec(location).to_json())
    if "://" not in location:
        kvstore = {"driver": "file", "path": location}
    else:
        kvstore = ts.KvStore.Spec(location).to_json()
    if path := kvstore.get("path", "").rstrip("/"):
        kvstore["path"] = f"{path}/"  # a folder, not one file
    return with_s3_endpoint({"driver": "auto", "kvstore": kvstore})


def with_s3_endpoint(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec whose S3 store is asked at $AWS_ENDPOINT_URL, as other tools for S3 do.

    Region and credentials come from the usual variables and files; a spec that names an endpoint
    itself keeps it.
    """
    kvstore = spec.get("kvstore")
    if not isinstance(kvstore, dict) or kvstore.get("driver") != "s3" or "endpoint" in kvstore:
        return spec
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return spec
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    endpoint_options = {"endpoint": endpoint.rstrip("/"), "aws_region": region}
    return spec | {"kvstore": endpoint_options | kvstore}


def bands_last(array: ts.TensorStore) -> ts.TensorStore:
    """The array with its axes in the order (y, x, band), if it names them all; else as it is.

    An array of unnamed axes is (H, W, C) as TensorStore shows it; for N5 that is the order of
    `dimensions` in attributes.json.
    """
    axis_order = [
        next((axis for axis, known in AXIS_NAMES.items() if label.lower() in known), "")
        for label in array.domain.labels
    ]
    if sorted(axis_order) != sorted(AXIS_NAMES):
        return array
    return array.transpose([axis_order.index(axis) for axis in AXIS_NAMES])


def tensorstore_reason(error: Exception) -> str:
    """TensorStore's message without its account of the source lines and the spec."""
    return str(error).split(" [tensorstore_spec")[0].split(" [source")[0]


def is_unreachable(error: Exception) -> bool:
    """Whether a server gave no whole answer, rather than a wrong one."""
    return any(sign in str(error) for sign in _UNREACHABLE)
