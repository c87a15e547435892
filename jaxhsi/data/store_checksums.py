"""Checksums of a store: of what describes its array, and of which chunk lies where.

Each chunk ends with the CRC-32C of its bytes, which is checked as it is read. That does not tell
one chunk from another of the same store. So `CHECKSUMS_FILE` beside ``zarr.json`` lists what the
file of each chunk ends with, and ``zarr.json`` holds the SHA-256 of that list and of itself. The
lists are short, and comparing them reads a few bytes of each file.
"""

import hashlib
import json
import logging
import math
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO, Any

from jaxhsi.storage.checksums import DamagedFileError, file_digest
from jaxhsi.storage.replacement import replace_text

ARRAY_FILE, CHECKSUMS_FILE = "zarr.json", "checksums.json"
DIGEST_KEY, LIST_KEY = "sha256", "checksums_sha256"
"""Attributes of ``jaxhsi``: the checksums of ``zarr.json`` and of the list."""
REMEDY = "make the store anew by the command that made it, with --overwrite"

_NUM_THREADS = 16
"""Files that are looked at at once: a disk or network that is slow to answer then does so soon."""
_ABSENT = 2**64 - 1
_CRC_BYTES = 4


def seal_array(array_folder: Path, attributes: dict[str, Any]) -> dict[str, Any]:
    """Write the final attributes of a whole array, and the checksums.

    Args:
        array_folder: of the array, whose chunks are all on disk.
        attributes: of the array, with those of ``jaxhsi``.

    Returns:
        The metadata of the array.
    """
    metadata = json.loads((array_folder / ARRAY_FILE).read_text())
    chunk_ends = dict(zip(*_chunk_ends(array_folder, metadata), strict=True))
    text = json.dumps(chunk_ends, separators=(",", ":"))
    replace_text(array_folder / CHECKSUMS_FILE, text)
    own = attributes["jaxhsi"] | {LIST_KEY: hashlib.sha256(text.encode()).hexdigest()}
    metadata["attributes"] = attributes | {"jaxhsi": own}
    metadata["attributes"]["jaxhsi"][DIGEST_KEY] = _metadata_digest(metadata)
    replace_text(array_folder / ARRAY_FILE, json.dumps(metadata, separators=(",", ":")))
    return metadata


def check_array(array_folder: Path, store_folder: Path) -> None:
    """Refuse an array whose description, or places of chunks, are not as they were written.

    Arrays of other programs hold no checksums and pass; so do those of earlier versions, of which
    the log says so.

    Args:
        array_folder: of the array, on a local disk.
        store_folder: of the store that it is the array of.

    Raises:
        DamagedFileError: names the file.
    """
    metadata_path = array_folder / ARRAY_FILE
    metadata = json.loads(metadata_path.read_text())
    own = (metadata.get("attributes") or {}).get("jaxhsi", {})
    list_path = array_folder / CHECKSUMS_FILE
    if DIGEST_KEY not in own and list_path.is_file():
        raise DamagedFileError(metadata_path, "it lacks its checksum", REMEDY)
    if DIGEST_KEY not in own:
        if own:
            _tell_unchecked_stores(store_folder.parent)
        return
    if own[DIGEST_KEY] != _metadata_digest(metadata):
        raise DamagedFileError(metadata_path, "it is not as it was written", REMEDY)
    if not list_path.is_file() or file_digest(list_path) != own[LIST_KEY]:
        raise DamagedFileError(list_path, "it is missing, or not as it was written", REMEDY)
    expected = json.loads(list_path.read_text())
    names, ends = _chunk_ends(array_folder, metadata)
    present = dict(zip(names, ends, strict=True))
    for name in sorted(expected.keys() | present.keys()):
        if name not in present:
            raise DamagedFileError(array_folder / name, "it is missing", REMEDY)
        if present[name] != expected.get(name):
            reason = "it is not the chunk that was written to this place"
            raise DamagedFileError(array_folder / name, reason, REMEDY)


@cache
def _tell_unchecked_stores(folder: Path) -> None:
    """Log, once in a process, that stores in a folder have no checksums."""
    logging.getLogger(__name__).warning(
        "%s holds stores of an earlier version, without checksums: they are not checked for damage",
        folder,
    )


def _metadata_digest(metadata: dict[str, Any]) -> str:
    """SHA-256 of the metadata of an array but for the digest itself."""
    attributes = metadata["attributes"]
    own = {key: value for key, value in attributes["jaxhsi"].items() if key != DIGEST_KEY}
    rest = metadata | {"attributes": attributes | {"jaxhsi": own}}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _chunk_ends(array_folder: Path, metadata: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Names of the files of the chunks below an array, and what each ends with."""
    names = sorted(_file_names(array_folder / "c", "c"))
    num_inner = _chunks_in_shard(metadata)

    def end_of(name: str) -> str:
        return _chunk_end(array_folder / name, num_inner)

    with ThreadPoolExecutor(_NUM_THREADS) as threads:
        return names, list(threads.map(end_of, names))


def _file_names(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}/{entry.name}"
            if entry.is_dir():
                yield from _file_names(Path(entry.path), name)
            elif not name.endswith(".__lock"):
                yield name


def _chunks_in_shard(metadata: dict[str, Any]) -> int | None:
    """Chunks that a file holds where arrays are sharded; None where each file is a chunk."""
    codec = metadata["codecs"][0]
    if codec["name"] != "sharding_indexed":
        return None
    shard_shape = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    chunk_shape = codec["configuration"]["chunk_shape"]
    sizes = zip(shard_shape, chunk_shape, strict=True)
    return math.prod(shard // chunk for shard, chunk in sizes)


def _chunk_end(path: Path, num_inner: int | None) -> str:
    """The CRC at the end of a file; of a shard also those of its first and last chunk.

    The CRC of a shard is that of its index alone, which two shards may share.
    """
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if num_inner is None:
            return _bytes_at(file, size - _CRC_BYTES, _CRC_BYTES).hex()
        index_bytes = 16 * num_inner + _CRC_BYTES
        index = _bytes_at(file, size - index_bytes, index_bytes)
        parts = [index[-_CRC_BYTES:]]
        places = struct.iter_unpack("<QQ", index[: 16 * (len(index) // 16)])
        ends = [sum(place) - _CRC_BYTES for place in places if place[0] != _ABSENT]
        for offset in (*ends[:1], *ends[-1:]):
            if offset < size:  # else the index is damaged, which its CRC tells
                parts.append(_bytes_at(file, offset, _CRC_BYTES))
        return b"".join(parts).hex()


def _bytes_at(file: IO[bytes], offset: int, count: int) -> bytes:
    file.seek(max(0, offset))
    return file.read(count)
