"""Cubes written slab by slab, so that a write that was interrupted goes on where it stopped."""

import json
import logging
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from jaxhsi.data.cache import fingerprint
from jaxhsi.data.cube import is_store
from jaxhsi.data.partial_store import clear_stale_stores, locked_store, publish_store
from jaxhsi.data.store_checksums import seal_array
from jaxhsi.data.store_group import array_name, write_group
from jaxhsi.data.store_url import tensorstore_reason
from jaxhsi.data.tiles import Tile, split_into_tiles
from jaxhsi.data.zarr_writer import (
    check_all_chunks_written,
    open_partial_array,
    refuse_existing,
    within_source_block,
)
from jaxhsi.storage.checksums import DamagedFileError, read_checked_json, write_checked_json
from jaxhsi.storage.replacement import partial_path

PROGRESS_FILE = "progress.json"
_NO_PROGRESS = {"slabs": 0, "state": None}
_log = logging.getLogger(__name__)
MAX_SLAB_BYTES = 64 * 2**20
_UNCACHED = ts.Context({"cache_pool": {"total_bytes_limit": 0}})  # nothing is read back


class ResumableCube:
    """A cube of which more and more slabs are on disk.

    Attributes:
        slab_tiles: the slabs in the order in which they are written, whole files of the store each.
        num_done: how many of them were on disk when this process began.
        resume_state: what was written down with the last of these, None if there is none.
    """

    def __init__(
        self,
        folder: Path,
        array: ts.TensorStore,
        metadata: dict[str, Any],
        pixel_bytes: int,
        block_shape: tuple[int, int] | None = None,
    ):
        """Take up what is in the folder.

        Args:
            folder: of the unfinished store.
            array: in it.
            metadata: of the array when it was begun.
            pixel_bytes: memory of a pixel, by which slabs are bounded.
            block_shape: see `split_into_slabs`.
        """
        self._folder, self._array, self._metadata = folder, array, metadata
        self.slab_tiles = split_into_slabs(
            array.shape[:2], array.chunk_layout.write_chunk.shape[:2], pixel_bytes, block_shape
        )
        progress = _read_progress(folder) or _NO_PROGRESS
        self.num_done, self.resume_state = int(progress.get("slabs", 0)), progress.get("state")
        self._next = self.num_done
        self._waiting: deque[tuple[ts.Future, dict]] = deque()

    def write_slab(self, values: np.ndarray, state: Any) -> None:
        """Write the next slab while the caller prepares the one after it.

        Args:
            values: of the next of `slab_tiles`, (h, w, C); not to be changed any more.
            state: of JSON, kept with the slab: what the caller needs to go on after it.

        Raises:
            OSError: the disk is full, or cannot be written to.
        """
        self._settle(0)
        rows, columns = self.slab_tiles[self._next].slices
        transaction = ts.Transaction()  # a shard is written in one piece
        target = self._array.with_transaction(transaction)[rows, columns]
        with _disk_errors(self._folder):
            target.write(values, can_reference_source_data_indefinitely=True).result()
        self._next += 1
        progress = {"slabs": self._next, "state": state}
        self._waiting.append((transaction.commit_async(), progress))

    def finish(self, attributes: dict[str, Any]) -> None:
        """Wait for the disk and add what is known only now to the store's attributes."""
        self._settle(0)
        array_folder = self._folder / array_name(self._metadata)
        check_all_chunks_written(array_folder, self._array)
        all_attributes = self._metadata["attributes"]
        all_attributes |= {"jaxhsi": all_attributes["jaxhsi"] | attributes}
        with _disk_errors(self._folder):
            metadata = seal_array(array_folder, all_attributes)
            write_group(self._folder, metadata)

    def wait_and_ignore_errors(self) -> None:
        """Let the writes that are under way end, so that nothing is written after the error."""
        with suppress(Exception):
            self._settle(0)

    def _settle(self, max_pending: int) -> None:
        while len(self._waiting) > max_pending:
            commit, progress = self._waiting.popleft()
            with _disk_errors(self._folder):
                commit.result()
                # Not brought to the disk each time: where it is lost, the copy is begun anew.
                write_checked_json(self._folder / PROGRESS_FILE, progress, sync=False)


