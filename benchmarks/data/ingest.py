"""Ingest of files of several formats beside a plain copy of an image's bytes.

    python -m benchmarks.data.ingest --out ingest.json [--lines 2048] [--rounds 3]

An image of --lines x 1024 samples x 512 bands of uint16 is made (2 GiB by default): sums of six
smooth spectra, which change over the image, with noise of 1 % of their level. It is written as

- ``envi``: ENVI, bil, as it is;
- ``geotiff``: tiles of 256 x 256, Deflate with the horizontal predictor, one mask for all bands,
  a quarter of the lines;
- ``netcdf``: netCDF-4, chunks of 64 x 64 pixels with all bands, Deflate and shuffle, a quarter of
  the lines;
- ``hdf5``: bands last, chunks of 16 lines, uncompressed.

In every round the uncompressed bytes are copied and the file is ingested, one right after the
other, in both cases until the disk has it: the copy ends with fsync, and TensorStore calls fsync
for every file of the store. Every format has a process of its own, so that the peak is its own,
after the first ingest and after all. Compressed files have to be decoded, on which a copy spends
nothing: ``decode_seconds`` is the time that the format's own library takes to read the file once,
slab by slab.

``cold``: the system was asked to drop the file from its memory before each (posix_fadvise; it may
keep some, and virtual disks have caches of their own). ``warm``: right after a read of it. Rates
are of the uncompressed bytes of the file.
"""

import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results
from jaxhsi.data.ingest.pipeline import ingest

SAMPLES, BANDS, SPECTRA, NOISE = 1024, 512, 6, 15.0
PIECE = 16 * 2**20
LEAST_SHARE = 0.9
TILE, SLAB = 256, 64
COMPRESSED_PART = 4


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


def _slabs(image: Path, lines: int):
    """First line and values, lines x bands x samples, of every slab of an ENVI file."""
    values = np.memmap(image, "<u2", "r", shape=(lines, BANDS, SAMPLES))
    for y in range(0, lines, SLAB):
        yield y, values[y : y + SLAB]


def make_geotiff(path: Path, image: Path, lines: int) -> None:
    settings = {"driver": "GTiff", "width": SAMPLES, "height": lines, "count": BANDS} | {
        "dtype": "uint16",
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "deflate",
        "predictor": 2,
        "interleave": "band",
        "photometric": "minisblack",
    }
    values = np.memmap(image, "<u2", "r", shape=(lines, BANDS, SAMPLES))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", **settings) as file,
    ):
        for y in range(0, lines, TILE):
            window = Window(0, y, SAMPLES, min(TILE, lines - y))
            file.write(values[y : y + TILE].transpose(1, 0, 2), window=window)
        mask = np.full((lines, SAMPLES), 255, np.uint8)
        mask[:, :16] = 0
        file.write_mask(mask)


def make_hdf5(path: Path, image: Path, lines: int, **storage) -> None:
    with h5py.File(path, "w") as file:
        cube = file.create_dataset("reflectance", (lines, SAMPLES, BANDS), "<u2", **storage)
        for y, slab in _slabs(image, lines):
            cube[y : y + SLAB] = slab.transpose(0, 2, 1)
        file["wavelength"] = np.linspace(400, 1000, BANDS)
        file["wavelength"].attrs["units"] = "nm"


def make_netcdf(path: Path, image: Path, lines: int) -> None:
    """A file as netCDF-4 stores it: HDF5 with a dimension scale on every axis."""
    chunks = (min(SLAB, lines), SLAB, BANDS)
    make_hdf5(path, image, lines, chunks=chunks, compression="gzip", compression_opts=4, shuffle=1)
    with h5py.File(path, "a") as file:
        sides = {"y": lines, "x": SAMPLES}
        for name, side in sides.items():
            file[name] = np.arange(side, dtype=np.float64)
        for axis, name in enumerate((*sides, "wavelength")):
            file[name].make_scale(name)
            file["reflectance"].dims[axis].attach_scale(file[name])


