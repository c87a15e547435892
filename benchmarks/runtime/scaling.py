"""Work, traffic and overhead of DGC on 1, 2, 4 and 8 devices, and what they mean for more.

    python -m benchmarks.runtime.scaling --out scaling.json [--devices 1 2 4 8] [--rounds 15]

Every number of devices is a process of its own, whose CPU is split into so many devices by
``--xla_force_host_platform_device_count``. They share the cores: seconds tell what sharding
costs, not what more devices gain. Work and traffic of a device are those of the compiled program;
with one device the same step under a plain ``jax.jit`` is timed beside, in turns. ``projection``
says in numbers of JSON what :mod:`benchmarks.runtime.scaling_projection` derives.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, describe_versions, module_environment
from benchmarks.results_file import write_results
from benchmarks.runtime.scaling_projection import ASSUMPTIONS, projection

BANDS = 200
DEVICES = (1, 2, 4, 8)
TILE = 128


def cases(mesh: Any) -> dict[str, Callable[[], Any]]:
    """Phases of DGC at its default options, each a `scaling_cases.Case` that is made when called.

    Args:
        mesh: devices; None for a plain ``jax.jit``.
    """
    from benchmarks.runtime import scaling_cases

    return {
        "step": lambda: scaling_cases.step(mesh, BANDS),
        "monitor": lambda: scaling_cases.monitor(mesh, BANDS),
        "starts": lambda: scaling_cases.starts(mesh),
        "label": lambda: scaling_cases.label(mesh, BANDS, TILE),
    }


def timed_call(case: Any) -> tuple[float, Any]:
    """Wall time of a call, and the phase with the arguments of the next one."""
    import jax

    start = time.perf_counter()
    result = jax.block_until_ready(case.function(*case.arguments))
    seconds = time.perf_counter() - start
    if case.uses_up is not None:
        arguments = list(case.arguments)
        arguments[case.uses_up] = result[0]
        case = case._replace(arguments=tuple(arguments))
    return seconds, case


def measure(num_devices: int, rounds: int, names: list[str]) -> list[dict[str, Any]]:
    """A row for each phase on the devices of this process.

    Args:
        num_devices: that it has.
        rounds: timed calls.
        names: of the phases.
    """
    from benchmarks.runtime.collectives import device_costs
    from jaxhsi.sharding import device_mesh

    rows, mesh = [], device_mesh(num_devices)
    for name in names:
        sharded = compiled_ahead(cases(mesh)[name]())
        row = {"case": name, "devices": num_devices} | device_costs(sharded.function)
        programs = {"median_seconds": sharded}
        if num_devices == 1:
            programs["unsharded_seconds"] = compiled_ahead(cases(None)[name]())
        times: dict[str, list[float]] = {program: [] for program in programs}
        for number in range(rounds + 1):
            for program, case in programs.items():
                seconds, programs[program] = timed_call(case)
                if number:  # the first touches new memory
                    times[program].append(seconds)
        row |= {program: statistics.median(each) for program, each in times.items()}
        if num_devices == 1:
            ratios = map(lambda a, b: a / b - 1, *times.values())
            row["overhead"] = statistics.median(ratios)
        print(f"{name} on {num_devices}", file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def compiled_ahead(case: Any) -> Any:
    """The phase with a compiled program in the place of its jitted function."""
    return case._replace(function=case.function.lower(*case.arguments).compile())


def measured_apart(num_devices: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """`measure` in a process with so many devices."""
    environment = module_environment() | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}",
    }
    command = [sys.executable, "-m", "benchmarks.runtime.scaling", "--worker", str(num_devices)]
    command += ["--rounds", str(options.rounds), "--cases", *options.cases]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows."""
    for row in rows:
        moved = sum(kind["bytes"] for kind in row["moved"].values()) / 2**20
        overhead = f", overhead {row['overhead']:+.1%}" if "overhead" in row else ""
        print(
            f"{row['case']:<8} {row['devices']} devices: {row['gflop']:8.3f} GFLOP and "
            f"{row['mib']:8.1f} MiB a device, {moved:7.3f} MiB moved, "
            f"{row['median_seconds']:.4f} s{overhead}",
            flush=True,
        )


def main() -> None:
    """The benchmark's command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--devices", type=int, nargs="+", default=DEVICES)
    parser.add_argument("--rounds", type=int, default=15, help="timed calls of each")
    parser.add_argument("--cases", nargs="+", choices=list(cases(None)), default=list(cases(None)))
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.rounds, options.cases)))
        return
    rows = []
    for num_devices in options.devices:
        rows += (new := measured_apart(num_devices, options))
        show(new)
    if options.out:
        report = {"machine": describe_machine(), "versions": describe_versions(), "rows": rows}
        report |= {"assumptions": ASSUMPTIONS, "projection": projection(rows)}
        write_results(options.out, report)


if __name__ == "__main__":
    main()
