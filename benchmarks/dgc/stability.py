"""What each repair and each part does for the stability of training: curves over seeds.

    python -m benchmarks.dgc.stability --out stability.json [--plot stability.png]
        [--real FOLDER] [--seeds 3] [--steps 0 10 25 50 100 200] [--rungs ...] [--cases ...]
    python -m benchmarks.dgc.stability --out stability.json --plot stability.png --show

Rungs: upstream's algorithm, repaired step by step, each rung with all repairs of those before it;
what may stand in place of the floor on shares; the default method; and that with each of its parts
left out. Every rung is a set of options of `jaxhsi train dgc`, see LADDER and PARTS, and
trains as that command does; all have the same crops and batches, smaller than the defaults, and
the learning rate of their method. Cases are those of `dgc/quality.py`, with small leaf scenes;
real scenes are left out where --real has none. Scores are of the test scenes, or the whole image.

A run of one seed is written as soon as it is there, and runs that the file holds are not made
again. --plot draws the ladder, and the parts into a second file beside it, `..._parts`.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.dgc.quality import DEFAULT_REAL, Case, cases, counted, damaged, with_seed
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.stream import window_stream
from jaxhsi.dgc.state import Batch
from jaxhsi.dgc.views import window_size
from jaxhsi.label_counts import score_counts
from jaxhsi.sharding import compile_step, device_mesh, replicate, shard_batch
from jaxhsi.workflows.dgc_inputs import DGCInputs, open_dgc_inputs
from jaxhsi.workflows.dgc_method import build_method
from jaxhsi.workflows.label_maps import TileLabeller, make_tile_labeller

CASES = ("leaf K=16", "SalinasA K=6", "SalinasA K=8, noise")
STEPS = (0, 10, 25, 50, 100, 200)

UPSTREAM = {  # what configs/dgc_upstream.yaml says, but for the sizes
    "method": "upstream",
    "optimizer.learning_rate": 1e-4,
    "optimizer.weight_decay": 0.01,
    "views.gain": 0.0,
    "views.noise": 0.0,
    "views.dropout": 0.0,
    "stream.standardise_cubes": True,
}
SIGN = UPSTREAM | {"prototype.loss_weights.usage_entropy": -2.0}
OVERLAP = SIGN | {
    "prototype.loss_weights.grid_consistency": 0.0,
    "prototype.loss_weights.overlap_consistency": 1.0,
}
AVERAGE = OVERLAP | {"prototype.scrambled_pixels": False}
LABELS = AVERAGE | {"prototype.loss_weights.uniform_assignment": 0.0}
START = LABELS | {"prototype.data_initialisation": True}
REVIVAL = START | {"prototype.revive_clusters": True}
# The floor takes the place of the term; without either, to tell what the floor itself does.
NO_TERM = REVIVAL | {"prototype.loss_weights.usage_entropy": 0.0}
FLOOR = NO_TERM | {"prototype.balance.kind": "share_floor"}

LADDER: dict[str, dict[str, Any]] = {
    "upstream": UPSTREAM,
    "sign of usage repaired": SIGN,
    "+ overlap repaired": OVERLAP,
    "+ moving average repaired": AVERAGE,
    "+ no random labels": LABELS,
    "+ start from data": START,
    "+ revival": REVIVAL,
    "no usage term": NO_TERM,
    "+ floor on shares": FLOOR,
    "or floor on entropy": FLOOR | {"prototype.balance.kind": "entropy_floor"},
    "or uncertainty": REVIVAL | {"prototype.balance.kind": "uncertainty"},
    "or FAMO": REVIVAL | {"prototype.balance.kind": "famo"},
    "default": {},
}
PARTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no other view": {"teacher_student.consistency_weight": 0.0},
    "other view half": {"teacher_student.consistency_weight": 0.5},
    "shape alone": {"teacher_student.normalisations": ("snv",)},
    "brightness alone": {"teacher_student.normalisations": ("band",)},
    "one start": {"teacher_student.mixture_starts": 1},
    "clusters frozen": {"teacher_student.mixture_rate": 0.0},
    "no neighbours": {"teacher_student.neighbour_radius": 0},
    "pixels alone": {"teacher_student.neighbour_radius": 0, "encoder.num_blocks": 0},
    "six dimensions": {"teacher_student.embedding_dim": 6},
    "no augmentation": {
        "views.gain": 0.0,
        "views.noise": 0.0,
        "views.dropout": 0.0,
        "views.band_shift": 0,
    },
}


def changed(options: Any, changes: dict[str, Any]) -> Any:
    """Options, a dataclass or named tuple, with some of them at other values, by dotted names."""
    for name, value in changes.items():
        outer, _, inner = name.partition(".")
        if inner:
            value = changed(getattr(options, outer), {inner: value})
        options = _replaced(options, outer, value)
    return options


def _replaced(options: Any, name: str, value: Any) -> Any:
    if dataclasses.is_dataclass(options):
        return dataclasses.replace(options, **{name: value})
    return options._replace(**{name: value})


def curve(
    config: DGCConfig,
    task: DGCInputs,
    step: Any,
    method: Any,
    label: TileLabeller,
    steps: list[int],
) -> Iterator[dict]:
    """Scores at some steps of a run, which goes as `jaxhsi.workflows.dgc_run.run_dgc` does."""
    mesh = device_mesh(config.devices)
    sample = sample_spectra(
        task.train_cubes, config.stream.sample_size, config.seed, read_window_fn=task.window_reader
    )
    key = jax.random.key(config.seed)
    state = replicate(mesh, method.init(key, jnp.asarray(sample.spectra)))
    stream = window_stream(
        task.train_cubes,
        window_size(config.views),
        config.stream.batch_size,
        config.seed,
        read_window_fn=task.window_reader,
    )
    began = time.perf_counter()
    for number in range(max(steps) + 1):
        if number:
            batch = shard_batch(mesh, Batch(*next(stream)))
            state, _ = step(jax.random.fold_in(key, number), state, batch)
        if number in steps:
            seconds = time.perf_counter() - began
            yield {"step": number, "seconds": seconds} | scores(config, task, label, state)


def scores(config: DGCConfig, task: DGCInputs, label: TileLabeller, state: Any) -> dict:
    """Against the truth of all labelled cubes."""
    state = jax.device_get(state)
    counts = (counted(label, state, task, cube, config.num_clusters) for cube in task.label_cubes)
    return score_counts(reduce(add, counts))


def measure(
    case: Case, config: DGCConfig, seeds: list[int], steps: list[int]
) -> Iterator[tuple[int, list[dict]]]:
    """A row for each step, seed by seed; compiled once for all of them."""
    compiled = None
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            mine = damaged(case, with_seed(config, seed), Path(scratch))
            task = open_dgc_inputs(mine)
            if compiled is None:
                mesh, stream = device_mesh(mine.devices), mine.stream
                method = build_method(mine, task.train_cubes[0].shape[2])
                step = compile_step(mesh, method.step, stream.batch_size)
                reader, tile_size = task.window_reader, stream.tile_size
                compiled = step, method, make_tile_labeller(method, reader, tile_size, mesh)
            found = []
            for row in curve(mine, task, *compiled, steps):
                kept = {name: row[name] for name in ("step", "seconds", "nmi", "active_clusters")}
                kept |= {name: row[name][case.way] for name in ("mean_iou", "oa")}
                found.append(kept | {"clusters": mine.num_clusters})
            yield seed, found


# Table and pictures ----------------------------------------------------------------------------


def series(rows: list[dict], case: str, rung: str, score: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and the scores of every seed at them, (seeds, steps)."""
    mine = [row for row in rows if (row["case"], row["rung"]) == (case, rung)]
    steps = sorted({row["step"] for row in mine})
    seeds = sorted({row["seed"] for row in mine})
    value = {(row["seed"], row["step"]): row[score] for row in mine}
    return np.array(steps), np.array([[value[seed, step] for step in steps] for seed in seeds])


