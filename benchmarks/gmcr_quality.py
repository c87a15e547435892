"""Components found by the default solver beside methods that are told their number, over seeds.

    python benchmarks/gmcr_quality.py --out gmcr_quality.json [--n 16 64 256] [--snr 20 30]
        [--seeds 0 1 2] [--methods ...] [--carbs carbs.npz]
    python benchmarks/gmcr_quality.py --out gmcr_quality.json --table

Data: N components of 512 bands, 4N samples that mix one to four of them, white noise; and carbs,
Raman spectra of mixed carbohydrates, where a path is given. A row is written as soon as it is
there, and rows that the file holds are not run again. Each runs in a process of its own; seconds
are those of the answer, compilation included, imports and data not.

jaxhsi finds the number itself, the classical route too but for being told
how the noise depends on the sample; NMF, FastICA and MCR-ALS are given the
true one. FastICA takes the spectra as sources; MCR-ALS is pyMCR's, with its defaults, from the
samples that successive projection picks. `jaxhsi, new spectra` is the network trained on jaxhsi's
answer, on 8192 other mixtures of the same components. The noise of carbs has a mean of its own,
which no method can tell from the spectra: R2 noise-free is low for all of them, and for the truth.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from classical import classical, successive_projection
from machine import describe_machine, describe_versions, installed
from scipy.optimize import linear_sum_assignment, nnls

NEW = 8192
BLOCK = 4096


class Case(NamedTuple):
    """Spectra and their truth, all float64, and whether the noise is as strong in all of them."""

    data: np.ndarray
    clean: np.ndarray
    concentrations: np.ndarray
    components: np.ndarray
    additive: bool = False


class Answer(NamedTuple):
    """Components (k, c), concentrations (n, k)."""

    components: np.ndarray
    concentrations: np.ndarray


def benchmark_case(n: int, snr: float, seed: int, count: int | None = None) -> Case:
    """The paper's mixtures; with a count, other ones of the same components."""
    import jax

    from jaxhsi.data.mixtures import MixtureOptions, mixtures

    options = MixtureOptions(num_components=n, snr_db=snr)
    key = jax.random.key(seed)
    made = mixtures(key, 4 * n, options)
    if count:
        made = mixtures(jax.random.fold_in(key, 1), count, options, made.components)
    return Case(*(np.asarray(part, float) for part in made))


def carbs_case(path: str) -> Case:
    stored = np.load(path)
    truth, codes = stored["S"].T, stored["C"]
    return Case(np.asarray(stored["D"], float), codes @ truth, codes, truth, True)


def scores(case: Case, found: Answer) -> dict:
    """How well components and concentrations agree with the truth, matched by cosine."""
    norm = np.linalg.norm(found.components, axis=1)
    kept = norm > 0
    components = found.components[kept] / norm[kept, None]
    codes = found.concentrations[:, kept] * norm[kept]
    true_norm = np.linalg.norm(case.components, axis=1)
    cosines = components @ (case.components / true_norm[:, None]).T
    rows, columns = linear_sum_assignment(-cosines)
    matched = np.zeros(case.concentrations.shape)
    matched[:, columns] = codes[:, rows]
    true_codes = case.concentrations * true_norm
    fit = codes @ components
    return {
        "count": len(components),
        "true_count": len(case.components),
        "matched_cosine_mean": float(cosines[rows, columns].mean()),
        "matched_cosine_min": float(cosines[rows, columns].min()),
        "r2": r2(case.data, fit),
        "r2_noise_free": r2(case.clean, fit),
        "r2_of_truth": r2(case.data, case.clean),
        "active": active(codes),
        "true_active": active(case.concentrations),
        "concentration_error": float(
            np.linalg.norm(matched - true_codes) / np.linalg.norm(true_codes)
        ),
    }


def r2(x: np.ndarray, fit: np.ndarray) -> float:
    """Share of the squares around the bands' means that is explained."""
    return float(1 - np.sum((x - fit) ** 2) / np.sum((x - x.mean(0)) ** 2))


