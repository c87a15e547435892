"""Windows per second from a store on disk, and how long the training step waits for them.

    python -m benchmarks.data.stream --out stream.json [--size 1024] [--steps 60] [--scratch FOLDER]

One leaf scene of --size x --size x 301 bands in float16 is written into --scratch (a temporary
folder by default), and read at the default settings of ``jaxhsi train dgc``:

``disk``: all files of the store, read one after the other: the disk's own rate, in bytes as
stored. ``stream``: batches of windows as training draws them; MB/s are of the bytes of the windows
in the stored type, so that bytes read twice or unpacked are not credited. ``train``: steps of the
default method, and the share of the time that they waited for their batch; the first steps, which
compile, are left out.

``cold``: the system was asked to drop the store's files from its memory first (posix_fadvise; it
may keep some, and virtual disks have caches of their own). ``warm``: right after a read of all.
"""

import argparse
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.stream import window_stream
from jaxhsi.data.synthetic.leaf_cubes import leaf_cubes
from jaxhsi.data.windows import read_window
from jaxhsi.dgc.views import window_size
from jaxhsi.sharding import device_mesh
from jaxhsi.training.best_state import StateMonitor, read_validation_views
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.loop import run_training
from jaxhsi.workflows.dgc_method import build_method

MOST_WAITING = 0.05


def files(cube: Cube) -> list[Path]:
    return sorted(path for path in Path(cube.url).rglob("*") if path.is_file())


def forget(cube: Cube) -> None:
    """Ask the system to drop the files of a store from its memory."""
    os.sync()
    for path in files(cube):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_rate(cube: Cube) -> dict:
    began, total = time.perf_counter(), 0
    for path in files(cube):
        total += len(path.read_bytes())
    seconds = time.perf_counter() - began
    return {"bytes": total, "seconds": seconds, "mb_per_second": total / seconds / 1e6}


def stream_of(cube: Cube, config: DGCConfig):
    options = config.stream
    side = window_size(config.views)
    reading = {
        "num_threads": options.num_threads,
        "prefetch_windows": options.prefetch_windows,
    }
    return window_stream([cube], side, options.batch_size, config.seed, **reading)


def stream_rate(cube: Cube, config: DGCConfig, batches: int) -> dict:
    """Rate of batches that nothing is done with."""
    stream = stream_of(open_cube(cube.url), config)  # opened anew: nothing unpacked is kept
    began = time.perf_counter()
    for _ in range(batches):
        values, _ = next(stream)
    seconds = time.perf_counter() - began
    windows = batches * len(values)
    stored = cube.array.dtype.numpy_dtype.itemsize * values[0].size
    return {
        "windows": windows,
        "window_side": values.shape[1],
        "seconds": seconds,
        "windows_per_second": windows / seconds,
        "mb_per_second": windows * stored / seconds / 1e6,
    }


class Clock:
    """In place of a logbook: the waiting that the loop tells of, and when."""

    def __init__(self):
        self.rows = []

    @contextmanager
    def open(self):
        """Begin."""
        self._began = time.perf_counter()
        yield self

    def write_timing(self, step: int, values: dict) -> None:
        """Keep the waiting."""
        passed = time.perf_counter() - self._began
        self.rows.append((step, passed, values["data_wait_share"] * passed))

    def write(self, step: int, values: dict) -> None:
        """Diagnostics are of no interest here."""

    def advance_bar(self, step: int) -> None:
        """Nor is a bar."""

    def result(self) -> dict:
        """Between the first row, when all is compiled, and the last."""
        (first, from_second, from_waited), *_, (last, second, waited) = self.rows
        seconds = second - from_second
        return {
            "steps": last - first,
            "seconds_a_step": seconds / (last - first),
            "wait_share": (waited - from_waited) / seconds,
        }


def train(cube: Cube, config: DGCConfig, scratch: Path) -> dict:
    key, mesh = jax.random.key(0), device_mesh(config.devices)
    method, clock = build_method(config, cube.shape[2], mesh), Clock()
    sample = sample_spectra([cube], config.stream.sample_size, config.seed)
    start = method.init(key, sample.spectra)
    stream, monitoring = stream_of(cube, config), config.monitor
    views = read_validation_views(
        [cube],
        config.views,
        config.stream.batch_size,
        config.seed,
        monitoring.num_windows,
        read_window,
    )
    monitor = StateMonitor(
        mesh,
        method,
        config.num_clusters,
        views,
        every=monitoring.every,
        patience=monitoring.patience,
        margin=monitoring.max_information_loss,
    )
    with Checkpoints(scratch / "checkpoints") as checkpoints:
        steps, options = config.steps, {"log_every": config.log_every, "save_every": config.steps}
        options["batch_size"] = config.stream.batch_size
        run_training(
            key, start, method.step, stream, mesh, steps, clock, checkpoints, monitor, **options
        )
    return clock.result()


def measure(size: int, config: DGCConfig, scratch: Path) -> dict:
    [cube], _ = leaf_cubes(scratch, size, [0])
    report = {"shape": cube.shape, "dtype": cube.array.dtype.name}
    report["raw_bytes"] = int(np.prod(cube.shape)) * cube.array.dtype.numpy_dtype.itemsize
    for state in ("cold", "warm"):
        if state == "cold":
            forget(cube)
        report[f"disk_{state}"] = disk_rate(cube)
    for state in ("cold", "warm"):
        if state == "cold":
            forget(cube)
        report[f"stream_{state}"] = stream_rate(cube, config, 50)
    forget(cube)
    return report | {"train": train(cube, config, scratch)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--size", type=int, default=1024, help="side of the scene in pixels")
    parser.add_argument("--steps", type=int, default=60, help="of training")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to measure, kept")
    options = parser.parse_args()
    config = DGCConfig(steps=options.steps, log_every=min(10, options.steps // 2))
    report = {"machine": describe_machine(), "versions": describe_versions()}
    with tempfile.TemporaryDirectory() as folder:
        report |= measure(options.size, config, options.scratch or Path(folder))
    write_results(options.out, report)
    share, step = report["train"]["wait_share"], report["train"]["seconds_a_step"]
    for name in ("disk_cold", "disk_warm", "stream_cold", "stream_warm"):
        print(f"{name:12} {report[name]['mb_per_second']:8.0f} MB/s")
    print(f"a step takes {step * 1e3:.0f} ms and waits for data {share:.2%} of the time, ", end="")
    print(f"{'within' if share < MOST_WAITING else 'MORE THAN'} {MOST_WAITING:.0%}")


if __name__ == "__main__":
    main()
