"""Work, traffic and overhead of DGC on 1, 2, 4 and 8 devices, and what they mean for more.

    python -m benchmarks.runtime.scaling --out scaling.json [--devices 1 2 4 8] [--processes 2 4]

Every number of devices is a process of its own, whose CPU is split into so many devices by
``--xla_force_host_platform_device_count``; a step is also taken by several processes of
`jax.distributed` with a device each. Work and traffic of a device are those of the compiled
program. Forced devices share the cores, so that several are not timed; with one device the sharded
program and that of a plain ``jax.jit`` are timed in turns. ``projection`` is derived from all that
by :mod:`benchmarks.runtime.scaling_projection`.
"""

import argparse
import json
import socket
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
PROCESSES = (2, 4)
TILE = 128
MAX_SECONDS = 30
"""Time of the rounds of a phase after which no further one begins. Set by hand."""


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


def measure(
    num_devices: int, rounds: int, names: list[str], num_processes: int = 1
) -> list[dict[str, Any]]:
    """A row for each phase on the devices of this process, or of several.

    Args:
        num_devices: that it has.
        rounds: timed calls.
        names: of the phases.
        num_processes: that work together, this one among them.
    """
    from benchmarks.runtime.collectives import device_costs
    from jaxhsi.sharding import device_mesh

    rows, mesh = [], device_mesh(num_devices, of_all_processes=True)
    for name in names:
        sharded = compiled_ahead(cases(mesh)[name]())
        row = {"case": name, "devices": mesh.size, "processes": num_processes}
        row |= {"units": sharded.units} | device_costs(sharded.function)
        if mesh.size == 1:
            row |= time_in_turns(sharded, compiled_ahead(cases(None)[name]()), rounds)
        elif num_processes > 1:
            timed_call(sharded)  # that it works
        print(f"{name} on {num_devices}", file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def compiled_ahead(case: Any) -> Any:
    """The phase with a compiled program in the place of its jitted function."""
    return case._replace(function=case.function.lower(*case.arguments).compile())


def time_in_turns(sharded: Any, unsharded: Any, rounds: int) -> dict[str, float]:
    """Median times of two programs, and of the first over the second in the same round, less 1.

    Args:
        sharded: from `compiled_ahead`.
        unsharded: likewise.
        rounds: calls of each; fewer where they take longer than `MAX_SECONDS`, at least four.
    """
    programs, times = {"sharded": sharded, "unsharded": unsharded}, []
    start, order = time.perf_counter(), list(programs)
    while len(times) <= rounds:
        seconds = {}
        for name in order:
            seconds[name], programs[name] = timed_call(programs[name])
        times.append((seconds["sharded"], seconds["unsharded"]))
        order.reverse()  # the second one may profit from the first
        if len(times) > 4 and time.perf_counter() - start > MAX_SECONDS:
            break
    pairs = times[1:]  # the first touches new memory
    return {
        "median_seconds": statistics.median(seconds for seconds, _ in pairs),
        "unsharded_seconds": statistics.median(seconds for _, seconds in pairs),
        "overhead": statistics.median(a / b for a, b in pairs) - 1,
    }


def measured_apart(
    num_devices: int, options: argparse.Namespace, num_processes: int = 1
) -> list[dict[str, Any]]:
    """`measure` in a process with so many devices, or in several; rows of the first one."""
    environment = module_environment() | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={num_devices}",
    }
    names = ["step"] if num_processes > 1 else options.cases
    command = [sys.executable, "-m", "benchmarks.runtime.scaling", "--worker", str(num_devices)]
    command += ["--rounds", str(options.rounds), "--cases", *names]
    if num_processes > 1:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            command += ["--port", str(listener.getsockname()[1])]
        command += ["--processes", str(num_processes), "--process"]
    workers = [
        subprocess.Popen(
            [*command, str(number)] if num_processes > 1 else command,
            env=environment,
            stdout=subprocess.PIPE,
        )
        for number in range(num_processes)
    ]
    texts = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise RuntimeError(f"{' '.join(command)} has failed")
    return json.loads(texts[0].splitlines()[-1])  # gloo speaks before


def work(options: argparse.Namespace) -> None:
    """What a process of `measured_apart` does."""
    num_processes = 1
    if options.port:
        import jax

        [num_processes] = options.processes
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{options.port}", num_processes, options.process)
    print(json.dumps(measure(options.worker, options.rounds, options.cases, num_processes)))


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows."""
    for row in rows:
        moved = sum(kind["bytes"] for kind in row["moved"].values()) / 2**20
        timed = ""
        if "overhead" in row:
            timed = f", {row['median_seconds']:.4f} s, overhead {row['overhead']:+.1%}"
        print(
            f"{row['case']:<8} {row['devices']} devices of {row['processes']} processes: "
            f"{row['units']:3d} units, {row['gflop']:8.3f} GFLOP and "
            f"{row['mib']:8.1f} MiB a device, {moved:7.3f} MiB moved{timed}",
            flush=True,
        )


def main() -> None:
    """The benchmark's command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--devices", type=int, nargs="+", default=DEVICES)
    parser.add_argument("--rounds", type=int, default=20, help="timed calls of each")
    parser.add_argument("--cases", nargs="+", choices=list(cases(None)), default=list(cases(None)))
    parser.add_argument("--processes", type=int, nargs="*", default=PROCESSES)
    for option in ("--worker", "--process", "--port"):
        parser.add_argument(option, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    rows = []
    parts = [(num_devices, 1) for num_devices in options.devices]
    for num_devices, num_processes in [*parts, *((1, n) for n in options.processes)]:
        rows += (new := measured_apart(num_devices, options, num_processes))
        show(new)
        if options.out:  # after each part: all of them take minutes
            write_report(options.out, rows)


def write_report(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows so far, in order, with the projection from them."""
    rows = sorted(rows, key=lambda row: (row["processes"], row["devices"]))
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": rows}
    report |= {"assumptions": ASSUMPTIONS, "projection": projection(rows)}
    write_results(path, report)


if __name__ == "__main__":
    main()
