"""The file of an `UnmixingModel`: all that unmixes new spectra, in one .npz file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxhsi.gmcr.amortised import amortised
from jaxhsi.gmcr.mixing import FORWARD_MODELS
from jaxhsi.gmcr.noise_covariance import NoiseModel
from jaxhsi.gmcr.noise_model import SignalDependentNoise
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.storage.checked_arrays import write_checked_npz
from jaxhsi.training.run_files import read_run_arrays
from jaxhsi.training.run_folder import repair_hint
from jaxhsi.workflows.npz_files import add_arrays
from jaxhsi.workflows.unmixing_model import UnmixingModel

_TREE_FIELDS = ("noise_model", "networks", "mixing_parameters")
"""Fields that are trees of arrays."""

FILE_VERSION = 3
"""Version of the layout of the file. Files of other versions are refused."""


def write_unmixing_model(path: Path, model: UnmixingModel) -> None:
    """Write to a .npz file, which takes the place of an earlier one when it is complete."""
    settings = {
        "version": FILE_VERSION,
        "data_unit": model.data_unit,
        "mixing": model.mixing,
        "axis_name": model.axis_name,
        "uses_networks": model.uses_networks,
        "network_options": asdict(model.network_options),
    }
    arrays: dict[str, Any] = {
        "components": model.components,
        "component_norms": model.component_norms,
        "component_names": list(model.component_names),
    }
    if model.axis is not None:
        arrays["axis"] = model.axis
    trees = {name: getattr(model, name) for name in _TREE_FIELDS}
    arrays |= {"settings": json.dumps(settings)} | _leaves(trees)
    write_checked_npz(path, arrays)


def read_unmixing_model(path: Path) -> UnmixingModel:
    """Read what `write_unmixing_model` wrote; its functions give the same results, bit for bit.

    Raises:
        ValueError: the file is damaged, or was written by another version.
    """
    arrays = read_run_arrays(path, path.parent)
    try:
        settings = json.loads(str(arrays["settings"]))
        if settings["version"] != FILE_VERSION:
            raise ValueError(f"version {settings['version']}, this is version {FILE_VERSION}")
        return _model_of(settings, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read, it is of another version ({error}): {repair_hint(path.parent)}"
        ) from error


def _model_of(settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> UnmixingModel:
    components, network_options = (
        arrays["components"],
        AmortisedOptions(**settings["network_options"]),
    )
    mixing, num_components = settings["mixing"], len(components)
    # Shapes of the networks, of any concentrations and noise.
    noise_level = SignalDependentNoise(*np.zeros(2, np.float32))
    concentrations = np.ones((1, num_components), np.float32)
    example = jax.random.key(0), components, concentrations, noise_level
    network_state = jax.eval_shape(amortised(network_options).init, *example)
    forward = None if mixing == "linear" else FORWARD_MODELS[mixing]()
    is_shared = forward is not None and not forward.per_spectrum
    # Arrays are found by their paths in trees of the same structure.
    templates = {
        "noise_model": NoiseModel(*NoiseModel._fields[:-1]),
        "networks": network_state.params,
        "mixing_parameters": forward.initial_parameters(1, num_components) if is_shared else (),
    }
    trees = jax.tree.map_with_path(lambda path, _: arrays[_key(path)], templates)
    saved_leaves, template_leaves = map(jax.tree.leaves, (trees["networks"], network_state.params))
    for leaf, expected in zip(saved_leaves, template_leaves, strict=True):
        if leaf.shape != expected.shape:
            raise ValueError(f"it holds an array {leaf.shape}, expected {expected.shape}")
    return UnmixingModel(
        components=components,
        component_names=tuple(map(str, arrays["component_names"])),
        data_unit=float(settings["data_unit"]),
        component_norms=arrays["component_norms"],
        noise_model=trees["noise_model"],
        networks=jax.tree.map(jnp.asarray, trees["networks"]),
        network_options=network_options,
        mixing=mixing,
        mixing_parameters=trees["mixing_parameters"],
        axis=arrays.get("axis"),
        axis_name=settings["axis_name"],
        uses_networks=settings["uses_networks"],
    )


def _leaves(tree: Any) -> dict[str, np.ndarray]:
    """Arrays of a tree by their paths, such as ``networks.dictionary.gram``."""
    return {_key(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def _key(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def read_mixing_parameters(
    model: UnmixingModel, num_spectra: int, arrays: dict[str, np.ndarray]
) -> Any:
    """Parameters of the mixing of the spectra that were unmixed, from the arrays of a result."""
    if model.mixing == "linear":
        return ()
    template = FORWARD_MODELS[model.mixing]().initial_parameters(num_spectra, len(model.components))
    saved: dict[str, np.ndarray] = {}
    add_arrays("mixing_parameters", template, saved)
    return jax.tree.unflatten(jax.tree.structure(template), [arrays[name] for name in saved])
