"""Spectra of known truth that gmcr is measured on: mixtures, with a library, real ones.

What a case is made of is a small dictionary, so that it fits into a row of a JSON file and can be
made again in another process:

    {"kind": "mixtures", "samples": 64, "options": {...}}       options of `MixtureOptions`
    {"kind": "library", "size": 500, "present": 15, "unknown": 5, "snr_db": 20.0}
    {"kind": "carbs"}, {"kind": "nir"}, {"kind": "jasper"}, {"kind": "samson"}

Of images 4096 pixels are drawn by the seed, as `jaxhsi.train gmcr` does, the same for all methods.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.machine import REPOSITORY

REAL = REPOSITORY.parent / "shared" / "data"
PIXELS = 4096


class Case(NamedTuple):
    """Spectra and their truth, all float64; None for what is not known.

    Attributes:
        data: as measured, (n, c).
        clean: without noise, baseline and offset.
        concentrations: (n, k).
        components: (k, c).
        offset: constant that was added to all data.
        additive: whether the noise is as strong in all spectra.
        fractions: whether true concentrations are fractions of a whole.
        signed: whether negative values are signal.
        affected: components that the case is about; all if not given.
        library: known spectra, (l, c).
        present: rows of the library that are in the mixtures.
        analytes: measured amounts of some components, (n, a).
        run_lengths: of the runs of samples in an order; empty where they have none.
    """

    data: np.ndarray
    clean: np.ndarray | None = None
    concentrations: np.ndarray | None = None
    components: np.ndarray | None = None
    offset: float = 0.0
    additive: bool = False
    fractions: bool = False
    signed: bool = False
    affected: slice = slice(None)
    library: np.ndarray | None = None
    present: tuple[int, ...] = ()
    analytes: np.ndarray | None = None
    run_lengths: tuple[int, ...] = ()


def open_case(make: dict, seed: int, real: Path = REAL) -> Case:
    """The case that a dictionary describes."""
    if make["kind"] == "mixtures":
        return mixtures_case(make["options"], make["samples"], seed)
    if make["kind"] == "library":
        return library_case(make, seed)
    if make["kind"] == "carbs":
        return carbs_case()
    return nir_case(real) if make["kind"] == "nir" else image_case(make["kind"], seed, real)


def mixtures_case(options: dict, samples: int, seed: int, new: int | None = None) -> Case:
    """Built-in mixtures; with ``new``, so many others of the same components."""
    import jax

    from jaxhsi.data.synthetic.mixing_models import root_mean_square
    from jaxhsi.data.synthetic.mixture_options import MixtureOptions
    from jaxhsi.data.synthetic.mixtures import mixtures

    chosen, key = MixtureOptions(**options), jax.random.key(seed)
    made = mixtures(key, samples, chosen)
    if new:
        made = mixtures(jax.random.fold_in(key, 1), new, chosen, made.components)
    offset = chosen.offset * float(root_mean_square(made.clean))
    rare = slice(chosen.num_components - chosen.rare, None) if chosen.rare else slice(None)
    return Case(*(np.asarray(part, float) for part in made), offset=offset, affected=rare)


def library_case(make: dict, seed: int) -> Case:
    """Mixtures of some spectra of a library and of some that are not in it, four samples each."""
    import jax

    from jaxhsi.data.synthetic.component_spectra import pure_spectra
    from jaxhsi.data.synthetic.mixture_options import MixtureOptions
    from jaxhsi.data.synthetic.mixtures import mixtures

    key = jax.random.key(seed)
    known, unknown, drawn, mixing = jax.random.split(key, 4)
    library = np.asarray(pure_spectra(known, MixtureOptions(num_components=make["size"])), float)
    present = np.asarray(jax.random.choice(drawn, make["size"], (make["present"],), replace=False))
    components = library[present]
    if make["unknown"]:
        others = pure_spectra(unknown, MixtureOptions(num_components=make["unknown"]))
        components = np.concatenate([components, np.asarray(others, float)])
    options = MixtureOptions(num_components=len(components), snr_db=make["snr_db"])
    made = mixtures(mixing, 4 * len(components), options, components)
    parts = (np.asarray(part, float) for part in made)
    return Case(*parts, library=library, present=tuple(int(i) for i in present))


def carbs_case() -> Case:
    """Raman spectra of 21 mixtures of three sugars; their noise is additive, of positive mean."""
    stored = np.load(REPOSITORY / "examples" / "carbs.npz")
    data, truth, codes = (
        np.asarray(stored[name], float) for name in ("spectra", "components", "concentrations")
    )
    return Case(data, codes @ truth, codes, truth, additive=True, fractions=True)


def nir_case(real: Path) -> Case:
    """First-derivative NIR spectra of mashes with glucose and ethanol; pure spectra unknown."""
    stored = np.load(real / "nir_chemometrics" / "NIR.npz")
    analytes = np.asarray(stored["yGlcEtOH"], float)
    return Case(np.asarray(stored["xNIR"], float), signed=True, additive=True, analytes=analytes)


def image_case(name: str, seed: int, real: Path) -> Case:
    """Pixels of a scene; the truth is the endmembers and abundances that the field refers to.

    These are themselves products of unmixing, and those of Samson are scaled so that Y != M A.
    """
    from scipy.io import loadmat

    path = {"jasper": "jasper/jasperRidge2_R198.mat", "samson": "samson/Samson.mat"}[name]
    stored = loadmat(real / path)
    spectra, abundances = stored["Y"].T.astype(float), stored["A"].T.astype(float)
    kept = np.flatnonzero((spectra != 0).any(1))
    kept = np.sort(np.random.default_rng(seed).choice(kept, min(PIXELS, len(kept)), replace=False))
    return Case(
        spectra[kept],
        concentrations=abundances[kept],
        components=stored["M"].T.astype(float),
        additive=True,
        fractions=True,
    )
