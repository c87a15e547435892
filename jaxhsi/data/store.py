"""Cubes on disk or over the network: open, write, and read windows (Zarr v3 by TensorStore)."""

import math
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import tensorstore as ts
from jaxtyping import Bool, Float, Float32, Int

FORMAT_VERSION = 1
DTYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
CHUNK_SIDE, CHUNK_BYTES = 64, 4 * 2**20
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
    """

    array: ts.TensorStore
    name: str
    url: str
    wavelengths: Float[np.ndarray, " c"] | None = None
    no_data: float | None = None
    history: tuple[str, ...] = ()

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
        spec = _spec(where)
    array, attributes = _open_array(spec, where)
    wavelengths, no_data = attributes.get("wavelengths_nm"), attributes.get("no_data")
    return Cube(
        array=array,
        name=_name(where),
        url=where,
        wavelengths=None if wavelengths is None else np.asarray(wavelengths, np.float64),
        no_data=None if no_data is None else float(no_data),
        history=tuple(attributes.get("history", ())),
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


def _spec(where: str) -> str | dict[str, Any]:
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


@contextmanager
def create_cube(
    path: str | Path,
    shape: Sequence[int],
    dtype: Any,
    *,
    wavelengths: Sequence[float] | np.ndarray | None = None,
    no_data: float | int | None = None,
    history: Sequence[str] = (),
    chunks: tuple[int, int, int] | None = None,
) -> Iterator[ts.TensorStore]:
    """Write a cube that appears at `path` only when it is whole.

    The body of the `with` writes every value (`array[y0:y1].write(values).result()`). It writes
    into a sibling folder `<name>.partial-...`, renamed at the end in one step, and removed on an
    error. A killed process leaves that folder behind; `open_cube` refuses it.

    Args:
        path: folder to make, by custom `<stem>.zarr`; must not exist.
        shape: (H, W, C).
        dtype: of the stored values: an integer type, float16, float32 or float64.
        wavelengths: centre of each band in nm, (C,).
        no_data: value that marks a missing measurement; NaN and infinities need no mark.
        history: what was done to the data, oldest first.
        chunks: stored block (h, w, c); by default up to 64 x 64 with all bands, within 4 MiB.

    Yields:
        TensorStore of domain (H, W, C) to be filled.

    Raises:
        FileExistsError: something is at `path`.
        ValueError: a shape, type or wavelength vector that is no cube's.
    """
    destination = Path(path)
    if destination.exists():
        raise FileExistsError(f"{destination} exists; delete it or choose another path")
    metadata = _metadata(shape, np.dtype(dtype), wavelengths, no_data, history, chunks)
    partial = destination.with_name(
        f"{destination.name}.partial-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    )
    spec = {**_spec(str(partial)), "metadata": metadata, "store_data_equal_to_fill_value": True}
    try:
        array = ts.open(spec, create=True, context=CONTEXT).result()
        yield array
        _check_whole(partial, array)
        partial.rename(destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _check_whole(folder: Path, array: ts.TensorStore) -> None:
    """Every block must be on disk, so that a part that was never written is not read as zeros."""
    sizes = zip(array.shape, array.chunk_layout.write_chunk.shape, strict=True)
    expected = math.prod(-(-size // chunk) for size, chunk in sizes)
    files = (name for _, _, names in os.walk(folder / "c") for name in names)
    found = sum(not name.endswith(".__lock") for name in files)
    if found != expected:
        raise ValueError(
            f"{found} of {expected} blocks were written to {folder.name}; write the whole cube, "
            "and wait for each write by .result()"
        )


def _metadata(shape, dtype, wavelengths, no_data, history, chunks) -> dict[str, Any]:
    """Zarr v3 metadata of a new cube."""
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"a cube has shape (H, W, C), each at least 1; got {tuple(shape)}")
    if dtype.name not in DTYPES:
        raise ValueError(f"a cube holds one of {DTYPES}; got {dtype.name}")
    attributes = {
        "version": FORMAT_VERSION,
        "wavelengths_nm": _checked_wavelengths(wavelengths, shape[2]),
        "no_data": float(no_data) if no_data is not None and np.isfinite(no_data) else None,
        "history": list(history),
    }
    blosc = {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": dtype.itemsize}
    return {
        "shape": [int(size) for size in shape],
        "data_type": dtype.name,
        "dimension_names": ["y", "x", "band"],
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": chunks or _chunks(shape, dtype.itemsize)},
        },
        "codecs": [{"name": "bytes"}, {"name": "blosc", "configuration": blosc}],
        "fill_value": 0,
        "attributes": {"jaxhsi": attributes},
    }


def _checked_wavelengths(wavelengths, bands: int) -> list[float] | None:
    if wavelengths is None:
        return None
    values = np.asarray(wavelengths, np.float64)
    if values.shape != (bands,) or not np.isfinite(values).all():
        raise ValueError(
            f"wavelengths must be {bands} finite numbers in nm, one for each band; got shape "
            f"{values.shape}"
        )
    return values.tolist()


def _chunks(shape: Sequence[int], itemsize: int) -> list[int]:
    """Square blocks with all bands: a window reads whole spectra, and few needless pixels."""
    side = CHUNK_SIDE
    while side > 1 and side * side * shape[2] * itemsize > CHUNK_BYTES:
        side //= 2
    return [min(side, shape[0]), min(side, shape[1]), shape[2]]


def mirror(index: Int[np.ndarray, " n"], size: int) -> Int[np.ndarray, " n"]:
    """Fold any integer positions into 0..size-1 by mirrors just outside of the edge pixels.

    The edge is repeated: ... 1 0 | 0 1 2 3 | 3 2 1 0 | 0 1 ... for size 4, as `numpy.pad` with
    mode "symmetric", at any distance. Windows about uniformly drawn pixels so show every pixel
    equally often, those at the border too.
    """
    folded = index % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def read_window(
    cube: Cube, y0: int, x0: int, height: int, width: int
) -> tuple[Float32[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]:
    """Read the window [y0, y0 + height) x [x0, x0 + width) in one read of its bounding box.

    Positions outside of the cube are filled by mirroring (see `mirror`): they hold real spectra
    and are valid.

    Args:
        cube: where to read.
        y0: first row, may be negative or beyond the cube.
        x0: first column, likewise.
        height: rows of the window, at least 1.
        width: columns of the window, at least 1.

    Returns:
        values: spectra in the cube's units, with 0 in place of what is missing.
        valid: False where any band is NaN, infinite in float32, or `cube.no_data`.

    Raises:
        ValueError: an empty window, or a store with missing or damaged blocks.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a window needs at least 1 x 1 pixel; got {height} x {width}")
    rows = mirror(np.arange(y0, y0 + height), cube.shape[0])
    columns = mirror(np.arange(x0, x0 + width), cube.shape[1])
    top, left = int(rows.min()), int(columns.min())
    box = cube.array[top : int(rows.max()) + 1, left : int(columns.max()) + 1]
    try:
        raw = box.read().result()
    except (ValueError, OSError) as error:
        reason = str(error).split(" [")[0]
        raise ValueError(
            f"{cube.url}: rows {top}.. columns {left}.. cannot be read, part of the store is "
            f"missing or damaged; make or copy the cube again ({reason})"
        ) from error
    if raw.shape[:2] != (height, width) or y0 != top or x0 != left:
        raw = raw[np.ix_(rows - top, columns - left)]
    return masked(raw, cube.no_data)


def masked(
    raw: np.ndarray, no_data: float | None
) -> tuple[Float32[np.ndarray, "h w c"], Bool[np.ndarray, "h w"]]:
    """Stored values as float32 with missing ones at 0, and the pixels that miss none."""
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, thus missing
        values = np.ascontiguousarray(raw, np.float32)
        missing = ~np.isfinite(values)
        if no_data is not None:  # in the stored type: float32 merges neighbouring large integers
            missing |= raw == no_data
    values[missing] = 0.0
    return values, ~missing.any(axis=-1)
