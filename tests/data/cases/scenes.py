"""A small scene of four materials, and what an ingest of a file must give of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from jaxhsi.data.cube import Cube
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.windows import read_window


def wavelengths(bands: int, low: float = 420.0, high: float = 2450.0) -> np.ndarray:
    return np.linspace(low, high, bands)


def scene(height: int = 24, width: int = 20, bands: int = 12, seed: int = 0) -> np.ndarray:
    """Reflectance (h, w, c): four smooth spectra in blocks, each pixel with its own light."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, bands)
    spectra = np.stack(
        [0.05 + 0.45 / (1 + np.exp(10 - 40 * t)), 0.1 + 0.35 * t, 0.3 - 0.25 * t, 0.2 + 0.1 * t**2]
    )
    materials = np.zeros((height, width), int)
    materials[: height // 2, width // 2 :] = 1
    materials[height // 2 :, : width // 2] = 2
    materials[height // 3 : height // 2, width // 3 : width // 2] = 3
    light = 1 + 0.03 * rng.standard_normal((height, width, 1))
    noise = 0.004 * rng.standard_normal((height, width, bands))
    return np.clip(spectra[materials] * light + noise, 0.001, 1).astype(np.float32)


def counts(cube: np.ndarray) -> np.ndarray:
    return np.round(cube * 10000).astype(np.int16)


def from_counts(stored: np.ndarray) -> np.ndarray:
    return stored.astype(np.float32) / 10000


def save_hdf5(
    path: Path, arrays: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]] | None = None
) -> Path:
    """Arrays by path; attributes by the path of their array or group, "" for the root."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
        for name, named in (attributes or {}).items():
            for attribute, value in named.items():
                (file[name] if name else file).attrs[attribute] = value
    return path


def check_ingest(
    source: Path,
    values: np.ndarray,
    *,
    waves: np.ndarray | None = None,
    valid: np.ndarray | None = None,
    key: str | None = None,
    layout: str | None = None,
    **options: Any,
) -> Cube:
    """Ingest a file and compare values of valid pixels, the valid mask and the wavelengths."""
    target = source.parent / f"{source.name}.zarr"
    arguments = {"key": key, "layout": layout, "options": IngestOptions(**options)}
    cube = ingest(source, target, **arguments)
    expected_valid = np.ones(values.shape[:2], bool) if valid is None else valid
    assert cube.shape == values.shape
    read_values, read_valid = read_window(cube, 0, 0, *cube.shape[:2])
    np.testing.assert_array_equal(read_valid, expected_valid)
    np.testing.assert_allclose(read_values[read_valid], values[read_valid], rtol=1e-5, atol=1e-6)
    if waves is None:
        assert cube.wavelengths is None
    else:
        np.testing.assert_allclose(cube.wavelengths, waves, rtol=1e-6)
    return cube
