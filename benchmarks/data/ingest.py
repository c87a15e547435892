"""Ingest of an ENVI file beside a plain copy of its bytes.

    python -m benchmarks.data.ingest --out ingest.json [--lines 2048] [--rounds 3]

A bil file of --lines x 1024 samples x 512 bands of uint16 is made (2 GiB by default): sums of six
smooth spectra, which change over the image, with noise of 1 % of their level. In every round
it is copied and ingested, one right after the other, in both cases until the disk has it: the copy
ends with fsync, and TensorStore calls fsync for every file of the store.

``cold``: the system was asked to drop the file from its memory before each (posix_fadvise; it may
keep some, and virtual disks have caches of their own). ``warm``: right after a read of it. Rates
are of the uncompressed bytes of the file.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results
from jaxhsi.data.ingest.pipeline import ingest

SAMPLES, BANDS, SPECTRA, NOISE = 1024, 512, 6, 15.0
PIECE = 16 * 2**20
LEAST_SHARE = 1 / 3


def make_envi(path: Path, lines: int) -> None:
    """Write the file and its header."""
    rng = np.random.default_rng(0)
    waves = np.linspace(400, 1000, BANDS, dtype=np.float32)
    peaks = 450 + 90 * np.arange(SPECTRA, dtype=np.float32)[:, None]
    spectra = (
        600 + 300 * np.sin(waves / 150 + peaks) + 1200 * np.exp(-(((waves - peaks) / 70) ** 2))
    )
    columns = np.arange(SAMPLES, dtype=np.float32) / (37 + 11 * np.arange(SPECTRA)[:, None])
    with path.open("wb") as file:
        for y in range(lines):
            shares = np.sin(columns + y / 50) ** 2 + 0.05
            line = spectra.T @ (shares / shares.sum(axis=0)).astype(np.float32)
            line += NOISE * rng.standard_normal((BANDS, SAMPLES), np.float32)
            file.write(line.round().clip(0).astype("<u2").tobytes())
    path.with_suffix(".hdr").write_text(
        f"ENVI\nsamples = {SAMPLES}\nlines = {lines}\nbands = {BANDS}\nheader offset = 0\n"
        "data type = 12\ninterleave = bil\nbyte order = 0\nwavelength units = nm\n"
        f"wavelength = {{{', '.join(f'{w:.3f}' for w in waves)}}}\n"
    )


def copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as write:
        while piece := read.read(PIECE):
            write.write(piece)
        write.flush()
        os.fsync(write.fileno())


def prepare(source: Path, state: str) -> None:
    """Bring the file into memory, or ask the system to drop it."""
    os.sync()
    with source.open("rb") as file:
        if state == "cold":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            while file.read(PIECE):
                pass


def seconds_of(task: Callable[[Path, Path], object], source: Path, target: Path) -> float:
    began = time.perf_counter()
    task(source, target)
    return time.perf_counter() - began


def measure(source: Path, scratch: Path, rounds: int) -> dict:
    report = {"bytes": source.stat().st_size}
    for state in ("cold", "warm"):
        times = {"copy": [], "ingest": []}
        for _ in range(rounds):
            for name, task in (("copy", copy), ("ingest", ingest)):
                target = scratch / f"{name}.zarr"
                prepare(source, state)
                times[name].append(seconds_of(task, source, target))
                if name == "copy":
                    target.unlink()
                else:
                    files = [path for path in target.rglob("*") if path.is_file()]
                    report["stored_bytes"] = sum(path.stat().st_size for path in files)
                    report["files"] = len(files)
                    shutil.rmtree(target)
        report[state] = {
            **{f"{name}_seconds": values for name, values in times.items()},
            **{
                f"{name}_mb_per_second": report["bytes"] / median(values) / 1e6
                for name, values in times.items()
            },
            "share_of_copy": median(times["copy"]) / median(times["ingest"]),
        }
    report["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--lines", type=int, default=2048, help="of the image, 1 MiB each")
    parser.add_argument("--rounds", type=int, default=3, help="of copy and ingest")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        source = Path(folder) / "scene.raw"
        make_envi(source, options.lines)
        report = measure(source, Path(folder), options.rounds)
    report = {"machine": describe_machine(), "versions": describe_versions()} | report
    write_results(options.out, report)
    for state in ("cold", "warm"):
        found = report[state]
        share = found["share_of_copy"]
        print(
            f"{state}: copy {found['copy_mb_per_second']:.0f} MB/s, ingest "
            f"{found['ingest_mb_per_second']:.0f} MB/s, {share:.2f} of it, "
            f"{'within' if share >= LEAST_SHARE else 'BELOW'} a third"
        )
    ratio = report["bytes"] / report["stored_bytes"]
    print(f"{ratio:.2f} times smaller in {report['files']} files; peak {report['peak_mb']:.0f} MB")


if __name__ == "__main__":
    main()
