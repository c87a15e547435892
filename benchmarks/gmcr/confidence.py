"""How often components of some evidence are real: what `gmcr.certainty.confidence` should say.

    python -m benchmarks.gmcr.confidence --out gmcr_confidence.json [--seeds 4] [--budget MINUTES]

Mixtures of 8 and 16 components under noise of many kinds, faint, rare and twin components among
them, are solved without a vote, so that what restarts would reject is seen too. A component is real
where its cosine with the true one that it is matched to is at least 0.8. A logistic curve of the
logarithm of its evidence is fitted to them all; the table shows, for ranges of the confidence that
jaxhsi gives, how many were real. Rows are saved as they come, and not made again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LogisticRegression

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import mixtures
from jaxhsi.gmcr.diagnostics import assess_confidence
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


def rows(kind: str, count: int, seed: int) -> Iterator[dict]:
    """Each component of an answer: its evidence, the confidence given, and its true cosine."""
    options = MixtureOptions(num_components=count, **KINDS[kind])
    made = mixtures(jax.random.key(seed), 4 * count, options)
    found = fit_components(jax.random.key(seed), made.data, restarts=1)
    sure = assess_confidence(whiten_solution(found, np.asarray(made.data)), count_radius=1)
    cosines = found.components @ np.asarray(made.components).T
    cosines /= np.linalg.norm(made.components, axis=1)
    mine, true = linear_sum_assignment(-cosines)
    matched = np.zeros(len(cosines))
    matched[mine] = cosines[mine, true]
    low, high = sure.plausible_counts
    for evidence, chance, cosine in zip(
        sure.evidence_ratio, sure.component_confidence, matched, strict=True
    ):
        yield {
            "kind": kind,
            "true": count,
            "seed": seed,
            "count": len(cosines),
            "plausible": [low, high],
            "evidence": float(evidence),
            "confidence": float(chance),
            "cosine": float(cosine),
        }


def calibration(found: list[dict]) -> tuple[float, float]:
    """Logarithm of the evidence at which half are real, and the slope there."""
    x = np.log([[row["evidence"]] for row in found])
    real = np.array([row["cosine"] >= REAL for row in found])
    model = LogisticRegression(C=10.0).fit(x, real)
    slope = float(model.coef_[0, 0])
    return -float(model.intercept_[0]) / slope, slope


def table(found: list[dict]) -> str:
    """Markdown: of the components of each range of confidence, the share that is real."""
    lines = ["| confidence given | components | real |", "|---|---|---|"]
    edges = (0.0, 0.5, 0.8, 0.95, 0.99, 1.0 + 1e-9)
    for low, high in pairwise(edges):
        mine = [row for row in found if low <= row["confidence"] < high]
        if mine:
            real = np.mean([row["cosine"] >= REAL for row in mine])
            lines.append(f"| {low:.2f} to {min(high, 1):.2f} | {len(mine)} | {real:.3f} |")
    return "\n".join(lines)


def counts(found: list[dict]) -> str:
    """Markdown: how often the number is exact, and how often the plausible ones hold the truth."""
    lines = ["| data | runs | exact | truth is plausible |", "|---|---|---|---|"]
    runs = {(row["kind"], row["true"], row["seed"]): row for row in found}
    for kind in KINDS:
        mine = [row for row in runs.values() if row["kind"] == kind]
        if mine:
            exact = sum(row["count"] == row["true"] for row in mine)
            held = sum(row["plausible"][0] <= row["true"] <= row["plausible"][1] for row in mine)
            lines.append(f"| {kind} | {len(mine)} | {exact} | {held} |")
    return "\n".join(lines)


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
    done = {(row["kind"], row["true"], row["seed"]) for row in report["rows"]}
    began = time.perf_counter()
    for seed in range(0 if options.show else options.seeds):
        for kind in KINDS:
            for count in (8, 16):
                late = time.perf_counter() - began > 60 * options.budget
                if (kind, count, seed) not in done and not late:
                    report["rows"] += rows(kind, count, seed)
                    write_results(options.out, report)
    print("half are real at log evidence {:.2f}, slope {:.2f}".format(*calibration(report["rows"])))
    print(table(report["rows"]))
    print(counts(report["rows"]))


if __name__ == "__main__":
    main()
