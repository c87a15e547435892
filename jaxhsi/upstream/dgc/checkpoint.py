"""Checkpoints of upstream's PyTorch model: a folder with config.json and weights.safetensors."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxhsi.upstream.safetensors_folder import (
    check_shapes,
    contiguous_arrays,
    read_tensors,
    required_file,
    write_folder,
)

Params = dict[str, Any]

_FILES = "config.json", "weights.safetensors"
_NEEDED = " and ".join(_FILES)
# Defaults of upstream's constructors, for what a configuration leaves out: values of the PyTorch
# code, `module/encoder.py`, `module/clustering.py` and `hsi_clustering.py`.
_ENCODER = {"n_spectral_layers": 3, "spectral_kernel_size": 3, "embed_dim": 32, "bias": True}
_MEAN_SHIFT = {
    "embed_dim": 32,
    "n_clusters": 4,
    "num_iters": 5,
    "learn_bandwidth": True,
    "init_bandwidth": 1.0,
    "temp": 0.05,
    "use_approx": True,
    "kernel_size": 5,
}
_LOSS = {"orth": 1.0, "bal": 1.0, "unif": 1.0, "cons": 1.0}


@dataclass(frozen=True)
class UpstreamSettings:
    """What upstream's config.json holds, its own defaults filled in.

    Attributes:
        bands: c of the cubes (``num_bands``).
        encoder: ``n_spectral_layers``, ``spectral_kernel_size``, ``embed_dim``, ``bias``.
        mean_shift: ``embed_dim``, ``n_clusters``, ``num_iters``, ``learn_bandwidth``,
            ``init_bandwidth``, ``temp``, ``use_approx``, ``kernel_size``.
        loss_weights: ``orth``, ``bal``, ``unif``, ``cons``.
    """

    bands: int
    encoder: dict[str, Any]
    mean_shift: dict[str, Any]
    loss_weights: dict[str, float]


def upstream_settings(
    bands: int,
    encoder: dict[str, Any] | None = None,
    mean_shift: dict[str, Any] | None = None,
    loss_weights: dict[str, float] | None = None,
) -> UpstreamSettings:
    """Settings with upstream's constructor defaults where nothing is given.

    Raises:
        ValueError: two different widths of the embedding.
    """
    settings = UpstreamSettings(
        bands,
        _ENCODER | (encoder or {}),
        _MEAN_SHIFT | (mean_shift or {}),
        _LOSS | (loss_weights or {}),
    )
    # Upstream repeats the number in two places and does not compare them.
    widths = settings.encoder["embed_dim"], settings.mean_shift["embed_dim"]
    if widths[0] != widths[1]:
        raise ValueError(
            f"encoder_kwargs and mean_shift_kwargs disagree on embed_dim, {widths[0]} and "
            f"{widths[1]}; give both the same"
        )
    return settings


def load_upstream_checkpoint(
    folder: str | Path, bands: int | None = None
) -> tuple[UpstreamSettings, Params]:
    """Read a checkpoint that upstream's ``HyperspectralClusteringModel.save`` wrote.

    Args:
        folder: holds ``config.json`` and ``weights.safetensors``.
        bands: of the cubes that it is meant for, if known.

    Returns:
        The settings, and params ``{"encoder", "centroids", "log_bandwidth"}`` as
        `jaxhsi.upstream.dgc.algorithm` has them.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file cannot be read, arrays are missing or have other shapes than the
            configuration says, or ``bands`` differs from the checkpoint's.
        ImportError: safetensors is not installed.
    """
    # The configuration first: it says which arrays there must be.
    folder = Path(folder)
    settings = _read_settings(required_file(folder, _FILES[0], _NEEDED))
    if bands is not None and bands != settings.bands:
        raise ValueError(
            f"{folder} was trained on {settings.bands} bands and the cubes have {bands}; use cubes "
            "of the same sensor, or train anew"
        )
    path = required_file(folder, _FILES[1], _NEEDED)
    tensors = read_tensors(path)
    try:
        return settings, from_state_dict(tensors, settings)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save_upstream_checkpoint(
    folder: str | Path, settings: UpstreamSettings, params: Params
) -> None:
    """Write params so that upstream's ``HyperspectralClusteringModel.load`` reads them.

    Raises:
        ValueError: params do not have the shapes that the settings say.
        ImportError: safetensors is not installed.
    """
    # Checked before writing: upstream would fail on loading only.
    tensors = to_state_dict(params)
    check_shapes(tensors, _shapes(settings))
    config = {
        "num_bands": settings.bands,
        "encoder_kwargs": settings.encoder,
        "mean_shift_kwargs": settings.mean_shift,
        "loss_weights": settings.loss_weights,
    }
    write_folder(Path(folder), (_FILES[0], config), (_FILES[1], tensors))


def _read_settings(path: Path) -> UpstreamSettings:
    try:
        config = json.loads(path.read_text())
        groups = (config[f"{name}_kwargs"] for name in ("encoder", "mean_shift"))
        return upstream_settings(config["num_bands"], *groups, config["loss_weights"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a configuration of upstream's model: {error!r}") from error


def _layers(settings: UpstreamSettings) -> dict[str, tuple[str, str]]:
    """Name in PyTorch -> our place; a ReLU follows each convolution, so they count by two."""
    count = settings.encoder["n_spectral_layers"]
    # ReLUs have numbers in PyTorch's sequence, and no arrays.
    names = {f"encoder.spectral_net.{2 * i}": ("spectral", str(i)) for i in range(count)}
    return names | {f"encoder.spatial_net.{2 * i}": ("spatial", str(i)) for i in range(2)}


def _shapes(settings: UpstreamSettings) -> dict[str, tuple[int, ...]]:
    """The arrays of upstream's state_dict."""
    d, kernel = settings.encoder["embed_dim"], settings.encoder["spectral_kernel_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "cluster.log_bandwidth": (),
        "cluster.cluster_centers": (settings.mean_shift["n_clusters"], d),
    }
    for name, (net, index) in _layers(settings).items():
        width = settings.bands if (net, index) == ("spectral", "0") else d
        shapes[f"{name}.weight"] = (d, width, kernel) if net == "spectral" else (d, d, 3, 3)
        if settings.encoder["bias"]:
            shapes[f"{name}.bias"] = (d,)
    return shapes


