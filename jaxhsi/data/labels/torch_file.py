"""Tensors saved by PyTorch, read without PyTorch and without running code of the file.

`torch.save` writes an uncompressed zip archive: `NAME/data.pkl`, a pickle that describes the
tensors, and `NAME/data/0`, ... with their values. A pickle may call any function by name; here only
the names that tensors of numbers need are known, and they stand for plain descriptions.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STORAGE_DTYPES = {
    **{"BoolStorage": "bool", "ByteStorage": "u1", "CharStorage": "i1", "ShortStorage": "i2"},
    **{"IntStorage": "i4", "LongStorage": "i8", "HalfStorage": "f2", "FloatStorage": "f4"},
    **{"DoubleStorage": "f8", "UntypedStorage": "u1"},
}
UNTYPED_DTYPES = {
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
}  # of storages that are plain bytes


class Storage(NamedTuple):
    """Values in a row, entry `data/key` of the archive."""

    dtype: str
    key: str


class Tensor(NamedTuple):
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Archive(NamedTuple):
    """Entries by their names, the pickle, and the byte order of the values (little if unsaid)."""

    entries: dict[str, zipfile.ZipInfo]
    pickle_bytes: bytes
    byte_order: str


class NumberType(NamedTuple):
    """Stands for a class of storages, or for a torch.dtype."""

    dtype: str


def load_torch(path: Path, key: str | None = None) -> np.ndarray:
    """Map a tensor of a file by `torch.save` without reading its values.

    Args:
        path: `.pth` or `.pt` file that holds a tensor, or a dict of tensors.
        key: entry of the dict; by default its only 2-D tensor of whole numbers.

    Returns:
        The tensor's values, a read-only view of the memory-mapped file.

    Raises:
        ValueError: unreadable, in the format before PyTorch 1.6, no such key, no choice by
            itself, or anything in it but tensors of real numbers: nothing of it is run.
    """
    archive = _open_archive(path)
    tensors = _describe_tensors(path, archive.pickle_bytes)
    if key is None:
        key = _only_map_key(path, tensors)
    if key not in tensors:
        raise ValueError(f"{path} has no tensor {key!r}; {_list_tensors(tensors)}")
    return _map_values(path, archive, tensors[key])


def _only_map_key(path: Path, tensors: dict[str, Tensor]) -> str:
    if list(tensors) == [""]:
        return ""
    map_keys = [
        name
        for name, tensor in tensors.items()
        if len(tensor.shape) == 2 and np.dtype(tensor.dtype).kind in "biu"
    ]
    if len(map_keys) != 1:
        raise ValueError(
            f"{path} has {len(map_keys)} 2-D tensors of whole numbers; name one by its key. "
            f"{_list_tensors(tensors)}"
        )
    return map_keys[0]


def _list_tensors(tensors: dict[str, Tensor]) -> str:
    if list(tensors) == [""]:
        return "it holds one tensor without a name"
    tensor_list = (f"{name} {np.dtype(t.dtype).name} {t.shape}" for name, t in tensors.items())
    return f"its tensors are: {', '.join(tensor_list) or 'none'}"


def _describe_tensors(path: Path, pickle_bytes: bytes) -> dict[str, Tensor]:
    """Descriptions of the tensors of a dict, or of the one tensor under the empty name."""
    try:
        content = _TensorUnpickler(path, io.BytesIO(pickle_bytes)).load()
    except _RefusedPickleError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path}: its description of tensors is damaged ({type(error).__name__}: {error})"
        ) from error
    if type(content) is Tensor:
        return {"": content}
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} holds a {type(content).__name__}, not a tensor or a dict of tensors; save "
            "the label map alone with torch.save(labels, path)"
        )
    return {str(name): value for name, value in content.items() if type(value) is Tensor}


def _open_archive(path: Path) -> Archive:
    """Look into the zip archive; its values are left where they are."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise ValueError(
                f"{path} is not a zip archive as torch.save writes since PyTorch 1.6: it is "
                "older, damaged or something else. Save it again with torch.save(labels, path)"
            )
    try:
        with zipfile.ZipFile(path) as file:
            entries = {entry.filename.partition("/")[2]: entry for entry in file.infolist()}
            is_torch_archive = "data.pkl" in entries and not any(
                e.compress_type for e in entries.values()
            )
            pickle_bytes = file.read(entries["data.pkl"]) if is_torch_archive else b""
            is_big_endian = "byteorder" in entries and file.read(entries["byteorder"]) == b"big"
    except Exception as error:  # zipfile has many for damaged files
        raise ValueError(
            f"{path} is damaged, copy or save it again ({type(error).__name__}: {error})"
        ) from error
    if not is_torch_archive:
        raise ValueError(f"{path} is a zip archive, but torch.save did not write it")
    return Archive(entries, pickle_bytes, ">" if is_big_endian else "<")


