"""What the default solver of gmcr finds, where it ends, and what others find.

    python -m benchmarks.gmcr.quality --out gmcr_quality.json [--budget 60]
    python -m benchmarks.gmcr.quality --out gmcr_quality.json --groups paper noise --kinds jaxhsi
    python -m benchmarks.gmcr.quality --out gmcr_quality.json --table --plot docs/gmcr.png

Groups (`gmcr/plan.py` holds their rows):
    paper     upstream's benchmark: N components, 4N samples of one to four, 20 and 30 dB
    dense     more components in a sample
    noise     correlated, uneven, drifting, offset noise
    limits    curves: twins, rare components, SNR, mixed, samples, bands, peaks
    mixing    mixing that is not linear, with its model and the linear one
    library   500 known spectra: those named rightly and wrongly
    real      carbs; NIR, Jasper Ridge and Samson where --real FOLDER is there
    scale     seconds and memory against N
    ablation  parts switched off
    rivals    classical route, NMF, MCR-ALS on upstream's benchmark

Each row is measured in a process of its own and written as soon as it is there; rows that the file
holds are not run again, those that failed are. Seed 0 of all comes first and small ones before
large ones. `--budget` begins no new row after so many minutes.
jaxhsi is told nothing but what the name of its row says.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gmcr.cases import REAL, open_case
from benchmarks.gmcr.plan import GROUPS, identity, plan
from benchmarks.gmcr.rivals import RIVALS, pls, rival_answer
from benchmarks.gmcr.scores import scores
from benchmarks.gmcr.solve import solved
from benchmarks.gmcr.tables import tables
from benchmarks.machine import (
    describe_machine,
    describe_versions,
    installed,
    module_environment,
    peak_mib,
)
from benchmarks.results_file import write_results

BUILT_IN = ("mixtures", "library", "carbs")  # what needs no other folder
MINUTES = 30  # after which a row has failed


def rows_of(row: dict, real: Path) -> Iterator[dict]:
    """What one process measures."""
    case = open_case(row["make"], row["seed"], real)
    start = time.perf_counter()
    if row["method"].startswith("PLS"):
        yield row | pls(case) | {"seconds": time.perf_counter() - start, "peak_mib": peak_mib()}
    elif row["method"] in RIVALS:
        answer = rival_answer(row["method"], case, row["seed"])
        cost = {"seconds": time.perf_counter() - start, "peak_mib": peak_mib()}
        yield row | cost | scores(case, answer)
    else:
        yield from solved(row, case)


def measured(row: dict, real: Path) -> list[dict]:
    """Run a row in a process of its own; one that fails comes back with its last words."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.gmcr.quality",
        "--out",
        os.devnull,
        "--real",
        str(real),
    ]
    try:
        done = subprocess.run(
            [*command, "--row", json.dumps(row)],
            capture_output=True,
            text=True,
            timeout=60 * MINUTES,
            env=module_environment(),
        )
    except subprocess.TimeoutExpired:
        return [row | {"error": f"not done after {MINUTES} minutes"}]
    if done.returncode:
        words = done.stderr.strip().splitlines()
        return [row | {"error": words[-1] if words else f"ended with code {done.returncode}"}]
    return json.loads(done.stdout.splitlines()[-1])


def wanted(options: argparse.Namespace) -> list[dict]:
    """Rows asked for."""
    rows = plan(tuple(options.groups))
    if not options.real.is_dir():
        rows = [row for row in rows if row["make"]["kind"] in BUILT_IN]
    kinds = {"jaxhsi": False, "rivals": True}
    allowed = [kinds[kind] for kind in options.kinds]
    return [
        row
        for row in rows
        if is_rival(row) in allowed
        and (not options.cases or row["case"] in options.cases)
        and (options.seeds is None or row["seed"] < options.seeds)
    ]


def is_rival(row: dict) -> bool:
    return row["method"] in RIVALS or row["method"].startswith("PLS")


def run(options: argparse.Namespace, report: dict) -> None:
    """Measure what is missing, and write the file after every row."""
    start, asked = time.perf_counter(), wanted(options)
    done = {identity(row) for row in report["rows"] if "error" not in row}
    left = [row for row in asked if identity(row) not in done]
    for number, row in enumerate(left, 1):
        if options.budget and time.perf_counter() - start > 60 * options.budget:
            print(f"{len(left) - number + 1} rows are left", file=sys.stderr)
            return
        made = measured(row, options.real)
        again = {identity(new) for new in made}
        report["rows"] = [old for old in report["rows"] if identity(old) not in again] + made
        write_results(options.out, report)
        print(f"{number}/{len(left)} {summary(made[0])}", file=sys.stderr, flush=True)


def summary(row: dict) -> str:
    told = row.get("error") or f"{row.get('count', '-')} found, {row['seconds']:.1f} s"
    at = "" if row.get("at") is None else f" ({row['at']:g})"
    return f"{row['group']}, {row['case']}{at}, {row['method']}, seed {row['seed']}: {told}"


def opened(path: Path) -> dict:
    """The report of a file, or a new one."""
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    report["versions"]["pymcr"] = installed("pymcr")
    if path.exists():
        report["rows"] = json.loads(path.read_text())["rows"]
    if not all("group" in row for row in report["rows"]):
        sys.exit(f"{path} holds rows of an earlier benchmark; give --out another file")
    return report


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or go on with")
    parser.add_argument("--groups", nargs="*", choices=GROUPS, default=list(GROUPS), help="of rows")
    parser.add_argument("--kinds", nargs="*", choices=("jaxhsi", "rivals"))
    parser.add_argument("--cases", nargs="*", help="names to run, e.g. 'N=16, 20 dB'")
    parser.add_argument("--seeds", type=int, help="of each case at most")
    parser.add_argument("--real", type=Path, default=REAL, help="folder of nir, jasper, samson")
    parser.add_argument("--budget", type=float, help="minutes after which no row is begun")
    parser.add_argument("--table", action="store_true", help="print the file's rows as Markdown")
    parser.add_argument("--plot", type=Path, help="picture of the file's rows to write")
    parser.add_argument("--plan", action="store_true", help="print the number of rows by group")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    parser.set_defaults(kinds=["jaxhsi", "rivals"])
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.row:
        print(json.dumps(list(rows_of(options.row, options.real))))
        return
    if options.plan:
        for name in options.groups:
            print(f"{name}: {sum(row['group'] == name for row in wanted(options))} rows")
        return
    report = opened(options.out)
    if not options.table and not options.plot:
        run(options, report)
    rows = [row for row in report["rows"] if row["group"] in options.groups]
    if options.plot:
        from gmcr_plot import plot

        plot(rows, options.plot)
    print(tables(rows))


if __name__ == "__main__":
    main()
