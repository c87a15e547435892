"""Trees of NamedTuples and dataclasses in .npz files: an array a leaf, named by the path to it."""

import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import jax
import numpy as np


def add_arrays(tree_path: str, tree: Any, arrays: dict[str, np.ndarray]) -> None:
    """Add the leaves of a tree of NamedTuples and dataclasses to ``arrays``; None adds nothing.

    Args:
        tree_path: name of the tree, to which the paths of its leaves are joined by dots.
        tree: NamedTuples, dataclasses, tuples, lists and dicts of arrays and numbers.
        arrays: by their paths.

    >>> from typing import NamedTuple
    >>> class Line(NamedTuple):
    ...     slope: float
    ...     offset: float | None = None
    >>> arrays = {}
    >>> add_arrays("line", Line(2.0), arrays)
    >>> arrays
    {'line.slope': array(2.)}
    """
    if tree is None:
        return
    field_names = _field_names(type(tree))
    if field_names is not None:
        for name in field_names:
            add_arrays(f"{tree_path}.{name}", getattr(tree, name), arrays)
    elif isinstance(tree, dict | tuple | list):
        for leaf_path, leaf in jax.tree.leaves_with_path(tree):
            arrays[f"{tree_path}{jax.tree_util.keystr(leaf_path)}"] = np.asarray(leaf)
    else:
        arrays[tree_path] = np.asarray(tree)


def tree_of_arrays(tree_type: Any, tree_path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The tree that `add_arrays` took apart, of the type that a field is annotated with.

    Args:
        tree_type: a NamedTuple or dataclass, that or None, or the type of an array.
        tree_path: as it was given to `add_arrays`.
        arrays: by their paths.
    """
    if get_origin(tree_type) in (Union, types.UnionType):
        if not any(name == tree_path or name.startswith(f"{tree_path}.") for name in arrays):
            return None
        choices = get_args(tree_type)
        tree_type = next((each for each in choices if _field_names(each)), choices[0])
    field_names = _field_names(tree_type)
    if field_names is None:
        return arrays[tree_path][()] if tree_path in arrays else None
    field_types = get_type_hints(tree_type)
    return tree_type(
        **{
            name: tree_of_arrays(field_types[name], f"{tree_path}.{name}", arrays)
            for name in field_names
        }
    )


def _field_names(kind: Any) -> tuple[str, ...] | None:
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    return getattr(kind, "_fields", None) if isinstance(kind, type) else None