def active(codes: np.ndarray) -> float:
    """Components that are not zero, per sample."""
    return float(np.mean(np.sum(np.abs(codes) > 1e-6 * np.abs(codes).max(), axis=1)))


def nmf(case: Case, seed: int) -> Answer:
    from sklearn.decomposition import NMF

    model = NMF(len(case.components), init="nndsvda", max_iter=1000, random_state=seed)
    codes = model.fit_transform(np.maximum(case.data, 0))
    return Answer(model.components_, codes)


def fast_ica(case: Case, seed: int) -> Answer:
    """Sources without their means taken away, turned to be positive."""
    from sklearn.decomposition import FastICA

    model = FastICA(len(case.components), whiten="unit-variance", max_iter=1000, random_state=seed)
    model.fit(case.data.T)
    spectra = model.components_ @ case.data
    sign = np.where(spectra.sum(axis=1) < 0, -1.0, 1.0)
    return Answer(spectra * sign[:, None], model.mixing_ * sign)


def mcr_als(case: Case, seed: int) -> Answer:
    from pymcr.mcr import McrAR

    start = np.maximum(case.data[successive_projection(case.data, len(case.components))], 0)
    model = McrAR(max_iter=200)
    model.fit(case.data, ST=start)
    return Answer(model.ST_opt_, model.C_opt_)


def classical_route(case: Case, seed: int) -> Answer:
    return Answer(*classical(case.data, scaled=not case.additive))


RIVALS = {
    "classical route": classical_route,
    "NMF, given N": nmf,
    "FastICA, given N": fast_ica,
    "MCR-ALS, given N": mcr_als,
}
METHODS = ("jaxhsi", *RIVALS)


def solved(row: dict, case: Case) -> Iterator[dict]:
    """The default solver, then new spectra through the network trained on its answer."""
    import jax

    from jaxhsi.runtime.solve import solve

    start = time.perf_counter()
    solution = jax.block_until_ready(
        solve(jax.random.key(row["seed"]), case.data.astype(np.float32))
    )
    seconds = time.perf_counter() - start
    answer = Answer(*(np.asarray(part, float) for part in solution[:2]))
    yield row | {"seconds": seconds} | scores(case, answer)
    if row["n"] and len(answer.components):
        new = benchmark_case(row["n"], row["snr"], row["seed"], NEW)
        yield (
            row | {"method": "jaxhsi, new spectra"} | new_spectra(row["seed"], case, solution, new)
        )


