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
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.gmcr.cases import Case, carbs_case
from benchmarks.gmcr.field_tables import KINDS
from benchmarks.gmcr.rivals import mcr_als, nmf
from benchmarks.gmcr.scores import Answer, scores
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results

CARBS = "carbohydrates (measured)"


def jaxhsi_answer(case: Case, seed: int) -> Answer:
    """The default of the package, one restart, ranges left out."""
    import jaxhsi

    result = jaxhsi.unmix(case.data, restarts=1, ranges=False, seed=seed)
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


def rows_of(kind: str, seed: int) -> list[dict]:
    """A row for each method on one table."""
    case = carbs_case() if kind == CARBS else KINDS[kind](seed)
    true_count, rows = len(case.components), []
    for method, solve in METHODS.items():
        start = time.perf_counter()
        try:
            measured = scores(case, solve(case, seed))
        except (ValueError, np.linalg.LinAlgError) as error:
            measured = {"count": 0, "error": str(error)[:80]}
        row = {"kind": kind, "seed": seed, "method": method, "true_count": true_count}
        names = ("count", "matched_cosine_min", "concentration_error", "error")
        row |= {name: measured[name] for name in names if name in measured}
        rows.append(row | {"seconds": time.perf_counter() - start})
    for method, count in COUNTS.items():
        row = {"kind": kind, "seed": seed, "method": method, "true_count": true_count}
        rows.append(row | {"count": count(case.data)})
    return rows


def table(rows: list[dict]) -> str:
    """Markdown: exact numbers, worst miss, least cosine and error of each kind and method."""
    lines = [
        "| data | method | runs | exact | furthest off | cosine, median of the least (worst) "
        "| concentration error, median | seconds, median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in (*KINDS, CARBS):
        for method in (*METHODS, *COUNTS):
            mine = [row for row in rows if row["kind"] == kind and row["method"] == method]
            if mine:
                lines.append(f"| {kind} | {method} | {_cells(mine)} |")
    return "\n".join(lines)


def _cells(rows: list[dict]) -> str:
    misses = np.array([row["count"] - row["true_count"] for row in rows])
    cosines = [row["matched_cosine_min"] for row in rows if "matched_cosine_min" in row]
    errors = [row["concentration_error"] for row in rows if "concentration_error" in row]
    seconds = [row["seconds"] for row in rows if "seconds" in row]
    furthest = misses[np.argmax(np.abs(misses))]
    return " | ".join(
        (
            str(len(rows)),
            str(int(np.sum(misses == 0))),
            f"{furthest:+d}" if furthest else "0",
            f"{np.median(cosines):.4f} ({min(cosines):.3f})" if cosines else "-",
            f"{np.median(errors):.3f}" if errors else "-",
            f"{np.median(seconds):.1f}" if seconds else "-",
        )
    )


def main() -> None:
    """Measure what the file does not hold yet, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or go on with")
    parser.add_argument("--seeds", type=int, default=10, help="of each kind")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS, CARBS], help="to measure")
    parser.add_argument("--show", action="store_true", help="only the table of the file")
    options = parser.parse_args()
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    if options.out.is_file():
        report["rows"] = json.loads(options.out.read_text())["rows"]
    measured = {(row["kind"], row["seed"]) for row in report["rows"]}
    for seed in range(0 if options.show else options.seeds):
        for kind in options.kinds:
            if (kind, seed) in measured or (kind == CARBS and seed):
                continue
            report["rows"] += rows_of(kind, seed)
            write_results(options.out, report)
            print(_summary(report["rows"][-len(METHODS) - len(COUNTS) :]), flush=True)
    print(table(report["rows"]))


def _summary(rows: list[dict]) -> str:
    counts = ", ".join(f"{row['method']} {row['count']}" for row in rows)
    return f"{rows[0]['kind']}, seed {rows[0]['seed']}, true {rows[0]['true_count']}: {counts}"


if __name__ == "__main__":
    main()
