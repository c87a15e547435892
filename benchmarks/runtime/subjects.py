"""The commands that faults are done to, on tiny data, and what their results are."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.data.cube import open_cube

DGC_OPTIONS = (
    *("--num_clusters", "3", "--steps", "4", "--teacher_student.mixture_starts", "2"),
    *("--views.crop", "12", "--stream.batch_size", "2", "--stream.tile_size", "16"),
    *("--encoder.hidden_width", "8", "--encoder.spatial_channels", "4", "--save_every", "1"),
    *("--encoder.num_blocks", "1", "--log_every", "1", "--devices", "1", "--monitor.every", "2"),
)
GMCR_OPTIONS = (
    *("--devices", "1", "--restarts", "1", "--solver.max_active", "4"),
    *("--solver.steps_per_phase", "40", "--solver.noise_refit_every", "20"),
    *("--amortised.training_steps", "50", "--amortised.batch_size", "16"),
    *("--amortised.steps_per_call", "50", "--amortised.hidden_width", "8"),
)
_BANDS, _SIDE = 24, 40


@dataclass(frozen=True)
class Subject:
    """A command, its inputs, and how its result is read.

    Attributes:
        name: of the command and its case.
        arguments: of the command, in the folder of the inputs.
        needs: paths of that folder that the command reads or changes.
        outputs: paths that it makes.
        result: names of what it made and their digests; raises where they cannot be read.
        way_on: arguments after an interruption, tried before ``arguments``; None for the same.
        keeps: what was there before and must be there, old or new, whatever happens.
    """

    name: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...]
    outputs: tuple[str, ...]
    result: Callable[[Path], dict[str, str]]
    way_on: tuple[str, ...] | None = None
    keeps: tuple[str, ...] = ()


def make_inputs(folder: Path) -> None:
    """A cube of three materials with its truth, a table of mixtures, files to ingest."""
    rng = np.random.default_rng(0)
    axis = np.linspace(0, 1, _BANDS)
    centres, widths = (0.2, 0.5, 0.8), (0.1, 0.15, 0.1)
    pure = np.stack(
        [np.exp(-(((axis - m) / w) ** 2)) for m, w in zip(centres, widths, strict=True)]
    )
    regions = np.arange(_SIDE)[:, None] // 14 + np.arange(_SIDE) // 20
    cube = 0.2 + pure[regions % 3] + 0.02 * rng.normal(size=(_SIDE, _SIDE, _BANDS))
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", cube.astype(np.float32))
        cube = cube[::-1]
    table = rng.dirichlet(np.ones(3), 40) @ pure + 0.005 * rng.normal(size=(40, _BANDS))
    header = ",".join(f"{400 + 10 * band}" for band in range(_BANDS))
    rows = [f"s{i}," + ",".join(f"{v:.6g}" for v in row) for i, row in enumerate(table)]
    (folder / "truth").mkdir()
    np.save(folder / "truth" / "a.npy", (regions % 3).astype(np.uint8))
    (folder / "table.csv").write_text("\n".join([f"sample,{header}", *rows]) + "\n")


def subjects() -> dict[str, Subject]:
    """All commands by name; later ones read what earlier ones made."""
    dgc = ("train", "dgc", "--data", "a.zarr", "--out", "dgc", *DGC_OPTIONS)
    gmcr = ("train", "gmcr", "--data", "table.csv", "--out", "gmcr", *GMCR_OPTIONS)
    predict = ("predict", "dgc", "a.zarr", "--out", "predicted", "--tile_size", "10")
    unmix = ("unmix", "gmcr", "a.zarr", "--out", "unmixed", "--tile", "10", "--refine_steps", "2")
    group = ("group", "dgc", "--groups", "left=0 right=1,2")
    evaluate = ("evaluate", "dgc", "--labels", "truth", "--out", "evaluation.json")
    gmcr_page = ("report", "gmcr", "--out", "page.html")
    each = (
        Subject("ingest fresh", ("ingest", "a.npy", "a.zarr"), ("a.npy",), ("a.zarr",), _stores),
        Subject("train dgc", dgc, ("a.zarr",), ("dgc",), _dgc_run, (*dgc, "--resume")),
        Subject("train gmcr", gmcr, ("table.csv",), ("gmcr",), _gmcr_run, (*gmcr, "--resume")),
        Subject("predict", predict, ("dgc", "a.zarr"), ("predicted",), _predictions),
        Subject("unmix", unmix, ("gmcr", "a.zarr"), ("unmixed",), _concentrations),
        Subject("report", ("report", "dgc", "--out", "page.html"), ("dgc",), ("page.html",), _page),
        Subject("report gmcr", gmcr_page, ("gmcr",), ("page.html",), _page),
        Subject("group", group, ("dgc",), ("dgc",), _groups, (*group, "--overwrite")),
        Subject("evaluate", evaluate, ("dgc", "truth"), ("evaluation.json",), _evaluation),
        Subject(
            *("ingest existing", ("ingest", "b.npy", "a.zarr"), ("b.npy", "a.zarr"), ("a.zarr",)),
            _stores,
            keeps=("a.zarr",),
        ),
        Subject(
            "ingest overwrite",
            ("ingest", "b.npy", "a.zarr", "--overwrite"),
            ("b.npy", "a.zarr"),
            ("a.zarr",),
            _stores,
            keeps=("a.zarr",),
        ),
        Subject(
            "ingest several",
            ("ingest", "a.npy", "b.npy", "stores"),
            ("a.npy", "b.npy"),
            ("stores",),
            _stores,
        ),
    )
    return {subject.name: subject for subject in each}


def copy_inputs(source: Path, target: Path, subject: Subject) -> None:
    """The inputs of a command, in an empty folder."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in subject.needs:
        path = source / name
        if path.is_dir():
            shutil.copytree(path, target / name)
        else:
            shutil.copy2(path, target / name)


