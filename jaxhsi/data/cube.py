"""Cubes on disk or over the network, opened and not read (TensorStore)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tensorstore as ts
from jaxtyping import Float

from jaxhsi.data.georeference import Georeference
from jaxhsi.data.network_wait import wait_for
from jaxhsi.data.store_checksums import check_array
from jaxhsi.data.store_group import with_array_of_group
from jaxhsi.data.store_url import (
    STORE_DRIVERS,
    STORE_FORMAT_NAMES,
    bands_last,
    is_unreachable,
    store_spec,
    tensorstore_reason,
    with_s3_endpoint,
)
from jaxhsi.plain_text import plain_name
from jaxhsi.storage.replacement import is_partial

FORMAT_VERSION = 2  # 2: the array lies in a group, see `jaxhsi.data.store_group`
MAX_BANDS = 100_000
"""Set by hand: windows of more bands, and squares of their number, do not fit into memory."""
MAX_PIXELS = 10**12
"""Set by hand: the labels alone of more pixels fill no disk that there is."""
CUBE_DTYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
# A server that goes silent in the middle of an answer is given up, and asked again, after this
# long. TensorStore reads it when the first request is made, and by default waits for ever.
os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS", "10")
os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES", "1")

# One bounded cache for every cube of the process: memory does not grow with their number or size.
# Few retries: a host that is down is an error within seconds, not minutes.
RETRY_LIMITS = {"max_retries": 4, "initial_delay": "500ms", "max_delay": "4s"}
TENSORSTORE_CONTEXT = ts.Context(
    {
        "cache_pool": {"total_bytes_limit": 32 * 2**20},
        "http_request_retries": RETRY_LIMITS,
        "s3_request_retries": RETRY_LIMITS,
        "gcs_request_retries": RETRY_LIMITS,
    }
)


@dataclass(frozen=True, eq=False)
class Cube:
    """A hyperspectral cube that stays where it is stored.

    Attributes:
        array: TensorStore of domain (H, W, C), in the stored data type.
        name: file stem, by which labels and outputs are matched.
        url: where the store lies.
        wavelengths: centre of each band in nm, or None where unknown.
        no_data: value that marks a missing measurement, or None.
        history: what was done to the data before, oldest first.
        georeference: where the pixels lie on the ground, or None.
        units: of the values, such as "reflectance", or None.
        warnings: what the ingest found odd in the values, each with the option that helps.
        statistics: of the valid pixels, kept when the store was written, or None; see
            `jaxhsi.data.statistics`.
    """

    array: ts.TensorStore
    name: str
    url: str
    wavelengths: Float[np.ndarray, " c"] | None = None
    no_data: float | None = None
    history: tuple[str, ...] = ()
    georeference: Georeference | None = None
    units: str | None = None
    statistics: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands (H, W, C)."""
        height, width, bands = self.array.shape
        return height, width, bands


def open_cube(url: str | Path | dict[str, Any]) -> Cube:
    """Open a cube without reading its values.

    Local folders, `http(s)://`, `s3://`, `gs://` and what else TensorStore knows; Zarr v3, Zarr v2
    and N5, recognised by their files or named in a pipeline (`s3://bucket/a/|zarr2:`). The axes
    are (H, W, C), or any order where the store names them (see `store_url.bands_last`). An S3
    server of one's own is found through the variables AWS_ENDPOINT_URL, AWS_REGION,
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

    Args:
        url: folder of an array, or of a group with one array of three axes; TensorStore URL or
            spec.

    Returns:
        The cube; metadata is taken from the Zarr v3 attribute `jaxhsi`, absent in foreign stores.

    Raises:
        FileNotFoundError: a local path does not exist.
        ConnectionError: a server does not answer, after some retries.
        ValueError: no array of these formats, unfinished, not 3-D, or of an unsupported type.
    """
    if isinstance(url, dict):
        location = ts.Spec(url).kvstore.url
    else:
        location = str(url) if "://" in str(url) else _checked_folder(Path(url))
    array, attributes = _open_array(url if isinstance(url, dict) else location, location)
    wavelengths, no_data_value = attributes.get("wavelengths_nm"), attributes.get("no_data")
    return Cube(
        array=array,
        name=_name(location),
        url=location,
        wavelengths=None if wavelengths is None else np.asarray(wavelengths, np.float64),
        no_data=None if no_data_value is None else float(no_data_value),
        history=tuple(attributes.get("history", ())),
        georeference=Georeference.from_json(attributes.get("georeference")),
        units=attributes.get("units"),
        statistics=attributes.get("statistics"),
        warnings=tuple(attributes.get("warnings", ())),
    )


def _name(location: str) -> str:
    """Last part of a path or URL, without .zarr or .n5."""
    path = urlsplit(location).path.split("|")[0] if "://" in location else Path(location).as_posix()
    return plain_name(cube_name_from_folder(path.rstrip("/").rsplit("/", 1)[-1]))


def cube_name_from_folder(folder_name: str) -> str:
    """Name of a cube by that of its folder."""
    return folder_name.removesuffix(".zarr").removesuffix(".n5")


def is_store(path: Path) -> bool:
    """Whether a local folder holds an array in one of the formats, or a group of arrays."""
    return any((path / mark).is_file() for mark in STORE_DRIVERS)


