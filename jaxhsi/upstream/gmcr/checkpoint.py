"""Checkpoints of upstream's EB-gMCR: param.json and model.safetensors, a folder for each pool."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxhsi.functional_module import Params
from jaxhsi.upstream.gmcr.options import JointOptions, LangevinOptions, PoolOptions
from jaxhsi.upstream.safetensors_folder import (
    check_shapes,
    contiguous_arrays,
    read_tensors,
    required_file,
    write_folder,
)

_FILES = "param.json", "model.safetensors"
_NEEDED = " and ".join(_FILES) + ", or such folders named 0, 1, ..."
_NETWORKS = {
    "gating": "component_parser.energy_evaluator",
    "concentration": "concentration_regressor",
}


@dataclasses.dataclass(frozen=True)
class MCRSettings:
    """What upstream's param.json holds of one pool, its own names and defaults.

    The threshold of the gates is not among them: upstream loads a model with 0.99994.
    """

    num_components: int
    dim_components: int
    sparse_component: bool = True
    non_negative_component: bool = True
    component_norm: int | None = None
    hidden_size_extension: int | None = None
    hidden_layers: int = 1
    learnable_component: bool = True
    temperature_train: float = 1.0
    temperature_eval: float = 0.001
    langevin_step_size: float = 0.05
    langevin_noise: float = 0.1
    langevin_steps: int = 32


def settings_from_options(options: JointOptions, bands: int) -> tuple[MCRSettings, ...]:
    """Settings of each pool of a joint training.

    Raises:
        ValueError: upstream has no such option (softplus, another norm than an integer one).
    """
    # A checkpoint that upstream reads otherwise would be wrong without a word.
    if options.pool.non_negative not in ("abs", None) or isinstance(options.pool.norm, str):
        raise ValueError(
            f"upstream knows no pool with non_negative={options.pool.non_negative!r}, "
            f"norm={options.pool.norm!r}; its pools are 'abs' or None with an integer norm or None"
        )
    return tuple(
        MCRSettings(
            size,
            bands,
            options.sparse_components,
            options.pool.non_negative == "abs",
            options.pool.norm,
            options.hidden_width_factor,
            options.hidden_layers,
            learnable_pools,
            options.initial_temperature,
            options.evaluation_temperature,
            options.langevin.step_size,
            options.langevin.noise_scale,
            options.langevin.num_steps,
        )
        for size, learnable_pools in zip(
            options.pool_sizes,
            options.learnable_pools or (True,) * len(options.pool_sizes),
            strict=True,
        )
    )


def options_from_settings(settings: Sequence[MCRSettings], **more: Any) -> JointOptions:
    """Options of a joint training that goes on from these pools; ``more`` is what is not stored.

    Raises:
        ValueError: the pools differ in more than size and being learnable_pools.
    """
    first = settings[0]
    for other in settings[1:]:
        # Only these two may differ between pools in `JointOptions`.
        free = {"num_components", "learnable_component"}
        names = [f.name for f in dataclasses.fields(MCRSettings) if f.name not in free]
        if differ := [n for n in names if getattr(first, n) != getattr(other, n)]:
            raise ValueError(
                f"the pools differ in {', '.join(differ)}; they must have it in common"
            )
    return JointOptions(
        pool_sizes=tuple(s.num_components for s in settings),
        learnable_pools=tuple(s.learnable_component for s in settings),
        sparse_components=first.sparse_component,
        pool=PoolOptions("abs" if first.non_negative_component else None, first.component_norm),
        hidden_width_factor=first.hidden_size_extension,
        hidden_layers=first.hidden_layers,
        initial_temperature=first.temperature_train,
        evaluation_temperature=first.temperature_eval,
        langevin=LangevinOptions(
            first.langevin_noise, first.langevin_steps, first.langevin_step_size
        ),
        **more,
    )


def load_upstream_mcrs(
    folder: str | Path,
) -> tuple[tuple[MCRSettings, ...], tuple[Params, ...]]:
    """Read what upstream's ``DenseEBgMCR.save_mcrs`` wrote: one pool, or several in subfolders.

    Returns:
        Settings and params of each pool, as `jaxhsi.upstream.gmcr.algorithm` has them. Numbered
        folders come
        in the order of their numbers.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file cannot be read, or arrays and settings do not fit each other.
        ImportError: safetensors is not installed.
    """
    folder = Path(folder)
    numbered = [p for p in folder.glob("*/") if p.name.isdigit() and (p / _FILES[0]).is_file()]
    if (folder / _FILES[0]).is_file() or not numbered:
        numbered = [folder]
    else:
        # As numbers: "10" comes after "9".
        numbered.sort(key=lambda p: int(p.name))
    return tuple(zip(*(_load(pool) for pool in numbered), strict=True))


def save_upstream_mcrs(
    folder: str | Path, settings: Sequence[MCRSettings], params: Sequence[Params]
) -> None:
    """Write pools so that upstream's ``DenseEBgMCR.load_mcrs`` reads them.

    Raises:
        ValueError: params do not have the shapes that the settings say.
        ImportError: safetensors is not installed.
    """
    tensors = [to_state_dict(p, s) for p, s in zip(params, settings, strict=True)]
    for one, setting in zip(tensors, settings, strict=True):
        check_shapes(one, _shapes(setting))
    for i, (one, setting) in enumerate(zip(tensors, settings, strict=True)):
        # One pool lies in the folder itself, as `load_mcrs` looks for it.
        place = Path(folder) if len(tensors) == 1 else Path(folder) / str(i)
        write_folder(place, (_FILES[0], dataclasses.asdict(setting)), (_FILES[1], one))


def _load(folder: Path) -> tuple[MCRSettings, Params]:
    path = required_file(folder, _FILES[0], _NEEDED)
    try:
        settings = MCRSettings(**json.loads(path.read_text()))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"{path} is not a configuration of upstream's model: {error!r}") from error
    path = required_file(folder, _FILES[1], _NEEDED)
    tensors = read_tensors(path)
    try:
        return settings, from_state_dict(tensors, settings)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _layers(settings: MCRSettings) -> dict[str, tuple[str, str]]:
    """Name in PyTorch -> our place; an activation follows each layer, so they count by two."""
    if settings.hidden_size_extension is None:
        return {name: (net, "0") for net, name in _NETWORKS.items()}
    return {
        f"{name}.{2 * i}": (net, str(i))
        for net, name in _NETWORKS.items()
        for i in range(settings.hidden_layers + 1)
    }


def _shapes(settings: MCRSettings) -> dict[str, tuple[int, ...]]:
    """The arrays of upstream's state_dict."""
    p, c, extension = (
        settings.num_components,
        settings.dim_components,
        settings.hidden_size_extension,
    )
    shapes = {"vanilla_components": (p, c), "component_sparsity.energy": (p * c, 2)}
    # Index of the output layer, whose width is the pool's.
    last = str(settings.hidden_layers) if extension else "0"
    for name, (net, index) in _layers(settings).items():
        # Two energies a component, one concentration.
        width = 2 * p if net == "gating" else p
        hidden = width * (extension or 1)
        into = c if index == "0" else hidden
        out = width if index == last else hidden
        shapes |= {f"{name}.weight": (out, into), f"{name}.bias": (out,)}
    return shapes


