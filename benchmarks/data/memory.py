"""Peak resident memory of training and of prediction on cubes of growing size.

    python -m benchmarks.data.memory --out memory.json [--plot memory.png] [--sides 256 1024]

Each size is a built-in leaf scene of 301 bands in float16, rendered once into the cache folder
(the largest takes about 10 GB of disk). Training (``jaxhsi train dgc``, which labels the
cube in the end) and prediction (``jaxhsi predict``) run in a process of their own each,
at default settings but for --steps; what is reported is the most that the process ever held. Maps
written and read through memory are counted as far as the system keeps them there.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.commands import measured
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results

SIDES, BANDS = (256, 1024, 2048, 4096), 301


def scene(side: int) -> tuple[str, int]:
    """Path and stored bytes of a leaf scene."""
    from jaxhsi.data.open import default_cache_folder
    from jaxhsi.data.synthetic.leaf_cubes import leaf_cubes

    (cube,), _ = leaf_cubes(default_cache_folder(), side, [0])
    return cube.url, sum(f.stat().st_size for f in Path(cube.url).rglob("*") if f.is_file())


def rows(sides: list[int], steps: int) -> list[dict]:
    """One of training and one of prediction for each size."""
    found = []
    for side in sides:
        url, stored = scene(side)
        with tempfile.TemporaryDirectory() as folder:
            run = str(Path(folder) / "run")
            train = ("dgc", "--data", url, "--out", run, "--steps", str(steps))
            for name, result in (
                ("train", measured("train", *train)),
                ("predict", measured("predict", run, url, "--out", str(Path(folder) / "maps"))),
            ):
                size = {
                    "side": side,
                    "stored_mib": stored / 2**20,
                    "raw_mib": side**2 * 602 / 2**20,
                }
                found.append({"command": name} | size | result)
                print(found[-1], flush=True)
    return found


def growth(found: list[dict], command: str) -> float:
    """Peak of the largest cube over that of the smallest."""
    peaks = [row["peak_mib"] for row in found if row["command"] == command]
    return peaks[-1] / peaks[0]


def plot(path: Path, found: list[dict]) -> None:
    """Memory against the size of the cube."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.2), layout="constrained")
    for command, colour in (("train", "tab:blue"), ("predict", "tab:red")):
        mine = [row for row in found if row["command"] == command]
        sizes, peaks = zip(*((row["raw_mib"], row["peak_mib"]) for row in mine), strict=True)
        axes.plot(sizes, peaks, "o-", color=colour, label=command)
    axes.plot(sizes, sizes, ":", color="grey", label="the cube itself")
    axes.set(xscale="log", yscale="log", xlabel="cube, MiB in float16", ylabel="peak memory, MiB")
    axes.set_ylim(50, max(sizes))
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--plot", type=Path, help="picture to write")
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES), help="pixels")
    parser.add_argument("--steps", type=int, default=300, help="training steps")
    options = parser.parse_args()
    found = rows(options.sides, options.steps)
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": found}
    report["growth"] = {name: growth(found, name) for name in ("train", "predict")}
    write_results(options.out, report)
    print(report["growth"])
    if options.plot:
        plot(options.plot, found)


if __name__ == "__main__":
    main()