def from_state_dict(tensors: dict[str, np.ndarray], settings: UpstreamSettings) -> Params:
    """Params from the arrays of upstream's ``state_dict``, channels moved to the end.

    Raises:
        ValueError: arrays are missing, unknown or of other shapes than the settings say.
    """
    check_shapes(tensors, _shapes(settings))
    encoder: Params = {"spectral": {}, "spatial": {}}
    for name, (net, index) in _layers(settings).items():
        # PyTorch stores (out, in, taps), Flax (taps, in, out).
        kernel = np.moveaxis(tensors[f"{name}.weight"], (0, 1), (-1, -2))
        layer = {"kernel": jnp.asarray(kernel, jnp.float32)}
        if settings.encoder["bias"]:
            layer["bias"] = jnp.asarray(tensors[f"{name}.bias"], jnp.float32)
        encoder[net][index] = layer
    return {
        "encoder": encoder,
        "centroids": jnp.asarray(tensors["cluster.cluster_centers"], jnp.float32),
        "log_bandwidth": jnp.asarray(tensors["cluster.log_bandwidth"], jnp.float32),
    }


def to_state_dict(params: Params) -> dict[str, np.ndarray]:
    """The arrays of upstream's ``state_dict`` from params; inverse of `from_state_dict`."""
    tensors = {
        "cluster.log_bandwidth": np.asarray(params["log_bandwidth"]),
        "cluster.cluster_centers": np.asarray(params["centroids"]),
    }
    for net, layers in params["encoder"].items():
        for index, layer in layers.items():
            name = f"encoder.{net}_net.{2 * int(index)}"
            kernel = np.asarray(layer["kernel"])
            tensors[f"{name}.weight"] = np.moveaxis(kernel, (-1, -2), (0, 1))
            if "bias" in layer:
                tensors[f"{name}.bias"] = np.asarray(layer["bias"])
    return contiguous_arrays(tensors)