def make_file(kind: str, folder: Path, lines: int) -> tuple[Path, Path]:
    """Write the file of a format and the plain bytes of its image; their paths."""
    if kind in ("geotiff", "netcdf"):
        lines = max(1, lines // COMPRESSED_PART)
    image = folder / f"{kind}_scene.raw"
    make_envi(image, lines)
    if kind == "envi":
        return image, image
    source = image.with_suffix({"geotiff": ".tif", "netcdf": ".nc", "hdf5": ".h5"}[kind])
    if kind == "hdf5":
        make_hdf5(source, image, lines, chunks=(min(16, lines), SAMPLES, 32))
    else:
        {"geotiff": make_geotiff, "netcdf": make_netcdf}[kind](source, image, lines)
    return source, image


def decode(kind: str, source: Path) -> None:
    """Read every value once with the format's own library."""
    if kind == "geotiff":
        with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"), rasterio.open(source) as file:
            for y in range(0, file.height, TILE):
                file.read(window=Window(0, y, file.width, min(TILE, file.height - y)))
    elif kind == "envi":
        with source.open("rb") as file:
            while file.read(PIECE):
                pass
    else:
        with h5py.File(source) as file:
            for y in range(0, file["reflectance"].shape[0], SLAB):
                file["reflectance"][y : y + SLAB]


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


def peak_mb() -> float:
    """Of this process since it began its program; getrusage would count its parent's before."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def measure(kind: str, source: Path, image: Path, scratch: Path, rounds: int) -> dict:
    report = {"bytes": image.stat().st_size, "file_bytes": source.stat().st_size}
    for state in ("cold", "warm"):
        times = {"copy": [], "ingest": []}
        for _ in range(rounds):
            for name, task, origin in (("copy", copy, image), ("ingest", ingest, source)):
                target = scratch / f"{name}.zarr"
                prepare(origin, state)
                times[name].append(seconds_of(task, origin, target))
                if name == "copy":
                    target.unlink()
                else:
                    files = [path for path in target.rglob("*") if path.is_file()]
                    report["stored_bytes"] = sum(path.stat().st_size for path in files)
                    report["files"] = len(files)
                    shutil.rmtree(target)
                    report.setdefault("peak_mb", peak_mb())
        report[state] = {
            **{f"{name}_seconds": values for name, values in times.items()},
            **{
                f"{name}_mb_per_second": report["bytes"] / median(values) / 1e6
                for name, values in times.items()
            },
            "share_of_copy": median(times["copy"]) / median(times["ingest"]),
        }
    # Before the decoding, whose slabs would count as ingest's.
    report["peak_mb_of_all_rounds"] = peak_mb()
    prepare(source, "warm")
    report["decode_seconds"] = seconds_of(lambda path, _: decode(kind, path), source, scratch)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--lines", type=int, default=2048, help="of the image, 1 MiB each")
    parser.add_argument("--rounds", type=int, default=3, help="of copy and ingest")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to measure")
    kinds = ("envi", "geotiff", "netcdf", "hdf5")
    parser.add_argument("--formats", nargs="+", choices=kinds, default=kinds)
    options = parser.parse_args()
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    spawned = multiprocessing.get_context("spawn")
    for kind in options.formats:
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            source, image = make_file(kind, Path(folder), options.lines)
            with ProcessPoolExecutor(1, mp_context=spawned) as pool:
                row = pool.submit(
                    measure, kind, source, image, Path(folder), options.rounds
                ).result()
        report["rows"].append({"format": kind} | row)
        write_results(options.out, report)
        print_row(kind, row)


def print_row(kind: str, row: dict) -> None:
    for state in ("cold", "warm"):
        result = row[state]
        share = result["share_of_copy"]
        print(
            f"{kind}, {state}: copy {result['copy_mb_per_second']:.0f} MB/s, ingest "
            f"{result['ingest_mb_per_second']:.0f} MB/s, {share:.2f} of it"
            f"{'' if share >= LEAST_SHARE else f', BELOW {LEAST_SHARE}'}"
        )
    ratio = row["bytes"] / row["stored_bytes"]
    print(
        f"    read alone takes {row['decode_seconds']:.1f} s; {ratio:.2f} times smaller in "
        f"{row['files']} files; peak {row['peak_mb']:.0f} MB, "
        f"{row['peak_mb_of_all_rounds']:.0f} after all rounds",
        flush=True,
    )


if __name__ == "__main__":
    main()
