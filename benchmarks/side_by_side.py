"""Implementations measured beside each other: a process each, runs alternating between them.

A benchmark's file runs under two interpreters, so that nothing here imports torch or jax before
it is known which of them is there.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe_machine, installed, module_environment, peak_mib
from benchmarks.results_file import write_results

PACKAGES = ("torch", "jax", "jaxlib", "flax", "optax", "numpy")
Maker = Callable[[str, str], Callable[[], None]]
"""``maker(task, reference)`` sets up an implementation and returns its timed run."""


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        module: name of the benchmark, to start it again by ``python -m``.
        description: first line of its help.
        package: that a clone of the reference holds.
        makers: by name of the implementation; "upstream" runs under the reference's interpreter.
        tasks: names of the implementations of each task, upstream first.
        reach: least ratio of speed asked for, by (task, implementation).
    """

    module: str
    description: str
    package: str
    makers: dict[str, Maker]
    tasks: dict[str, tuple[str, ...]]
    reach: dict[tuple[str, str], float]


def serve(run: Callable[[], None]) -> None:
    """Answer each line of stdin by a timed run, in JSON; an empty line ends it with the peak."""
    print(json.dumps("ready"), flush=True)
    while sys.stdin.readline().strip():
        start = time.perf_counter()
        run()
        print(json.dumps(time.perf_counter() - start), flush=True)
    versions = {k: installed(k) for k in PACKAGES}
    print(json.dumps({"peak_mib": peak_mib(), "versions": versions}), flush=True)


class Worker:
    """An implementation in a process of its own."""

    def __init__(self, module: str, name: str, task: str, options: argparse.Namespace):
        python = options.reference_python if name == "upstream" else sys.executable
        command = [python, "-m", module, "--reference", str(options.reference)]
        self.process = subprocess.Popen(
            [*command, "--serve", name, task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=module_environment(),
        )
        self._answer()

    def _answer(self) -> object:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended early: {' '.join(self.process.args)}")
        return json.loads(line)

    def ask(self, line: str) -> object:
        """Send a line and wait for the answer."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()


def measure(
    comparison: Comparison, task: str, options: argparse.Namespace
) -> tuple[list[dict], dict]:
    """Rows of one task, runs alternating between the implementations."""
    names = [n for n in comparison.tasks[task] if n in options.implementations]
    workers = {name: Worker(comparison.module, name, task, options) for name in names}
    first = {name: worker.ask("run") for name, worker in workers.items()}
    times: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(options.rounds):
        for name, worker in workers.items():
            times[name].append(worker.ask("run"))
    ends = {}
    for name, worker in workers.items():
        ends[name] = worker.ask("")
        worker.process.wait()
    rows = [
        _row(comparison, task, name, times, first[name], ends, options.rounds) for name in workers
    ]
    versions = {
        f"{name}/{k}": v for name, end in ends.items() for k, v in end["versions"].items() if v
    }
    return rows, versions


def _row(
    comparison: Comparison,
    task: str,
    name: str,
    times: dict[str, list[float]],
    first: float,
    ends: dict[str, dict],
    rounds: int,
) -> dict:
    median, whole = statistics.median(times[name]), "upstream" in times
    return {
        "task": task,
        "implementation": name,
        "median_seconds": median,
        "min_seconds": min(times[name]),
        "first_seconds": first,
        "peak_mib": ends[name]["peak_mib"],
        "ratio": statistics.median(times["upstream"]) / median if whole else None,
        "memory_ratio": ends["upstream"]["peak_mib"] / ends[name]["peak_mib"] if whole else None,
        "reach": comparison.reach.get((task, name)),
        "times": times[name],
    }


def show(rows: list[dict], about: dict) -> None:
    """Print the table."""
    print(f"{about['processor']}, {about['cores']} cores, {about['matmul_gflops']:.0f} GFLOP/s")
    head = ("median s", "min s", "first s", "peak MiB", "ratio", "reach")
    print(("{:<10} {:<15}" + " {:>9}" * 6).format("task", "implementation", *head))
    for row in rows:
        ratio = f"{row['ratio']:.1f}x" if row["ratio"] else ""
        reach = f"{row['reach']}x" if row["reach"] else ""
        print(
            f"{row['task']:<10} {row['implementation']:<15} {row['median_seconds']:>9.3f} "
            f"{row['min_seconds']:>9.3f} {row['first_seconds']:>9.2f} {row['peak_mib']:>9.0f} "
            f"{ratio:>9} {reach:>9}"
        )


def _options(comparison: Comparison, rounds: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=comparison.description)
    parser.add_argument("--reference", type=Path, required=True, help="clone of the reference")
    parser.add_argument("--reference-python", default=sys.executable, help="with torch")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--rounds", type=int, default=rounds, help="timed runs of each")
    tasks, makers = list(comparison.tasks), list(comparison.makers)
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--implementations", nargs="+", choices=makers, default=makers)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.serve and not (options.reference / comparison.package).is_dir():
        parser.error(f"{options.reference} holds no {comparison.package}; clone the reference")
    return options


def main(comparison: Comparison, rounds: int = 11) -> None:
    """The benchmark's command."""
    options = _options(comparison, rounds)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # like the reference here
    if options.serve:
        name, task = options.serve
        return serve(comparison.makers[name](task, str(options.reference)))
    rows, versions = [], {"python": platform.python_version()}
    about = describe_machine()
    for task in options.tasks:
        new, used = measure(comparison, task, options)
        rows, versions = rows + new, versions | used
    show(rows, about)
    if options.out:
        report = {"machine": about, "versions": versions, "rows": rows}
        write_results(options.out, report)
