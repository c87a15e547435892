"""Scores in bfloat16 beside those in float32, of both methods on the built-in data.

    python -m benchmarks.runtime.precision --out precision.json [--seeds 3] [--image_size 256]
                                           [--steps 300] [--gmcr_seeds 3]

DGC: leaf scenes, a seed being another set of scenes, trained on and labelled in each precision.
gMCR: concentrations of new mixtures by the networks of one run, whose solver is float32 either way.
CPUs emulate bfloat16: there the times say nothing.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results
from jaxhsi.config.dgc import DGCConfig, SceneOptions
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import mixtures
from jaxhsi.unmixing import unmix
from jaxhsi.workflows.dgc_run import run_dgc

PRECISIONS = ("float32", "bfloat16")
SNR_DB = (20.0, 30.0, 60.0)
NUM_NEW_SPECTRA = 2000


def dgc_rows(seed: int, image_size: int, steps: int) -> Iterator[dict]:
    """Scores of the test scenes of a seed."""
    scenes = SceneOptions(image_size=image_size, num_train=6, num_test=4, seed=10 * seed)
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as scratch:
            config = DGCConfig(scenes=scenes, seed=seed, steps=steps, precision=precision)
            scores = run_dgc(replace(config, out=Path(scratch) / "run"))
        yield {
            "method": "dgc",
            "seed": seed,
            "precision": precision,
            "mean_iou": scores["mean_iou"]["merge"],
            "oa": scores["oa"]["merge"],
            "start_mean_iou": scores["start"]["mean_iou"]["merge"],
            "kept_step": scores["kept_step"],
        }


def gmcr_rows(seed: int, snr_db: float) -> Iterator[dict]:
    """Errors of the concentrations of new mixtures, by the components that were found."""
    options = MixtureOptions(snr_db=snr_db)
    train_key, new_key = jax.random.split(jax.random.key(seed))
    table = jax.device_get(mixtures(train_key, 4 * options.num_components, options))
    new = jax.device_get(mixtures(new_key, NUM_NEW_SPECTRA, options, table.components))
    result = unmix(table.data, restarts=1, ranges=False, seed=seed, precision="float32")
    for precision in PRECISIONS:
        network_options = replace(result.model.network_options, product_dtype=precision)
        model = replace(result.model, network_options=network_options)
        concentrations = model.transform(new.data)
        error = concentrations @ result.components - new.clean
        yield {
            "method": "gmcr",
            "seed": seed,
            "snr_db": snr_db,
            "precision": precision,
            "clean_error": float(np.linalg.norm(error) / np.linalg.norm(new.clean)),
            "mean_components": float((concentrations != 0).sum(1).mean()),
        }


def main() -> None:
    """Parse the options and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gmcr_seeds", type=int, default=3)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    rows = []
    for seed in range(given.gmcr_seeds):
        for snr_db in SNR_DB:
            rows += gmcr_rows(seed, snr_db)
    for seed in range(given.seeds):
        rows += dgc_rows(seed, given.image_size, given.steps)
    report = {"machine": describe_machine(), "versions": describe_versions()}
    report |= {"image_size": given.image_size, "steps": given.steps, "rows": rows}
    write_results(given.out, report)


if __name__ == "__main__":
    main()