def table(rows: list[dict]) -> str:
    """Mean IoU at the start, at best and at the end, and clusters in use then, as Markdown.

    Medians over the seeds; in brackets the worst seed, or the fewest clusters.
    """
    order = [*LADDER, *PARTS]
    names = list(dict.fromkeys(row["case"] for row in rows))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for rung in sorted({row["rung"] for row in rows}, key=order.index):
        cells = [_cell(rows, case, rung) for case in names]
        lines.append(f"| {rung} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rows: list[dict], case: str, rung: str) -> str:
    iou, active = (series(rows, case, rung, score)[1] for score in ("mean_iou", "active_clusters"))
    if not iou.size:
        return "-"
    end, last = iou[:, -1], active[:, -1]
    shown = f"{np.median(iou[:, 0]):.3f}, {np.median(iou.max(1)):.3f}, {np.median(end):.3f}"
    return f"{shown} ({end.min():.3f}); {np.median(last):.0f} ({last.min()})"


def plot(path: Path, rows: list[dict], rungs: list[str]) -> None:
    """A column for each rung, a row for each score, a line for each case: mean and range."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = {"mean_iou": "mean IoU", "oa": "OA", "nmi": "NMI", "active_clusters": "active / K"}
    figure, axes = pyplot.subplots(
        len(names),
        len(rungs),
        figsize=(1.0 + 1.35 * len(rungs), 6.4),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    found = list(dict.fromkeys(row["case"] for row in rows))
    for (row, score), (column, rung) in (
        (r, c) for r in enumerate(names) for c in enumerate(rungs)
    ):
        for case, colour in zip(found, ("tab:green", "tab:blue", "tab:red", "black"), strict=False):
            steps, values = series(rows, case, rung, score)
            if not len(steps):
                continue
            if score == "active_clusters":
                values = values / series(rows, case, rung, "clusters")[1]
            at = axes[row, column]
            at.plot(steps, values.mean(0), color=colour, label=case, linewidth=1.4)
            at.fill_between(
                steps, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0
            )
        axes[row, column].set(ylim=(-0.03, 1.03))
        axes[row, column].set_xscale("function", functions=(np.sqrt, np.square))
        axes[row, column].grid(alpha=0.3)
        if not column:
            axes[row, column].set_ylabel(names[score])
    last = max(row["step"] for row in rows)
    for column, rung in enumerate(rungs):
        axes[0, column].set_title(_two_lines(rung), fontsize=8.5)
        axes[-1, column].set_xticks([0, last // 4, last])
    figure.supxlabel("training step", fontsize=10)
    lines = {line.get_label(): line for at in axes[0] for line in at.get_lines()}
    figure.legend(handles=lines.values(), loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _two_lines(name: str) -> str:
    words = name.split()
    middle = min(
        range(1, len(words) + 1), key=lambda i: abs(2 * len(" ".join(words[:i])) - len(name))
    )
    return " ".join(words[:middle]) + "\n" + " ".join(words[middle:])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or go on with")
    parser.add_argument("--plot", type=Path, help="picture to write")
    parser.add_argument("--real", type=Path, default=DEFAULT_REAL, help="folder of real cubes")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="steps to score at")
    parser.add_argument("--cases", nargs="*", default=CASES, help="cases of dgc/quality.py")
    parser.add_argument(
        "--rungs", nargs="*", default=[*LADDER, *PARTS], help="names; all if left out"
    )
    parser.add_argument("--crop", type=int, default=16, help="side of a crop")
    parser.add_argument("--batch", type=int, default=4, help="pairs of crops of a step")
    parser.add_argument("--size", type=int, default=128, help="side of a leaf scene")
    parser.add_argument("--show", action="store_true", help="only table and picture of the file")
    return parser.parse_args()


def run(options: argparse.Namespace, report: dict) -> None:
    """Make what the report lacks."""
    sizes = {
        "views.crop": options.crop,
        "stream.batch_size": options.batch,
        "scenes.image_size": options.size,
    }
    settings = sizes | {"steps": list(options.steps)}
    if report.setdefault("settings", settings) != settings:
        raise SystemExit(f"{options.out} was made with {report['settings']}; write to another file")
    done = {(row["case"], row["rung"], row["seed"]) for row in report["rows"]}
    chosen = [case for case in cases(options.real) if case.name in options.cases]
    for rung, changes in (LADDER | PARTS).items():
        if rung not in options.rungs:
            continue
        for case in chosen:
            config = changed(case.config, sizes | {"stream.sample_size": 8192} | changes)
            seeds = [s for s in range(options.seeds) if (case.name, rung, s) not in done]
            for seed, found in measure(case, config, seeds, options.steps):
                report["rows"] += [
                    {"case": case.name, "rung": rung, "seed": seed} | row for row in found
                ]
                write_results(options.out, report)
            jax.clear_caches()


def main() -> None:
    options = arguments()
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    if options.out.exists():
        report = json.loads(options.out.read_text())
    if not options.show:
        run(options, report)
    print(table(report["rows"]))
    if options.plot:
        present = {row["rung"] for row in report["rows"]}
        parts = options.plot.with_stem(f"{options.plot.stem}_parts")
        for path, rungs in ((options.plot, LADDER), (parts, PARTS)):
            if shown := [rung for rung in rungs if rung in present]:
                plot(path, report["rows"], shown)


if __name__ == "__main__":
    main()
