"""Number of components and spectra on tables as laboratories measure them, beside other methods.

jaxhsi finds the number itself. pyMCR and NMF are told it. Parallel analysis, Gavish and Donoho's
threshold and Malinowski's indicator give a number alone. Cosines are those of matched components,
the error that of concentrations relative to the true ones. Seconds of jaxhsi hold the compilation
of what earlier rows did not need.

    python -m benchmarks.gmcr.field --out field.json --seeds 10
    python -m benchmarks.gmcr.field --out field.json --show
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.gmcr.cases import Case, carbs_case
from benchmarks.gmcr.field_tables import KINDS as SAMPLE_KINDS
from benchmarks.gmcr.ordered_tables import ORDERED_KINDS
from benchmarks.gmcr.rivals import mcr_als, nmf
from benchmarks.gmcr.scores import Answer, scores
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results

CARBS = "carbohydrates (measured)"
KINDS = SAMPLE_KINDS | ORDERED_KINDS


def jaxhsi_answer(case: Case, seed: int) -> Answer:
    """The default of the package, one restart, ranges left out; the order is told where it is."""
    import jaxhsi

    order = {"ordered": True, "runs": case.run_lengths} if case.run_lengths else {}
    result = jaxhsi.unmix(case.data, restarts=1, ranges=False, seed=seed, **order)
    return Answer(result.components, result.concentrations, offset=result.model.offset)


METHODS: dict[str, Callable[[Case, int], Answer]] = {
    "jaxhsi": jaxhsi_answer,
    "pyMCR, told": mcr_als,
    "NMF, told": nmf,
}


def parallel_analysis(x: np.ndarray, draws: int = 20) -> int:
    """Singular values above the 95th percentile of those of tables with permuted columns.

    Source: Horn 1965 (Psychometrika 30, 179).
    """
    random = np.random.default_rng(0)
    centred = x - x.mean(axis=0)
    permuted = [random.permuted(centred, axis=0) for _ in range(draws)]
    limits = np.percentile([np.linalg.svd(each, compute_uv=False) for each in permuted], 95, 0)
    above = np.linalg.svd(centred, compute_uv=False) > limits
    return int(np.argmin(above)) if not above.all() else len(above)


def gavish_donoho(x: np.ndarray) -> int:
    """Singular values above omega(beta) times their median.

    Source: Gavish and Donoho 2014 (IEEE Trans. Inf. Theory 60, 5040), equation 5.
    """
    beta = min(x.shape) / max(x.shape)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    values = np.linalg.svd(x, compute_uv=False)
    return int(np.sum(values > omega * np.median(values)))


def malinowski_indicator(x: np.ndarray) -> int:
    """The number that minimises the indicator function of factor analysis.

    Source: Malinowski 1977 (Anal. Chem. 49, 612).
    """
    eigenvalues = np.linalg.svd(x, compute_uv=False) ** 2
    size, rows = len(eigenvalues), max(x.shape)
    numbers = np.arange(1, size - 1)
    rest = np.array([eigenvalues[number:].sum() for number in numbers])
    error = np.sqrt(rest / (rows * (size - numbers)))
    return int(numbers[np.argmin(error / (size - numbers) ** 2)])


COUNTS = {
    "parallel analysis": parallel_analysis,
    "Gavish-Donoho": gavish_donoho,
    "Malinowski": malinowski_indicator,
}


def row_of(kind: str, seed: int, methods: Sequence[str] = tuple(METHODS)) -> dict:
    """What each method finds in one table; those that are told the number have none."""
    case = carbs_case() if kind == CARBS else KINDS[kind](seed)
    row = {"kind": kind, "seed": seed, "true_count": len(case.components)}
    for method in methods:
        solve = METHODS[method]
        start = time.perf_counter()
        try:
            measured = scores(case, solve(case, seed))
        except (ValueError, np.linalg.LinAlgError) as error:
            row[method] = {"count": 0, "error": str(error)[:80]}
            continue
        found = {} if method.endswith("told") else {"count": measured["count"]}
        names = {"cosine": "matched_cosine_min", "concentrations": "concentration_error"}
        found |= {short: measured[name] for short, name in names.items() if name in measured}
        row[method] = found | {"seconds": round(time.perf_counter() - start, 1)}
    return row | {method: {"count": count(case.data)} for method, count in COUNTS.items()}


def table(rows: list[dict]) -> str:
    """Markdown: exact numbers, worst miss, least cosine and error of each kind and method."""
    lines = [
        "| data | method | runs | exact | furthest off | cosine, median of the least (worst) "
        "| concentration error, median | seconds, median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in (*KINDS, CARBS):
        mine = [row for row in rows if row["kind"] == kind]
        for method in (*METHODS, *COUNTS) if mine else ():
            lines.append(f"| {kind} | {method} | {_cells(mine, method)} |")
    return "\n".join(lines)


def _cells(rows: list[dict], method: str) -> str:
    found = [row[method] for row in rows]
    cells = [str(len(rows))]
    if method.endswith("told"):
        cells += ["-", "-"]
    else:
        misses = np.array([row[method]["count"] - row["true_count"] for row in rows])
        furthest = misses[np.argmax(np.abs(misses))]
        cells += [str(int(np.sum(misses == 0))), f"{furthest:+d}" if furthest else "0"]
    cosines, errors, seconds = (
        [each[name] for each in found if name in each]
        for name in ("cosine", "concentrations", "seconds")
    )
    cells += [
        f"{np.median(cosines):.4f} ({min(cosines):.3f})" if cosines else "-",
        f"{np.median(errors):.3f}" if errors else "-",
        f"{np.median(seconds):.1f}" if seconds else "-",
    ]
    return " | ".join(cells)


def main() -> None:
    """Measure what the file does not hold yet, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or go on with")
    parser.add_argument("--seeds", type=int, default=10, help="of each kind")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS, CARBS], help="to measure")
    parser.add_argument("--again", nargs="*", choices=METHODS, help="measure in rows of the file")
    parser.add_argument("--show", action="store_true", help="only the table of the file")
    options = parser.parse_args()
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    if options.out.is_file():
        report["rows"] = json.loads(options.out.read_text())["rows"]
    for row in report["rows"] if options.again else ():
        if row["kind"] in options.kinds:
            row |= row_of(row["kind"], row["seed"], options.again)
            write_results(options.out, report)
    measured = {(row["kind"], row["seed"]) for row in report["rows"]}
    for seed in range(0 if options.show else options.seeds):
        for kind in options.kinds:
            if (kind, seed) in measured or (kind == CARBS and seed):
                continue
            row = row_of(kind, seed)
            report["rows"].append(row)
            write_results(options.out, report)
            counts = [f"{name} {row[name]['count']}" for name in ("jaxhsi", *COUNTS)]
            print(f"{kind}, seed {seed}, true {row['true_count']}:", *counts, flush=True)
    print(table(report["rows"]))


if __name__ == "__main__":
    main()