def from_state_dict(tensors: dict[str, np.ndarray], settings: MCRSettings) -> Params:
    """Params of a pool from upstream's ``state_dict``; kernels transposed to (in, out).

    The energies of single channels are left out where ``sparse_component`` does not read them.

    Raises:
        ValueError: arrays are missing, unknown or of other shapes than the settings say.
    """
    check_shapes(tensors, _shapes(settings))
    params: Params = {
        "pool": jnp.asarray(tensors["vanilla_components"], jnp.float32),
        "gating": {},
        "concentration": {},
    }
    for name, (net, index) in _layers(settings).items():
        params[net][index] = {
            "kernel": jnp.asarray(tensors[f"{name}.weight"].T, jnp.float32),
            "bias": jnp.asarray(tensors[f"{name}.bias"], jnp.float32),
        }
    # Upstream stores these energies even where it does not use them.
    if settings.sparse_component:
        shape = settings.num_components, settings.dim_components, 2
        params["elements"] = jnp.asarray(
            tensors["component_sparsity.energy"].reshape(shape), jnp.float32
        )
    return params


def to_state_dict(params: Params, settings: MCRSettings) -> dict[str, np.ndarray]:
    """Upstream's ``state_dict`` of a pool; energies that nothing reads are zeros."""
    p, c = settings.num_components, settings.dim_components
    tensors = {
        "vanilla_components": params["pool"],
        "component_sparsity.energy": np.zeros((p * c, 2))
        if "elements" not in params
        else np.asarray(params["elements"]).reshape(-1, 2),
    }
    for name, (net, index) in _layers(settings).items():
        layer = params[net][index]
        tensors |= {
            f"{name}.weight": np.asarray(layer["kernel"]).T,
            f"{name}.bias": layer["bias"],
        }
    return contiguous_arrays(tensors)
