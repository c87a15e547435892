"""Cubes written to disk as Zarr v3 stores, which appear only when they are whole."""

import math
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from jaxhsi.data.georeference import Georeference
from jaxhsi.data.store import CONTEXT, DTYPES, FORMAT_VERSION, array_spec

CHUNK_SIDE, CHUNK_BYTES = 64, 4 * 2**20


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
    georeference: Georeference | None = None,
    units: str | None = None,
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
        georeference: where the pixels lie on the ground.
        units: of the values.

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
    attributes = metadata["attributes"]["jaxhsi"]
    attributes |= {"georeference": georeference and georeference.to_json(), "units": units}
    partial = destination.with_name(
        f"{destination.name}.partial-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    )
    spec = {
        **array_spec(str(partial)),
        "metadata": metadata,
        "store_data_equal_to_fill_value": True,
    }
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