@contextmanager
def write_resumable_cube(
    path: Path,
    metadata: dict[str, Any],
    inputs: object,
    *,
    bytes_per_pixel: int,
    block_shape: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> Iterator[ResumableCube]:
    """Write a cube that appears at `path` only when it is whole, and goes on after a kill.

    It is written into the sibling folder `<name>.partial-<key>`, which `open_cube` refuses. The
    key is that of `metadata` and `inputs`: the same call later goes on behind the last slab that
    was written down there; another one begins anew and deletes what others left behind, unless
    a process still works there. A second process with the same call waits for the first.

    The body calls `write` for the slabs `slab_tiles[num_done:]` and then `finish`. On an error the
    folder stays, to go on with; on a ValueError, which would only come again, it is deleted.

    Args:
        path: folder to make.
        metadata: see `zarr_writer.cube_metadata`.
        inputs: all else that the values depend on, of exact `repr`.
        bytes_per_pixel: memory of a pixel, by which slabs are bounded.
        block_shape: see `split_into_slabs`.
        overwrite: replace the cube at `path`, once the new one is whole.

    Raises:
        FileExistsError: something is at `path` and is not to be replaced, or is no store.
        OSError: the disk is full, or cannot be written to; the part so far is kept.
    """
    key = fingerprint((json.dumps(metadata, sort_keys=True), inputs, block_shape))[:8]
    partial_folder = partial_path(path, key)
    with _locked_partial(partial_folder, lambda: check_destination(path, overwrite)):
        clear_stale_stores(path, partial_folder)
        with _disk_errors(partial_folder):
            array = _open_or_begin(partial_folder, metadata)
            cube = ResumableCube(partial_folder, array, metadata, bytes_per_pixel, block_shape)
        try:
            yield cube
        except BaseException as error:
            cube.wait_and_ignore_errors()
            if isinstance(error, ValueError):
                shutil.rmtree(partial_folder, ignore_errors=True)
            raise
        check_destination(path, overwrite)  # another process may have made one meanwhile
        publish_store(partial_folder, path, PROGRESS_FILE)


@contextmanager
def _locked_partial(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """`locked_store`, which says where the disk is at fault."""
    with ExitStack() as stack:
        with _disk_errors(folder, excepted=FileExistsError):
            stack.enter_context(locked_store(folder, check))
        yield


def check_destination(path: Path, overwrite: bool) -> None:
    """Refuse to write where something is, unless it is a store that may be replaced.

    Raises:
        FileExistsError: something is there.
    """
    if not overwrite:
        refuse_existing(path)
    elif path.exists() and not is_store(path):
        raise FileExistsError(f"{path} exists and is no cube, so it is not overwritten; move it")


def split_into_slabs(
    plane_shape: tuple[int, int],
    chunk_shape: tuple[int, int],
    bytes_per_pixel: int,
    block_shape: tuple[int, int] | None = None,
) -> list[Tile]:
    """Slabs of whole pieces within 64 MiB, as wide as the plane where that is possible.

    Where a file is decoded in blocks that are higher than such a slab, slabs are as wide as a
    block, and those of a block follow each other: it is decoded once, and found in the reader's
    memory then.

    Args:
        plane_shape: (H, W).
        chunk_shape: (h, w) that one file of the store holds; a larger one than 64 MiB is a slab.
        bytes_per_pixel: memory of a pixel.
        block_shape: (h, w) that the source is decoded in, or None where it is read by lines.

    >>> [tuple(tile) for tile in split_into_slabs((4, 4), (2, 2), 2**22, (8, 2))]
    [(0, 0, 4, 2), (0, 2, 4, 2)]
    """
    max_chunks = max(1, MAX_SLAB_BYTES // (chunk_shape[0] * chunk_shape[1] * bytes_per_pixel))
    chunks_across = min(max_chunks, -(-plane_shape[1] // chunk_shape[1]))
    max_chunks, chunks_across = within_source_block(
        max_chunks, chunks_across, chunk_shape, block_shape
    )
    slab_shape = (
        chunk_shape[0] * max(1, max_chunks // chunks_across),
        chunk_shape[1] * chunks_across,
    )
    slabs = split_into_tiles(plane_shape, slab_shape)
    block_height = 1 if block_shape is None else block_shape[0]
    return sorted(slabs, key=lambda slab: (slab.y0 // block_height, slab.x0, slab.y0))


def _open_or_begin(partial_path: Path, metadata: dict[str, Any]) -> ts.TensorStore:
    """The array in a folder, begun anew where nothing says how far it is, or it does not open."""
    array_folder = partial_path / array_name(metadata)
    if _read_progress(partial_path) is not None and (array_folder / "zarr.json").is_file():
        try:
            return open_partial_array(partial_path, metadata, _UNCACHED)
        except ValueError as error:
            _log.warning("%s does not open and is begun anew: %s", array_folder, error)
    shutil.rmtree(array_folder, ignore_errors=True)
    write_checked_json(partial_path / PROGRESS_FILE, _NO_PROGRESS, sync=False)
    return open_partial_array(partial_path, metadata, _UNCACHED)


def _read_progress(folder: Path) -> dict[str, Any] | None:
    """What a file of progress says; None where it is missing or damaged."""
    path = folder / PROGRESS_FILE
    try:
        return read_checked_json(path, "the copy is begun anew") if path.is_file() else None
    except DamagedFileError as error:
        _log.warning("%s", error)
        return None


@contextmanager
def _disk_errors(
    folder: Path, *, excepted: tuple[type[Exception], ...] | type[Exception] = ()
) -> Iterator[None]:
    """Errors of the disk as OSError, whose message tells what is kept; TensorStore's too."""
    try:
        yield
    except excepted:
        raise
    except (ValueError, OSError) as error:
        error_code = re.search(r"os_error_code='(\d+)'", str(error))
        if not isinstance(error, OSError) and error_code is None:
            raise
        reason = (
            os.strerror(int(error_code[1]))
            if error_code
            else error.strerror or tensorstore_reason(error)
        )
        raise OSError(
            f"{folder} cannot be written: {reason}. What was written there is kept and not taken "
            "for a cube; mend that (make room, or check the rights) and give the same command "
            "again to go on, or delete the folder"
        ) from error
