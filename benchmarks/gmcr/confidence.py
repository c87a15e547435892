"""How often components of some evidence are real: what `component_confidence` should say.

    python -m benchmarks.gmcr.confidence --out gmcr_confidence.json [--seeds 4] [--budget MINUTES]

Mixtures of 8 and 16 components under noise of many kinds, faint, rare and twin components among
them, are solved without a vote, so that what restarts would reject is seen too; so are tables as
laboratories measure them (`field_tables`), with one restart and with five. A component is real
where its cosine with the true one that it is matched to is at least 0.8. A logistic curve of the
logarithm of its evidence is fitted to them all; the tables show, for ranges of the confidence that
jaxhsi gives, how many were real, and for each kind how many false ones the confidences expect. Runs
are saved as they come, and not made again.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LogisticRegression

import jaxhsi
from benchmarks.gmcr.field_tables import KINDS as FIELD_KINDS
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import mixtures
from jaxhsi.gmcr.diagnostics import ModelConfidence, assess_confidence
from jaxhsi.gmcr.fit import fit_components
from jaxhsi.gmcr.whitened_solution import whiten_solution

REAL = 0.8
KINDS: dict[str, dict] = {
    "20 dB": {},
    "10 dB": {"snr_db": 10.0},
    "5 dB": {"snr_db": 5.0},
    "correlated": {"correlation": 0.8},
    "correlated, 10 dB": {"correlation": 0.8, "snr_db": 10.0},
    "channels": {"channel_spread": 0.5},
    "drift": {"drift": 0.1},
    "drift, strong": {"drift": 0.3},
    "offset": {"offset": 0.3},
    "rare": {"rare": 2, "rare_samples": 3},
    "rare, 10 dB": {"rare": 2, "rare_samples": 3, "snr_db": 10.0},
    "twins": {"twin_cosine": 0.95},
    "bilinear": {"mixing": "bilinear", "strength": 0.3},
    "detector_saturation": {"mixing": "detector_saturation", "strength": 0.3},
    "peaks": {"spectra": "peaks"},
}


def builtin_run(kind: str, count: int, seed: int) -> dict:
    """Evidence, confidence and true cosine of each component of a built-in mixture."""
    options = MixtureOptions(num_components=count, **KINDS[kind])
    made = mixtures(jax.random.key(seed), 4 * count, options)
    found = fit_components(jax.random.key(seed), made.data, restarts=1)
    sure = assess_confidence(whiten_solution(found, np.asarray(made.data)), count_radius=1)
    return _run(kind, seed, 1, found.components, np.asarray(made.components), sure)


def field_run(kind: str, seed: int, restarts: int) -> dict:
    """The same of a table as laboratories measure it."""
    case = FIELD_KINDS[kind](seed)
    found = jaxhsi.unmix(case.data, restarts=restarts, ranges=False, seed=seed)
    return _run(kind, seed, restarts, found.components, case.components, found.diagnostics)


def _run(
    kind: str,
    seed: int,
    restarts: int,
    components: np.ndarray,
    true_components: np.ndarray,
    sure: ModelConfidence,
) -> dict:
    cosines = components @ true_components.T
    cosines /= np.linalg.norm(true_components, axis=1)
    cosines /= np.linalg.norm(components, axis=1)[:, None]
    mine, true = linear_sum_assignment(-cosines)
    matched = np.zeros(len(cosines))
    matched[mine] = cosines[mine, true]
    parts = sure.evidence_ratio, sure.component_confidence, matched
    return {
        "kind": kind,
        "true": len(true_components),
        "seed": seed,
        "restarts": restarts,
        "plausible": [int(each) for each in sure.plausible_counts],
        "components": [[float(part[i]) for part in parts] for i in range(len(cosines))],
    }


def components_of(runs: list[dict]) -> np.ndarray:
    """Evidence, confidence and cosine of the components of runs, one a row."""
    return np.array([each for run in runs for each in run["components"]]).reshape(-1, 3)


def calibration(runs: list[dict]) -> tuple[float, float]:
    """Logarithm of the evidence at which half are real, and the slope there."""
    evidence, _, cosine = components_of(runs).T
    model = LogisticRegression(C=10.0).fit(np.log(evidence)[:, None], cosine >= REAL)
    slope = float(model.coef_[0, 0])
    return -float(model.intercept_[0]) / slope, slope


def table(runs: list[dict]) -> str:
    """Markdown: of the components of each range of confidence, the share that is real."""
    lines = ["| confidence given | components | real |", "|---|---|---|"]
    _, confidence, cosine = components_of(runs).T
    for low, high in pairwise((0.0, 0.5, 0.8, 0.95, 0.99, 1.0 + 1e-9)):
        mine = (low <= confidence) & (confidence < high)
        if mine.any():
            real = np.mean(cosine[mine] >= REAL)
            lines.append(f"| {low:.2f} to {min(high, 1):.2f} | {mine.sum()} | {real:.3f} |")
    return "\n".join(lines)


def counts(runs: list[dict]) -> str:
    """Markdown, by kind: exact numbers, false components, and least confidence of a right one."""
    lines = [
        "| data | restarts | runs | exact | truth is plausible | components | false, expected "
        "| false, observed | least confidence at a cosine of 0.99 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, restarts in dict.fromkeys((run["kind"], run["restarts"]) for run in runs):
        mine = [run for run in runs if (run["kind"], run["restarts"]) == (kind, restarts)]
        exact = sum(len(run["components"]) == run["true"] for run in mine)
        held = sum(run["plausible"][0] <= run["true"] <= run["plausible"][1] for run in mine)
        _, confidence, cosine = components_of(mine).T
        right = confidence[cosine > 0.99]
        cells = [kind, restarts, len(mine), exact, held, len(cosine)]
        cells += [f"{np.sum(1 - confidence):.1f}", int(np.sum(cosine < REAL))]
        cells += [f"{right.min():.2f}" if len(right) else "-"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def plan(seeds: int) -> Iterator[tuple[tuple, Callable[[], dict]]]:
    """Identity and function of every run, field tables first."""
    for seed in range(seeds):
        for restarts in (1, 5):
            for kind in FIELD_KINDS:
                yield (kind, seed, restarts, None), partial(field_run, kind, seed, restarts)
        for kind in KINDS:
            for count in (8, 16):
                yield (kind, seed, 1, count), partial(builtin_run, kind, count, seed)


def identity(run: dict) -> tuple:
    """What tells a run from others; the number of field tables follows from the seed."""
    count = None if run["kind"] in FIELD_KINDS else run["true"]
    return run["kind"], run["seed"], run["restarts"], count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or go on with")
    parser.add_argument("--seeds", type=int, default=4, help="of each kind")
    parser.add_argument("--budget", type=float, default=1e9, help="minutes to stop after")
    parser.add_argument("--show", action="store_true", help="only the tables of the file")
    options = parser.parse_args()
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    if options.out.is_file():
        report["rows"] = json.loads(options.out.read_text())["rows"]
    done = {identity(run) for run in report["rows"]}
    began = time.perf_counter()
    for name, measure in plan(0 if options.show else options.seeds):
        if name not in done and time.perf_counter() - began < 60 * options.budget:
            report["rows"].append(measure())
            write_results(options.out, report)
            print(*name, len(report["rows"][-1]["components"]), flush=True)
    print("half are real at log evidence {:.2f}, slope {:.2f}".format(*calibration(report["rows"])))
    print(table(report["rows"]))
    print(counts(report["rows"]))


if __name__ == "__main__":
    main()
