"""Cubes on disk or over the network, opened and not read (TensorStore)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tensorstore as ts
from jaxtyping import Float

from jaxhsi.data.georeference import Georeference

FORMAT_VERSION = 1
DTYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
# One bounded cache for every cube of the process: memory does not grow with their number or size.
# Few retries: a host that is down is an error within seconds, not minutes.
RETRIES = {"max_retries": 4, "initial_delay": "500ms", "max_delay": "4s"}
CONTEXT = ts.Context(
    {
        "cache_pool": {"total_bytes_limit": 256 * 2**20},
        "http_request_retries": RETRIES,
        "s3_request_retries": RETRIES,
        "gcs_request_retries": RETRIES,
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

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands (H, W, C)."""
        height, width, bands = self.array.shape
        return height, width, bands


def open_cube(url: str | Path | dict[str, Any]) -> Cube:
    """Open a cube without reading its values.

    Args:
        url: folder of a Zarr v3 array, TensorStore URL (file, http, s3, gs, ...) or spec.

    Returns:
        The cube; metadata is taken from the Zarr attribute `jaxhsi`, absent in foreign stores.

    Raises:
        FileNotFoundError: a local path does not exist.
        ValueError: not a Zarr v3 array, unfinished, not 3-D, or of an unsupported type.
    """
    if isinstance(url, dict):
        spec, where = url, ts.Spec(url).kvstore.url
    else:
        where = str(url) if "://" in str(url) else _checked_folder(Path(url))
        spec = array_spec(where)
    array, attributes = _open_array(spec, where)
    wavelengths, no_data = attributes.get("wavelengths_nm"), attributes.get("no_data")
    return Cube(
        array=array,
        name=_name(where),
        url=where,
        wavelengths=None if wavelengths is None else np.asarray(wavelengths, np.float64),
        no_data=None if no_data is None else float(no_data),
        history=tuple(attributes.get("history", ())),
        georeference=Georeference.from_json(attributes.get("georeference")),
        units=attributes.get("units"),
        statistics=attributes.get("statistics"),
    )


def _name(where: str) -> str:
    """Last part of a path or URL, without .zarr."""
    path = urlsplit(where).path.split("|")[0] if "://" in where else Path(where).as_posix()
    return path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr")


def _checked_folder(path: Path) -> str:
    """Full path of a folder that looks like a finished Zarr v3 array."""
    if not path.exists():
        raise FileNotFoundError(f"no cube at {path}: the path does not exist")
    if ".partial-" in path.name:
        raise ValueError(
            f"{path} is what an interrupted write left behind, not a whole cube; delete it and "
            "make the cube again"
        )
    if not (path / "zarr.json").is_file():
        raise ValueError(
            f"{path} is not a Zarr v3 store (it holds no zarr.json); give the folder that does, "
            "or ingest the file first"
        )
    return str(path.resolve())


def _open_array(spec: str | dict[str, Any], where: str) -> tuple[ts.TensorStore, dict]:
    """The checked TensorStore and its `jaxhsi` attributes."""
    try:
        # What was cached since opening is trusted: no look at the disk for each read.
        spec = {**ts.Spec(spec).to_json(), "recheck_cached_data": "open"}
        array = ts.open(spec, read=True, context=CONTEXT).result()
    except (ValueError, TypeError, OSError) as error:
        reason = str(error).split(" [tensorstore_spec")[0]
        raise ValueError(f"{where} does not open as a Zarr v3 array: {reason}") from error
    attributes = _check_array(array, where)
    if attributes:  # ours are written whole: a chunk that is not there is damage, not zeros
        array = ts.open(
            {**spec, "fill_missing_data_reads": False}, read=True, context=CONTEXT
        ).result()
    return array, attributes


def array_spec(where: str) -> str | dict[str, Any]:
    """Spec of the Zarr v3 array at a local path or at a URL; a URL pipeline says it all itself."""
    if "|" in where:
        return where
    kvstore = where if "://" in where else {"driver": "file", "path": where}
    return {"driver": "zarr3", "kvstore": kvstore}


def _check_array(array: ts.TensorStore, where: str) -> dict[str, Any]:
    stored = array.spec().to_json()
    if stored["driver"] != "zarr3":
        raise ValueError(f"{where} is a {stored['driver']} store; convert it to Zarr v3")
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(
            f"{where} holds an array of shape {array.shape}; a cube is (H, W, C), three non-empty "
            "axes with the bands last"
        )
    if array.dtype.name not in DTYPES:
        raise ValueError(f"{where} holds {array.dtype.name}; a cube holds one of {DTYPES}")
    attributes = stored["metadata"].get("attributes", {}).get("jaxhsi", {})
    if attributes.get("version", FORMAT_VERSION) > FORMAT_VERSION:
        raise ValueError(f"{where} was written by a later jaxhsi; update jaxhsi to read it")
    return attributes
