"""What a finished run of gmcr unmixes new spectra with: kept in a file, and made into functions."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from jaxhsi.gmcr.amortised import Model, Options, amortised
from jaxhsi.gmcr.amortised_training import unmix_stream
from jaxhsi.gmcr.goodness_of_fit import spectrum_misfit
from jaxhsi.gmcr.mixing import MODELS, Forward, Unmixed
from jaxhsi.gmcr.nnls import projected_steps
from jaxhsi.gmcr.noise_covariance import Noise
from jaxhsi.gmcr.noise_model import NoiseLaw
from jaxhsi.gmcr.whitening import into_frame

BLOCK = 4096  # spectra that the networks take at a time
VERSION = 1  # of the file
_STRAIGHTENED = 8  # times that spectra are straightened before networks see them

Unmix = Callable[[Float32[np.ndarray, "m c"]], Float32[np.ndarray, "m k"]]
"""Concentrations of new spectra, both in the units of the file."""

Mix = Callable[[Float32[np.ndarray, "n k"]], Float32[np.ndarray, "n c"]]
"""Spectra of given concentrations, without offset, in the units of the file."""


class Solved(NamedTuple):
    """All that is needed to unmix new spectra as a run does.

    Attributes:
        components: unit rows.
        names: theirs.
        unit: size that data are divided by.
        sizes: of the components that are reported, whose concentrations are divided by them; 1
            unless a prior fixes them.
        noise: how it is not white, for data divided by ``unit``; without spikes.
        model: the networks' parameters, for data in the frame where noise is white.
        options: of the networks.
        mixing: "linear" or a name in `jaxhsi.gmcr.mixing.MODELS`.
        parameters: of that model, none where each spectrum has its own.
        axis: number of each band, or None.
        axis_name: what it is called, or empty.
    """

    components: Float32[np.ndarray, "k c"]
    names: tuple[str, ...]
    unit: float
    sizes: Float32[np.ndarray, " k"]
    noise: Noise
    model: Model
    options: Options
    mixing: str = "linear"
    parameters: Any = ()
    axis: Float[np.ndarray, " c"] | None = None
    axis_name: str = ""


class Explained(NamedTuple):
    """How well concentrations explain spectra, in the units of the file.

    Attributes:
        spectra: without the offset that all of them have.
        reconstruction: of these.
        misfit: squared residual where noise is white over that expected, by degree of freedom.
    """

    spectra: Float32[np.ndarray, "n c"]
    reconstruction: Float32[np.ndarray, "n c"]
    misfit: Float32[np.ndarray, " n"]


Explain = Callable[[Float32[np.ndarray, "n c"], Float32[np.ndarray, "n k"]], Explained]
"""Spectra and concentrations compared."""


# Functions ----------------------------------------------------------------------------------------


def unmixer(solved: Solved, refine: int = 0) -> Unmix:
    """Concentrations of any number of spectra, block by block, in memory that a block takes.

    Where mixing is not linear, what it adds to linear mixing is taken off and the rest unmixed
    anew, until little changes; unless each spectrum mixes in its own way, which networks do not
    know.

    Args:
        solved: by a run.
        refine: projected gradient steps after the networks, on the components that they found in
            a spectrum; see `jaxhsi.gmcr.nnls`. Of straightened spectra, where mixing is not
            linear.
    """
    first = _linear(solved, 0)
    last = _linear(solved, refine) if refine else first
    mix = mixer(solved)
    if mix is None:
        return lambda new: last(new) / solved.sizes

    def concentrations(new: Float32[np.ndarray, "m c"]) -> Float32[np.ndarray, "m k"]:
        codes, straight = first(new), new
        for turn in range(1, _STRAIGHTENED + 1):
            straight = new - (mix(codes) - codes @ solved.components)
            codes = (last if turn == _STRAIGHTENED else first)(straight)
        return codes / solved.sizes

    return concentrations


def explainer(solved: Solved) -> Explain:
    """Compares spectra with what concentrations make of them; uses no networks."""
    prepare, mix = into_frame(solved.noise), mixer(solved)
    unit, book = np.float32(solved.unit), solved.model.dictionary
    offset = np.asarray(solved.noise.offset, np.float32) * unit
    misfit = jax.jit(spectrum_misfit)

    def explain(
        spectra: Float32[np.ndarray, "n c"], concentrations: Float32[np.ndarray, "n k"]
    ) -> Explained:
        codes = concentrations * solved.sizes
        mixed, straight = codes @ solved.components, spectra
        if mix is not None:
            linear, mixed = mixed, mix(codes)
            straight = spectra - (mixed - linear)
        pairs = zip(blocks(straight), blocks(codes), strict=True)
        parts = [misfit(prepare(x / unit), c / unit, book.components, book.noise) for x, c in pairs]
        kept = spectra - offset if offset.any() else spectra
        return Explained(kept, mixed, np.concatenate(parts)[: len(spectra)])

    return explain


def mixer(solved: Solved) -> Mix | None:
    """Mixtures of unit rows; None where these are linear or every spectrum mixes in its own way."""
    model = None if solved.mixing == "linear" else MODELS[solved.mixing]()
    if model is None or model.local:
        return None
    mixed = mixed_by(model, solved.parameters, solved.components)
    return lambda c: np.concatenate([mixed(block) for block in blocks(c)])[: len(c)]


def mixed_by(model: Forward, parameters: Any, components: Float32[np.ndarray, "k c"]) -> Mix:
    """Mixtures of these components by a model that is not linear."""
    spectra = jax.jit(model.spectra)
    return lambda c: np.asarray(spectra(parameters, jnp.asarray(c), jnp.asarray(components)))


def _linear(solved: Solved, refine: int) -> Unmix:
    """Concentrations of unit rows in linear mixtures, block by block, each prepared first."""
    prepare, unit = into_frame(solved.noise), np.float32(solved.unit)
    unmix = jax.jit(partial(_unmix, solved.options, refine))

    def concentrations(new: Float32[np.ndarray, "m c"]) -> Float32[np.ndarray, "m k"]:
        seen = (prepare(block / unit) for block in blocks(new))
        parts = [part.concentrations for part in unmix_stream(unmix, solved.model, seen)]
        return np.concatenate(parts)[: len(new)] * unit

    return concentrations


def _unmix(options: Options, refine: int, model: Model, x: Float[jax.Array, "n c"]) -> Unmixed:
    """What the networks say of spectra where noise is white, and some steps from there."""
    found, book = amortised(options).unmix(model, x), model.dictionary
    if not refine:
        return found
    codes = projected_steps(
        found.concentrations,
        jnp.matmul(x, book.components.T, precision="highest"),
        book.gram,
        found.gates,
        refine,
        non_negative=options.non_negative,
    )
    return found._replace(concentrations=codes, reconstruction=codes @ book.components)


def blocks(rows: Float32[np.ndarray, "n m"]) -> Iterator[Float32[np.ndarray, "l m"]]:
    """Blocks of rows, the last with zero rows up to a power of two: few lengths to compile for."""
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        missing = (1 << (len(block) - 1).bit_length()) - len(block)
        yield np.pad(block, ((0, missing), (0, 0))) if missing else block


# The file -----------------------------------------------------------------------------------------


def write_solved(path: Path, solved: Solved) -> None:
    """Write to a .npz file, which takes the place of an earlier one when it is whole."""
    settings = {
        "version": VERSION,
        "unit": solved.unit,
        "mixing": solved.mixing,
        "axis_name": solved.axis_name,
        "options": asdict(solved.options),
    }
    arrays = {"components": solved.components, "sizes": solved.sizes, "names": list(solved.names)}
    if solved.axis is not None:
        arrays["axis"] = solved.axis
    trees = {"noise": solved.noise, "model": solved.model, "parameters": solved.parameters}
    partial_ = path.with_name(f"{path.name}.partial")
    with partial_.open("wb") as file:
        np.savez(file, settings=json.dumps(settings), **arrays, **_leaves(trees))
    os.replace(partial_, path)


def read_solved(path: Path) -> Solved:
    """Read what :func:`write_solved` wrote; every function made of it gives the same, bit for bit.

    Raises:
        ValueError: damaged, or written by another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        settings = json.loads(str(arrays["settings"]))
        if settings["version"] != VERSION:
            raise ValueError(f"version {settings['version']}, this is version {VERSION}")
        return _solved(settings, arrays)
    except (KeyError, TypeError, ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} cannot be read, it is damaged or of another version: python -m jaxhsi.train "
            f"gmcr --out {path.parent} --resume writes it anew ({error})"
        ) from error