def lacks_metadata(path: Path) -> bool:
    """Whether a folder is named as a Zarr store and is none, not even a group of version 2."""
    is_named_store = path.suffix.lower() == ".zarr" and path.is_dir()
    return is_named_store and not is_store(path) and not (path / ".zgroup").is_file()


def refuse_damaged_store(path: Path) -> None:
    """Refuse a folder that is named as a Zarr store and has no metadata of one.

    Otherwise the arrays in it would pass for stores of other names, and a folder of stores for one
    with fewer of them.

    Raises:
        ValueError: it is such a folder.
    """
    if lacks_metadata(path):
        raise ValueError(
            f"{path} is damaged: it is named as a Zarr store, and its metadata (zarr.json, .zarray "
            "or .zgroup) are gone; copy it or write it again, or remove it"
        )


def _checked_folder(folder_path: Path) -> str:
    """Full path of a folder that looks like a finished array."""
    if not folder_path.exists():
        raise FileNotFoundError(f"no cube at {folder_path}: the path does not exist")
    if is_partial(folder_path):
        raise ValueError(
            f"{folder_path} is what an interrupted write left behind, not a whole cube; delete "
            "it and "
            "make the cube again"
        )
    if not is_store(folder_path):
        raise ValueError(
            f"{folder_path} is not a {STORE_FORMAT_NAMES} store (it holds no "
            f"{', '.join(STORE_DRIVERS)}); give the folder "
            "that does, or ingest the file first"
        )
    return str(folder_path.resolve())


def _open_array(url_or_spec: str | dict[str, Any], location: str) -> tuple[ts.TensorStore, dict]:
    """The checked TensorStore and its `jaxhsi` attributes."""
    try:
        spec = (
            store_spec(url_or_spec)
            if isinstance(url_or_spec, str)
            else ts.Spec(with_s3_endpoint(url_or_spec)).to_json()
        )
        spec = with_array_of_group(spec, TENSORSTORE_CONTEXT, location)
        if spec["driver"] == "auto":
            detected_store = _opened(spec, location)
            spec["driver"] = detected_store.spec().to_json()["driver"]
        # What was cached since opening is trusted: no look at the disk for each read.
        spec["recheck_cached_data"] = "open"
        array = _opened(spec, location)
    except ConnectionError:
        raise
    except (ValueError, TypeError, OSError) as error:
        raise _open_error(location, error) from error
    attributes = _check_array(array, location)
    kvstore = spec["kvstore"]
    if spec["driver"] == "zarr3" and isinstance(kvstore, dict) and kvstore["driver"] == "file":
        array_folder = Path(kvstore["path"])
        check_array(array_folder, array_folder if "://" in location else Path(location))
    if attributes:  # ours are written whole: a chunk that is not there is damage, not zeros
        spec["fill_missing_data_reads"] = False
        array = _opened(spec, location)
    return bands_last(array), attributes


def _opened(spec: dict[str, Any], location: str) -> ts.TensorStore:
    return wait_for(ts.open(spec, read=True, context=TENSORSTORE_CONTEXT), location)


def _open_error(location: str, error: Exception) -> Exception:
    reason = tensorstore_reason(error)
    if is_unreachable(error):
        return ConnectionError(
            f"{location} does not answer, however often it is asked; check the address and the "
            f"connection ({reason})"
        )
    if "Failed to detect format" in reason:
        reason = f"there is no {', '.join(STORE_DRIVERS)}"
    return ValueError(f"{location} does not open as a {STORE_FORMAT_NAMES} array: {reason}")


def zarr_array_spec(folder: str) -> dict[str, Any]:
    """Spec of a Zarr v3 array at a local path, for what writes one."""
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": folder}}


def check_cube_size(location: str, shape: Sequence[int]) -> None:
    """Refuse a cube whose pixels or bands are too many to be real.

    Args:
        location: of the cube, for the message.
        shape: (H, W, C) that it claims.

    Raises:
        ValueError: more than `MAX_PIXELS` pixels or `MAX_BANDS` bands.
    """
    height, width, num_bands = shape
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{location} claims {height:,} x {width:,} pixels; up to {MAX_PIXELS:,} can be worked "
            "with. Check the order of its axes, or cut the cube"
        )
    if num_bands > MAX_BANDS:
        raise ValueError(
            f"{location} claims {num_bands:,} bands; up to {MAX_BANDS:,} can be worked with. Check "
            "the order of its axes, or bin the bands"
        )


def _check_array(array: ts.TensorStore, location: str) -> dict[str, Any]:
    stored_spec = array.spec().to_json()
    if stored_spec["driver"] not in STORE_DRIVERS.values():
        raise ValueError(f"{location} is a {stored_spec['driver']} store; convert it to Zarr v3")
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"{location} holds an array of shape {array.shape}; a cube is (H, W, C), three "
            "non-empty "
            "axes with the bands last"
        )
    check_cube_size(location, bands_last(array).shape)  # axes with names may have another order
    if array.dtype.name not in CUBE_DTYPES:
        raise ValueError(f"{location} holds {array.dtype.name}; a cube holds one of {CUBE_DTYPES}")
    attributes = stored_spec["metadata"].get("attributes", {}).get("jaxhsi", {})
    if attributes.get("version", FORMAT_VERSION) > FORMAT_VERSION:
        raise ValueError(f"{location} was written by a later jaxhsi; update jaxhsi to read it")
    return attributes
