"""Trees of NamedTuples and dataclasses in .npz files: an array a leaf, named by the path to it."""

import os
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import jax
import numpy as np


def write_npz(path: Path, **arrays: Any) -> None:
    """Write arrays to a file of another name first: an interrupted run leaves no half of it."""
    partial_path = path.with_name(f"{path.name}.partial")
    with partial_path.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(partial_path, path)


def add_arrays(path: str, value: Any, arrays: dict[str, np.ndarray]) -> None:
    """Add the leaves of a tree of NamedTuples and dataclasses to ``arrays``; None adds nothing."""
    if value is None:
        return
    names = _field_names(type(value))
    if names is not None:
        for name in names:
            add_arrays(f"{path}.{name}", getattr(value, name), arrays)
    elif isinstance(value, dict | tuple | list):
        for key, leaf in jax.tree.leaves_with_path(value):
            arrays[f"{path}{jax.tree_util.keystr(key)}"] = np.asarray(leaf)
    else:
        arrays[path] = np.asarray(value)


def tree_of_arrays(kind: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The tree that `add_arrays` took apart, of the type that a field is annotated with."""
    if get_origin(kind) in (Union, types.UnionType):
        if not any(name == path or name.startswith(f"{path}.") for name in arrays):
            return None
        kind = next(
            (each for each in get_args(kind) if _field_names(each) is not None), get_args(kind)[0]
        )
    names = _field_names(kind)
    if names is None:
        return arrays[path][()] if path in arrays else None
    hints = get_type_hints(kind)
    return kind(**{name: tree_of_arrays(hints[name], f"{path}.{name}", arrays) for name in names})


def _field_names(kind: Any) -> tuple[str, ...] | None:
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    return getattr(kind, "_fields", None) if isinstance(kind, type) else None
