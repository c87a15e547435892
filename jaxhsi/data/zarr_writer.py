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

from jaxhsi.data.cube import CUBE_DTYPES, FORMAT_VERSION, TENSORSTORE_CONTEXT, zarr_array_spec
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.partial_store import clear_stale_stores, locked_store, publish_store
from jaxhsi.data.store_checksums import seal_array
from jaxhsi.data.store_group import (
    DEFAULT_ARRAY,
    array_name,
    convention_attributes,
    fill_value,
    write_group,
)
from jaxhsi.storage.replacement import partial_path

MAX_CHUNK_SIDE, MAX_CHUNK_BYTES = 64, 3 * 2**19
MAX_SHARD_BYTES = 64 * 2**20


@contextmanager
def create_cube(
    path: str | Path,
    shape: Sequence[int],
    dtype: Any,
    *,
    wavelengths: Sequence[float] | np.ndarray | None = None,
    no_data: float | int | None = None,
    history: Sequence[str] = (),
    chunk_shape: tuple[int, int, int] | None = None,
    georeference: Georeference | None = None,
    units: str | None = None,
    array: str = DEFAULT_ARRAY,
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
        chunk_shape: stored block (h, w, c); by default up to 64 x 64 with all bands, within 1.5
            MiB.
        georeference: where the pixels lie on the ground.
        units: of the values.
        array: name of the array of the values in the store, which xarray shows.

    Yields:
        TensorStore of domain (H, W, C) to be filled.

    Raises:
        FileExistsError: something is at `path`.
        ValueError: a shape, type or wavelength vector that is no cube's.
    """
    destination_path = Path(path)
    refuse_existing(destination_path)
    metadata = cube_metadata(
        shape,
        dtype,
        wavelengths=wavelengths,
        no_data=no_data,
        history=history,
        georeference=georeference,
        units=units,
        chunk_shape=chunk_shape,
        array=array,
    )
    partial_folder = partial_path(destination_path, f"{os.getpid()}-{uuid.uuid4().hex[:6]}")
    with locked_store(partial_folder):
        clear_stale_stores(destination_path, partial_folder)
        try:
            store = open_partial_array(partial_folder, metadata)
            yield store
            finish_store(partial_folder, store, metadata)
            refuse_existing(destination_path)
            publish_store(partial_folder, destination_path)
        except BaseException:
            shutil.rmtree(partial_folder, ignore_errors=True)
            raise


@contextmanager
def continue_cube(
    path: Path, shape: Sequence[int], dtype: Any, **options: Any
) -> Iterator[tuple[ts.TensorStore, bool]]:
    """Write a cube like `create_cube`, or go on with what an interrupted process left of it.

    The sibling folder has one name, `<name>.partial-resumable`, and stays on an error. A whole
    cube at `path` is gone on with too: what belongs to it may be missing. The caller makes sure
    that the parts there are of the same data and options.

    Args:
        path: folder to make.
        shape: (H, W, C).
        dtype: of the stored values.
        options: of `cube_metadata`.

    Yields:
        TensorStore of domain (H, W, C), and whether it was begun anew.
    """
    metadata = cube_metadata(shape, dtype, **options)
    partial_folder = partial_path(path, "resumable")
    if path.exists():
        shutil.rmtree(partial_folder, ignore_errors=True)
        path.rename(partial_folder)
    array_folder = partial_folder / array_name(metadata)
    is_new = not (array_folder / "zarr.json").is_file()
    try:
        store = open_partial_array(partial_folder, metadata)
    except ValueError:  # damaged, or of another version
        shutil.rmtree(partial_folder)
        store, is_new = open_partial_array(partial_folder, metadata), True
    yield store, is_new
    finish_store(partial_folder, store, metadata)
    publish_store(partial_folder, path)


def finish_store(folder: Path, array: ts.TensorStore, metadata: dict[str, Any]) -> None:
    """Check that a store is whole, and write its checksums and its group.

    Args:
        folder: of the store.
        array: of its values.
        metadata: of the array, see `cube_metadata`.

    Raises:
        ValueError: values are missing.
    """
    array_folder = folder / array_name(metadata)
    check_all_chunks_written(array_folder, array)
    write_group(folder, seal_array(array_folder, metadata["attributes"]))


def refuse_existing(destination: Path) -> None:
    """Nothing is ever written over.

    Raises:
        FileExistsError: something is at `destination`.
    """
    if destination.exists():
        raise FileExistsError(f"{destination} exists; delete it or choose another path")


def open_partial_array(
    folder: Path, metadata: dict[str, Any], context: ts.Context = TENSORSTORE_CONTEXT
) -> ts.TensorStore:
    """The array in the folder of a store, made with the metadata where it is not there yet.

    The attributes of one that is there may be others: those that a whole store has.
    """
    array_folder = folder / array_name(metadata)
    if (array_folder / "zarr.json").is_file():
        metadata = {key: value for key, value in metadata.items() if key != "attributes"}
    spec = zarr_array_spec(str(array_folder)) | {
        "metadata": metadata,
        "store_data_equal_to_fill_value": True,
    }
    return ts.open(spec, open=True, create=True, context=context).result()


def check_all_chunks_written(folder: Path, array: ts.TensorStore) -> None:
    """Every file of values must be on disk: a part that was never written is not read as zeros.

    Raises:
        ValueError: some are missing.
    """
    axis_sizes = zip(array.shape, array.chunk_layout.write_chunk.shape, strict=True)
    num_expected = math.prod(-(-size // chunk) for size, chunk in axis_sizes)
    file_names = (name for _, _, names in os.walk(folder / "c") for name in names)
    num_written = sum(not name.endswith(".__lock") for name in file_names)
    if num_written != num_expected:
        raise ValueError(
            f"{num_written} of {num_expected} blocks were written to {folder.parent.name}; write "
            "the whole cube, and wait for each write by .result()"
        )


def cube_metadata(
    shape: Sequence[int],
    dtype: Any,
    *,
    wavelengths: Sequence[float] | np.ndarray | None = None,
    no_data: float | int | None = None,
    history: Sequence[str] = (),
    georeference: Georeference | None = None,
    units: str | None = None,
    chunk_shape: tuple[int, int, int] | None = None,
    shard_shape: tuple[int, int, int] | None = None,
    array: str = DEFAULT_ARRAY,
) -> dict[str, Any]:
    """Zarr v3 metadata of a new cube; arguments as `create_cube`.

    `default_shard_shape` is the part (h, w, C) that one file holds, of whole blocks: these are
    read singly, but the file is written in one piece. By default each block is a file.

    Raises:
        ValueError: a shape, type or wavelength vector that is no cube's.
    """
    dtype = np.dtype(dtype)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"a cube has shape (H, W, C), each at least 1; got {tuple(shape)}")
    if dtype.name not in CUBE_DTYPES:
        raise ValueError(f"a cube holds one of {CUBE_DTYPES}; got {dtype.name}")
    chunk = list(chunk_shape or default_chunk_shape(shape, dtype.itemsize))
    band_wavelengths = _checked_wavelengths(wavelengths, shape[2])
    no_data = float(no_data) if no_data is not None and np.isfinite(no_data) else None
    return {
        "shape": [int(size) for size in shape],
        "data_type": dtype.name,
        "dimension_names": ["y", "x", "band" if band_wavelengths is None else "wavelength"],
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(shard_shape or chunk)},
        },
        "codecs": _codecs(dtype.itemsize, chunk if shard_shape else None),
        "fill_value": fill_value(dtype, no_data),
        "attributes": {
            **convention_attributes(dtype, no_data, georeference, units),
            "jaxhsi": {
                "version": FORMAT_VERSION,
                "array": array,
                "wavelengths_nm": band_wavelengths,
                "no_data": no_data,
                "history": list(history),
                "georeference": georeference and georeference.to_json(),
                "units": units,
            },
        },
    }


def _codecs(itemsize: int, inner_chunk: list[int] | None) -> list[dict[str, Any]]:
    """How a block becomes bytes; with `inner_chunk`, how a shard of such blocks does.

    LZ4 of shuffled bytes: of noisy 16-bit spectra it is 2.5 times as fast as Zstandard, and 7 %
    larger. Blosc has no checksum, and a flipped bit would be read as data: hence the CRC.
    """
    blosc_options = {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "typesize": itemsize}
    checksum = {"name": "crc32c"}
    chunk_codecs = [{"name": "bytes"}, {"name": "blosc", "configuration": blosc_options}, checksum]
    if inner_chunk is None:
        return chunk_codecs
    sharding = {
        "chunk_shape": inner_chunk,
        "codecs": chunk_codecs,
        "index_codecs": [_LITTLE, checksum],
    }
    return [{"name": "sharding_indexed", "configuration": sharding}]


_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def _checked_wavelengths(wavelengths, num_bands: int) -> list[float] | None:
    if wavelengths is None:
        return None
    values = np.asarray(wavelengths, np.float64)
    if values.shape != (num_bands,) or not np.isfinite(values).all():
        raise ValueError(
            f"wavelengths must be {num_bands} finite numbers in nm, one for each band; got shape "
            f"{values.shape}"
        )
    return values.tolist()


def default_chunk_shape(shape: Sequence[int], itemsize: int) -> tuple[int, int, int]:
    """Square blocks with all bands: a window reads whole spectra, and few needless pixels.

    >>> default_chunk_shape((512, 512, 224), itemsize=2)
    (32, 32, 224)
    """
    chunk_side = MAX_CHUNK_SIDE
    while chunk_side > 1 and chunk_side * chunk_side * shape[2] * itemsize > MAX_CHUNK_BYTES:
        chunk_side //= 2
    return min(chunk_side, shape[0]), min(chunk_side, shape[1]), shape[2]


def default_shard_shape(
    shape: Sequence[int],
    chunk_shape: tuple[int, int, int],
    bytes_per_pixel: int,
    source_block: tuple[int, int] | None = None,
) -> tuple[int, int, int]:
    """Whole blocks within 64 MiB: first as wide as the image, as files are read by lines.

    Files in tiles that are higher than such a part are read tile by tile: parts are no wider then.

    Args:
        shape: (H, W, C) of the cube.
        chunk_shape: (h, w, C) within the shard.
        bytes_per_pixel: of a pixel in the store or in the file, the larger of the two.
        source_block: (h, w) that the file is decoded in, or None where it is read by lines.
    """
    max_chunks = max(1, MAX_SHARD_BYTES // (chunk_shape[0] * chunk_shape[1] * bytes_per_pixel))
    chunk_columns = -(-shape[1] // chunk_shape[1])
    max_chunks, chunk_columns = within_source_block(
        max_chunks, chunk_columns, chunk_shape[:2], source_block
    )
    shard_columns = -(-chunk_columns // -(-chunk_columns // max_chunks))  # parts of even width
    shard_rows = min(max(1, max_chunks // shard_columns), -(-shape[0] // chunk_shape[0]))
    return shard_rows * chunk_shape[0], shard_columns * chunk_shape[1], shape[2]


def within_source_block(
    max_chunks: int,
    chunk_columns: int,
    chunk_shape: tuple[int, int],
    source_block: tuple[int, int] | None,
) -> tuple[int, int]:
    """Chunks of a part of a cube, and of a row of it, where the source is decoded in blocks.

    Args:
        max_chunks: of a part, by its bytes.
        chunk_columns: of a row of it, at most.
        chunk_shape: (h, w).
        source_block: (h, w) that the source is decoded in, or None where it is read by lines.

    Returns:
        The same, unless a block is higher than such a part: half of the chunks, as the reader holds
        the decoded block besides, and rows no wider than the block.

    >>> within_source_block(32, 64, (16, 16), (256, 256))
    (16, 16)
    """
    if source_block is None or source_block[0] * chunk_columns <= max_chunks * chunk_shape[0]:
        return max_chunks, chunk_columns
    return max(1, max_chunks // 2), min(chunk_columns, max(1, source_block[1] // chunk_shape[1]))