def _solved(settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Solved:
    components, options = arrays["components"], Options(**settings["options"])
    mixing, count = settings["mixing"], len(components)
    law = NoiseLaw(*np.zeros(2, np.float32))
    codes = np.ones((1, count), np.float32)
    state = jax.eval_shape(amortised(options).init, jax.random.key(0), components, codes, law)
    model = None if mixing == "linear" else MODELS[mixing]()
    shared = model is not None and not model.local
    templates = {
        "noise": Noise(*Noise._fields[:-1]),
        "model": state.params,
        "parameters": model.begin(1, count) if shared else (),
    }
    trees = jax.tree.map_with_path(lambda path, _: arrays[_key(path)], templates)
    for leaf, expected in zip(*map(jax.tree.leaves, (trees["model"], state.params)), strict=True):
        if leaf.shape != expected.shape:
            raise ValueError(f"an array is {leaf.shape} in it where {expected.shape} is meant")
    return Solved(
        components,
        tuple(map(str, arrays["names"])),
        float(settings["unit"]),
        arrays["sizes"],
        trees["noise"],
        jax.tree.map(jnp.asarray, trees["model"]),
        options,
        mixing,
        trees["parameters"],
        arrays.get("axis"),
        settings["axis_name"],
    )


def _leaves(tree: Any) -> dict[str, np.ndarray]:
    """Arrays of a tree by the way to each."""
    return {_key(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def _key(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
