"""How often the ranges of components and concentrations hold the truth.

    python -m benchmarks.gmcr.ranges --out gmcr_ranges.json [--seeds 4]
    python -m benchmarks.gmcr.ranges --out gmcr_ranges.json --show

Tables as laboratories measure them (`field_tables`, `ordered_tables`) are unmixed with all ranges
of equal fit (`jaxhsi.gmcr.rotational_ambiguity`). Of the entries of true spectra, of unit length,
and of true concentrations, ``inside`` is the share within the range of the component that matches;
the width is that of the ranges over the mean of the entries. Only where the number is right.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import jaxhsi
from benchmarks.gmcr.field import KINDS
from benchmarks.gmcr.scores import Answer, match, unit_length
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results

ROUNDING = 1e-6
"""Of the largest entry, by which a range may be missed: stored values are of single precision."""


def row_of(kind: str, seed: int) -> dict:
    """Coverage and width of the ranges of one table."""
    case = KINDS[kind](seed)
    order = {"ordered": True, "runs": case.run_lengths} if case.run_lengths else {}
    result = jaxhsi.unmix(case.data, restarts=1, ranges=True, seed=seed, **order)
    row = {"kind": kind, "seed": seed, "true": len(case.components)}
    row["count"] = len(result.components)
    if row["count"] != row["true"] or result.ranges is None:
        return row
    pairs = match(case, *unit_length(Answer(result.components, result.concentrations)))
    size = np.linalg.norm(case.components, axis=1)[pairs.columns]
    spectra = case.components[pairs.columns] / size[:, None]
    ranges = result.ranges.component_ranges[pairs.rows].swapaxes(0, 1)
    row |= _coverage("spectra", spectra, ranges)
    # In the units of the answer, whose components have some length.
    reported = np.linalg.norm(result.components, axis=1)[pairs.rows]
    concentrations = case.concentrations[:, pairs.columns] * (size / reported)
    row |= _coverage(
        "concentrations", concentrations, result.ranges.concentration_ranges[:, :, pairs.rows]
    )
    return row | {"cosine": float(pairs.cosines.min())}


def _coverage(name: str, truth: np.ndarray, ranges: np.ndarray) -> dict:
    low, high = ranges
    slack = ROUNDING * np.abs(truth).max()
    inside = (truth >= low - slack) & (truth <= high + slack)
    return {
        f"{name}_inside": float(inside.mean()),
        f"{name}_width": float((high - low).mean() / np.abs(truth).mean()),
    }


def table(rows: list[dict]) -> str:
    """Markdown: medians over seeds, and the least coverage."""
    lines = [
        "| data | runs of right number | spectra inside (least) | width "
        "| concentrations inside (least) | width |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        mine = [row for row in rows if row["kind"] == kind]
        right = [row for row in mine if "cosine" in row]
        if not mine:
            continue
        cells = [f"{len(right)} of {len(mine)}"]
        for name in ("spectra", "concentrations") if right else ():
            inside = [row[f"{name}_inside"] for row in right]
            width = np.median([row[f"{name}_width"] for row in right])
            cells += [f"{np.median(inside):.3f} ({min(inside):.3f})", f"{width:.2f}"]
        cells += ["-"] * (5 - len(cells))
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what the file does not hold yet, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or go on with")
    parser.add_argument("--seeds", type=int, default=4, help="of each kind")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS], help="to measure")
    parser.add_argument("--show", action="store_true", help="only the table of the file")
    options = parser.parse_args()
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    if options.out.is_file():
        report["rows"] = json.loads(options.out.read_text())["rows"]
    measured = {(row["kind"], row["seed"]) for row in report["rows"]}
    for seed in range(0 if options.show else options.seeds):
        for kind in options.kinds:
            if (kind, seed) not in measured:
                row = row_of(kind, seed)
                report["rows"].append(row)
                write_results(options.out, report)
                print(row, flush=True)
    print(table(report["rows"]))


if __name__ == "__main__":
    main()
