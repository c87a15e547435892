"""A million pixels unmixed by a finished run of gmcr: time, peak memory, and how right it is.

    python -m benchmarks.gmcr.unmix_scale --out benchmarks/results/unmix_scale.json

A cube of --side x --side pixels and 200 bands in float16 is written tile by tile: 12 components of
overlapping peaks, one to three of them in a pixel by smooth fields, noise of 30 dB. A run of
``jaxhsi train gmcr`` at default settings learns it from 4,096 of its pixels.
``jaxhsi unmix`` then takes the cube and its first 256 x 256 pixels, which are a cube of
their own, each in a process of its own, with and without refinement; what is reported is the most
memory that the process ever held, the time of the whole command, and that of the pass over the
pixels, the first block's compilation included.

The RMSE is that of abundances against the truth, of matched components of unit length, in --sample
pixels; beside it that of exact non-negative least squares of these pixels, one by one by scipy, in
the components that the run found (``nnls``) and in the true ones (``nnls_true_components``).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.commands import measured
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results

SIDE, SMALL, BANDS, COUNT, MIXED, SNR_DB = 1024, 256, 200, 12, 3, 30.0
STEPS = (0, 10)
TILE = 128


# The cube -----------------------------------------------------------------------------------------


def components() -> np.ndarray:
    """Unit rows (k, c): sums of four peaks each."""
    random, bands = np.random.default_rng(0), np.linspace(0, 1, BANDS)
    place, width = random.uniform(0, 1, (COUNT, 4, 1)), random.uniform(0.02, 0.1, (COUNT, 4, 1))
    height = random.uniform(0.2, 1, (COUNT, 4, 1))
    rows = (height * np.exp(-0.5 * ((bands - place) / width) ** 2)).sum(1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def abundances(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of pixels (n, k): the largest smooth fields of each pixel, which sum to 1."""
    random = np.random.default_rng(1)
    waves, phase = random.normal(0, 0.03, (COUNT, 6, 2)), random.uniform(0, 2 * np.pi, (COUNT, 6))
    angle = waves[..., 0] * y[:, None, None] + waves[..., 1] * x[:, None, None] + phase
    field = np.exp(2 * np.cos(angle).sum(-1))
    least = np.sort(field, axis=1)[:, [-MIXED]]
    kept = np.where(field >= least, field, 0)
    shares = kept / kept.sum(1, keepdims=True)
    shares[shares < 0.05] = 0
    return shares / shares.sum(1, keepdims=True)


def spectra(y: np.ndarray, x: np.ndarray, seed: int) -> np.ndarray:
    """Noisy spectra (n, c) of pixels."""
    clean = abundances(y, x) @ components()
    deviation = np.sqrt((clean**2).mean(1, keepdims=True) * 10 ** (-SNR_DB / 10))
    return clean + deviation * np.random.default_rng(seed).normal(size=clean.shape)


def write_scene(path: Path, side: int) -> Path:
    """The part of the scene of so many pixels a side, tile by tile."""
    from jaxhsi.data.tiles import split_into_tiles
    from jaxhsi.data.zarr_writer import create_cube

    with create_cube(path, (side, side, BANDS), np.float16) as store:
        for i, tile in enumerate(split_into_tiles((side, side), (TILE, TILE))):
            rows, columns = tile.slices
            y, x = (a.ravel() for a in np.mgrid[rows, columns])
            values = spectra(y, x, 10 + i).reshape(tile.height, tile.width, BANDS)
            store[tile.slices].write(values.astype(np.float16)).result()
    return path


# What was found -----------------------------------------------------------------------------------


def rmse(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.sqrt(((found - true) ** 2).mean()))


def exactly(pixels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Non-negative least squares of each pixel, and seconds a pixel."""
    from scipy.optimize import nnls

    began = time.perf_counter()
    found = np.array([nnls(rows.T, pixel)[0] for pixel in pixels])
    return found, (time.perf_counter() - began) / len(pixels)


def judge(run: Path, outs: dict[int, Path], scene: Path, sample: int) -> dict:
    """Errors of a sample of pixels, beside those of exact solutions."""
    from jaxhsi.data.cube import open_cube
    from jaxhsi.gmcr.metrics import matched_cosines
    from jaxhsi.workflows.unmixing_model_file import read_unmixing_model

    rows = read_unmixing_model(run / "solution.npz").components
    matched, side = matched_cosines(rows, components()), open_cube(scene).shape[0]
    flat = np.random.default_rng(2).choice(side**2, sample, replace=False)
    y, x = np.divmod(np.sort(flat), side)
    true = np.zeros((sample, len(rows)))
    true[:, matched.found_index] = abundances(y, x)[:, matched.true_index]
    report = {"components": len(rows), "cosine_min": float(matched.cosine.min()), "sample": sample}
    found = {}
    for steps, out in outs.items():
        store = open_cube(out / "concentrations" / f"{scene.stem}.zarr").array
        found[steps] = store.vindex[y, x].read().result()
    pixels = open_cube(scene).array.vindex[y, x].read().result().astype(float)
    exact, seconds = exactly(pixels, rows.astype(float))
    best, _ = exactly(pixels, components())
    report["rmse"] = {f"refine_{steps}": rmse(each, true) for steps, each in found.items()}
    report["rmse"] |= {"nnls": rmse(exact, true)}
    report["rmse"] |= {"nnls_true_components": rmse(best, abundances(y, x))}
    apart = {f"refine_{steps}": rmse(each, exact) for steps, each in found.items()}
    return report | {"rmse_against_nnls": apart, "nnls_seconds_a_pixel": seconds}


def measure(folder: Path, side: int, sample: int) -> dict:
    """All of it in a folder."""
    scenes = {size: write_scene(folder / f"scene{size}.zarr", size) for size in (SMALL, side)}
    run, outs = folder / "run", {}
    report = {"shape": [side, side, BANDS], "components": COUNT, "mixed": MIXED, "snr_db": SNR_DB}
    report["train"] = measured("train", "gmcr", "--data", str(scenes[side]), "--out", str(run))
    print(report["train"], flush=True)
    report["unmix"] = []
    for size, scene in scenes.items():
        for steps in STEPS:
            outs[steps] = folder / f"out-{size}-{steps}"
            given = (str(run), str(scene), "--out", str(outs[steps]), "--refine_steps", str(steps))
            result = measured("unmix", *given)
            told = json.loads((outs[steps] / "scores.json").read_text())["cubes"][scene.stem]
            row = {"side": size, "refine": steps} | result
            row |= {"pass_seconds": told["seconds"], "pixels_per_second": told["pixels_per_second"]}
            row |= {name: told[name] for name in ("r2", "poorly_explained", "mean_components")}
            report["unmix"].append(row)
            print(row, flush=True)
    return report | {"quality": judge(run, outs, scenes[side], sample)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--side", type=int, default=SIDE, help="of the cube in pixels")
    parser.add_argument("--sample", type=int, default=5000, help="pixels that are judged")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), options.side, options.sample)
    report = {"machine": describe_machine(), "versions": describe_versions()} | report
    write_results(options.out, report)
    print(json.dumps(report["quality"], indent=1))


if __name__ == "__main__":
    main()
