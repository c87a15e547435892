"""Folders of the PyTorch references: a JSON file beside a safetensors file."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from jaxhsi.storage.replacement import replace_path, replace_text


def required_file(folder: Path, name: str, needed: str) -> Path:
    """Path of a file that must be there.

    Raises:
        FileNotFoundError: it is not; says what is ``needed``.
    """
    # Said before anything is read, with the names of both files.
    if not (folder / name).is_file():
        raise FileNotFoundError(
            f"{folder} holds no {name}; give a folder that upstream saved, with {needed}"
        )
    return folder / name


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file.

    Raises:
        ValueError: the file is cut or something else.
        ImportError: safetensors is not installed.
    """
    safetensors = _safetensors()
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); copy it again"
        ) from error


def write_folder(
    folder: Path, settings: tuple[str, dict[str, Any]], tensors: tuple[str, dict[str, np.ndarray]]
) -> None:
    """Write both files, each given as (name, contents).

    Raises:
        ImportError: safetensors is not installed.
    """
    safetensors = _safetensors()
    replace_text(folder / settings[0], json.dumps(settings[1], indent=2))
    with replace_path(folder / tensors[0]) as partial_file:
        safetensors.numpy.save_file(tensors[1], partial_file)


def contiguous_arrays(tensors: dict[str, Any]) -> dict[str, np.ndarray]:
    """Arrays as safetensors writes them: as they lie, so that a view would be scrambled."""
    return {
        # `ascontiguousarray` makes scalars 1-dimensional: the shape is given back.
        name: np.ascontiguousarray(t, np.float32).reshape(np.shape(t))
        for name, t in tensors.items()
    }


def check_shapes(tensors: dict[str, np.ndarray], expected: dict[str, tuple[int, ...]]) -> None:
    """Raise a ValueError that lists missing and unknown arrays and those of other shapes."""
    # All that is wrong at once: one difference alone seldom shows which file is the other's.
    wrong = [
        f"{name} is {tensors[name].shape if name in tensors else 'missing'}, not {shape}"
        for name, shape in expected.items()
        if name not in tensors or tensors[name].shape != shape
    ]
    wrong += [f"{name} is unknown" for name in tensors.keys() - expected.keys()]
    if wrong:
        raise ValueError(
            f"weights and configuration of upstream's model differ: {'; '.join(sorted(wrong))}; "
            "take both from the same checkpoint"
        )


def _safetensors() -> ModuleType:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "upstream's checkpoints need safetensors: pip install 'jaxhsi[io]'"
        ) from error
    return safetensors