class _RefusedPickleError(ValueError):
    """The file asks for something that is not a tensor of numbers."""


class _TensorUnpickler(pickle.Unpickler):
    """Unpickler to which nothing but descriptions of tensors is known."""

    def __init__(self, path: Path, stream: Any):
        super().__init__(stream)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a global name in the pickle; never the thing itself."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3"):
            return lambda *values: _describe_tensor(
                *values
            )  # a new one: a pickle may set its attributes
        if module in ("torch", "torch.storage") and name in STORAGE_DTYPES:
            return NumberType(STORAGE_DTYPES[name])
        if module == "torch" and name in UNTYPED_DTYPES:
            return NumberType(UNTYPED_DTYPES[name])
        if module == "torch" and (name.endswith("Storage") or name.startswith("float8")):
            raise _RefusedPickleError(
                f"{self.path} holds numbers of the type {name.removesuffix('Storage')}, which are "
                "not read; save integers instead: torch.save(labels.long(), path)"
            )
        raise _RefusedPickleError(
            f"{self.path} asks to load {module}.{name}, and that could run any code; nothing of "
            "it was run. Only tensors of numbers are read: save them with torch.save(labels, path)"
        )

    def persistent_load(self, pid: Any) -> Storage:
        """Description of the storage that a pickle refers to."""
        tag, kind, key, _device, _count = pid
        if tag != "storage" or type(kind) is not NumberType:
            raise pickle.UnpicklingError(f"unknown reference {tag!r}")
        return Storage(kind.dtype, str(key))


def _describe_tensor(storage, offset, shape, strides, _requires_grad, _hooks, *rest) -> Tensor:
    """Stands for `torch._utils._rebuild_tensor_v2`, and for v3, which gives the type too."""
    numbers = (offset, *shape, *strides)
    are_valid = all(type(number) is int and number >= 0 for number in numbers)
    if type(storage) is not Storage or len(shape) != len(strides) or not are_valid:
        raise pickle.UnpicklingError("no offset, shape and strides of a tensor")
    given_types = [entry.dtype for entry in rest if type(entry) is NumberType]
    dtype = given_types[0] if given_types else storage.dtype
    return Tensor(storage, dtype, offset, tuple(shape), tuple(strides))


def _map_values(path: Path, archive: Archive, tensor: Tensor) -> np.ndarray:
    """The values where they lie in the file, checked to lie there."""
    storage, offset, shape, strides = tensor.storage, tensor.offset, tensor.shape, tensor.strides
    dtype = np.dtype(tensor.dtype).newbyteorder(archive.byte_order)
    entry = archive.entries.get(f"data/{storage.key}")
    if entry is None:
        raise ValueError(f"{path} is damaged: the values of a tensor are missing")
    if 0 in shape:
        return np.empty(shape, dtype)
    last_element = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if (last_element + 1) * dtype.itemsize > entry.file_size:
        raise ValueError(
            f"{path} is damaged: a tensor of shape {shape} reaches beyond the "
            f"{entry.file_size} bytes of its values"
        )
    values = np.memmap(path, np.uint8, "r", _entry_start(path, entry), (entry.file_size,))
    values = values[offset * dtype.itemsize : (last_element + 1) * dtype.itemsize].view(dtype)
    byte_strides = [step * dtype.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values, shape, byte_strides, writeable=False)


def _entry_start(path: Path, entry: zipfile.ZipInfo) -> int:
    """Position of an entry's bytes in the file: after a header with two parts of any length."""
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        header = file.read(30)
        end = file.seek(0, io.SEEK_END)
    if header.startswith(b"PK\x03\x04") and len(header) == 30:
        start = entry.header_offset + 30 + sum(struct.unpack("<HH", header[26:]))
        if start + entry.file_size <= end:
            return start
    raise ValueError(f"{path} is damaged: its archive does not hold what its index says")