def new_spectra(seed: int, case: Case, solution: NamedTuple, new: Case) -> dict:
    """Scores, speed, and least squares on the same components beside."""
    import jax

    from jaxhsi.runtime.unmix import train_amortised, unmix_stream

    start = time.perf_counter()
    method, state = train_amortised(jax.random.key(seed), solution, case.data.astype(np.float32))
    jax.block_until_ready(state)
    seconds = time.perf_counter() - start
    unmix, x = jax.jit(method.unmix), new.data.astype(np.float32)
    parts = list(unmix_stream(unmix, state.params, np.split(x, len(x) // BLOCK)))
    codes = np.concatenate([part.concentrations for part in parts]).astype(float)
    components = np.asarray(solution.components, float)
    return (
        {"seconds": seconds, "spectra_per_second": speed(unmix, state.params, x[:BLOCK])}
        | scores(new, Answer(components, codes))
        | least_squares(components, new)
    )


def speed(unmix, params: NamedTuple, x: np.ndarray, times: int = 31) -> float:
    """Spectra per second, reconstruction included; the median of many calls."""
    import jax

    x, seconds = jax.device_put(x), []
    jax.block_until_ready(unmix(params, x))
    for _ in range(times):
        start = time.perf_counter()
        jax.block_until_ready(unmix(params, x))
        seconds.append(time.perf_counter() - start)
    return len(x) / float(np.median(seconds))


def least_squares(components: np.ndarray, new: Case) -> dict[str, float]:
    """R2 against the noise-free data of plain and of non-negative least squares."""
    some = slice(0, 1024)
    plain = new.data @ np.linalg.pinv(components)
    positive = np.stack([nnls(components.T, x)[0] for x in new.data[some]])
    return {
        "least_squares_r2_noise_free": r2(new.clean, plain @ components),
        "nnls_r2_noise_free": r2(new.clean[some], positive @ components),
        "nnls_active": active(positive),
    }


def rows_of(row: dict, carbs: str | None) -> Iterator[dict]:
    """What one process measures."""
    built_in = row["n"] is not None
    case = benchmark_case(row["n"], row["snr"], row["seed"]) if built_in else carbs_case(carbs)
    if row["method"] == "jaxhsi":
        yield from solved(row, case)
        return
    warnings.filterwarnings("ignore", message=".*converge.*")  # the scores tell
    start = time.perf_counter()
    answer = RIVALS[row["method"]](case, row["seed"])
    seconds = time.perf_counter() - start
    yield row | {"seconds": seconds} | scores(case, answer)


def table(rows: list[dict]) -> str:
    """Markdown: counts of all seeds, the mean and the worst cosine, medians of the rest."""
    lines = [
        "| data | method | count | matched cosine, mean (worst) | R2 noise-free | R2 | "
        "active (true) | concentration error | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, method in dict.fromkeys((row["case"], row["method"]) for row in rows):
        mine = [row for row in rows if (row["case"], row["method"]) == (case, method)]
        middle = {
            name: float(np.median([row[name] for row in mine]))
            for name, value in mine[0].items()
            if isinstance(value, float)
        }
        counts = " ".join(str(row["count"]) for row in mine)
        worst = min(row["matched_cosine_min"] for row in mine)
        rate = f", {middle['spectra_per_second']:,.0f}/s" if "spectra_per_second" in middle else ""
        lines.append(
            f"| {case} | {method} | {counts} | {middle['matched_cosine_mean']:.4f} ({worst:.3f}) | "
            f"{middle['r2_noise_free']:.4f} | {middle['r2']:.4f} | "
            f"{middle['active']:.1f} ({middle['true_active']:.1f}) | "
            f"{middle['concentration_error']:.3f} | {middle['seconds']:.1f}{rate} |"
        )
    return "\n".join(lines)


def wanted(options: argparse.Namespace) -> Iterator[dict]:
    """The rows asked for, without scores."""
    for seed in options.seeds:
        for n in options.n:
            for snr in options.snr:
                for method in options.methods:
                    case = f"N={n}, {snr:g} dB"
                    yield {"case": case, "n": n, "snr": snr, "seed": seed, "method": method}
    for method in options.methods if options.carbs else ():
        yield {"case": "carbs", "n": None, "snr": None, "seed": 0, "method": method}


def measured(row: dict, options: argparse.Namespace) -> list[dict]:
    """Run a row in a process of its own."""
    command = [sys.executable, __file__, "--out", str(options.out), "--row", json.dumps(row)]
    command += ["--carbs", options.carbs] if options.carbs else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or go on with")
    parser.add_argument("--n", type=int, nargs="*", default=[16, 64, 256], help="components")
    parser.add_argument("--snr", type=float, nargs="*", default=[20, 30], help="dB")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="seeds")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--carbs", help="carbs.npz, with D, C and S")
    parser.add_argument("--table", action="store_true", help="print the file's rows as Markdown")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.row:
        print(json.dumps(list(rows_of(options.row, options.carbs))))
        return
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    report["versions"]["pymcr"] = installed("pymcr")
    if options.out.exists():
        report["rows"] = json.loads(options.out.read_text())["rows"]
    if not options.table:
        done = {(row["case"], row["seed"], row["method"]) for row in report["rows"]}
        for row in wanted(options):
            if (row["case"], row["seed"], row["method"]) not in done:
                report["rows"] += measured(row, options)
                options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report["rows"]))


if __name__ == "__main__":
    main()