def read_result(subject: Subject, folder: Path) -> dict[str, str] | None:
    """What a command left; None where it is not there or cannot be read."""
    try:
        result = subject.result(folder)
    except Exception:
        return None
    return result or None


def _digest(content: Any) -> str:
    if isinstance(content, np.ndarray):
        content = (
            f"{content.dtype}{content.shape}".encode() + np.ascontiguousarray(content).tobytes()
        )
    return hashlib.sha256(content).hexdigest()[:16]


def _file_digests(folder: Path, *patterns: str) -> dict[str, str]:
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): _digest(path.read_bytes()) for path in paths}


def _store_digests(folder: Path, pattern: str) -> dict[str, str]:
    cubes = {path.name: open_cube(path) for path in sorted(folder.glob(pattern))}
    return {name: _digest(cube.array.read().result()) for name, cube in cubes.items()}


def _stores(folder: Path) -> dict[str, str]:
    return _store_digests(folder, "*.zarr") | _store_digests(folder, "stores/*.zarr")


def _without_times(path: Path) -> dict[str, str]:
    scores = json.loads(path.read_text())
    plain = json.dumps(
        {k: v for k, v in scores.items() if "second" not in k and k != "sha256"}, sort_keys=True
    )
    return {path.name: _digest(plain.encode())}


def _dgc_run(folder: Path) -> dict[str, str]:
    files = _file_digests(folder / "dgc", "labels/*.npy", "tree.json", "presence.csv")
    stores = _store_digests(folder / "dgc", "labels/*.zarr")
    return files | stores | _without_times(folder / "dgc" / "scores.json")


def _gmcr_run(folder: Path) -> dict[str, str]:
    (folder / "gmcr" / "scores.json").read_text()
    return _file_digests(folder / "gmcr", "concentrations.csv", "components.csv")


def _groups(folder: Path) -> dict[str, str]:
    return _file_digests(folder / "dgc", "groups.yaml", "group_spectra.*")


def _evaluation(folder: Path) -> dict[str, str]:
    return _without_times(folder / "evaluation.json")


def _predictions(folder: Path) -> dict[str, str]:
    (folder / "predicted" / "areas.json").read_text()
    files = _file_digests(folder / "predicted", "labels/*.npy", "areas.csv", "previews/*.npz")
    return files | _store_digests(folder / "predicted", "labels/*.zarr")


def _concentrations(folder: Path) -> dict[str, str]:
    (folder / "unmixed" / "scores.json").read_text()
    files = _file_digests(folder / "unmixed", "concentrations.csv")
    return files | _store_digests(folder / "unmixed", "concentrations/*.zarr")


def _page(folder: Path) -> dict[str, str]:
    page = (folder / "page.html").read_text()
    page = re.sub(r'"seconds": ?[0-9.]+', "", page)
    return {"page.html": _digest(page.encode())}
