"""Scores of the default method beside its own start, upstream's algorithm and plain clustering.

    python -m benchmarks.dgc.quality --out dgc_quality.json [--real FOLDER] [--seeds 10]

Cases: the built-in leaf scenes (trained on six, scored on four others; a seed is another set of
scenes) with K=2 (background and tissue) and K=16 (three classes by best merge); SalinasA with K=6
and K=8 (labelled pixels, Hungarian); Jasper Ridge with K=4 and Samson with K=3 (argmax of the
reference abundances, Hungarian). Then SalinasA and Jasper with white noise of 1.5 deviations of
each band, columns of uneven gain, and glare. Whole images are clustered, and unlabelled pixels are
left out of the score alone. "transfer": trained on twenty leaf scenes, scored on these and on ten
others. The real cubes may not be redistributed: they are read from --real, and left out where it
is missing.

"trained" is the state that a user gets, chosen without labels; "last" that of the last step;
"start" the closed form. A row is written as soon as it is there, and rows that the file holds are
not made again. One configuration, the default, for all.
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from benchmarks.machine import REPOSITORY, describe_machine, describe_versions
from benchmarks.results_file import write_results
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cube import Cube
from jaxhsi.label_counts import LabelCounts, count_labels, score_counts
from jaxhsi.sharding import device_mesh
from jaxhsi.workflows.dgc_inputs import DGCInputs, open_dgc_inputs
from jaxhsi.workflows.dgc_run import run_dgc
from jaxhsi.workflows.label_maps import TileLabeller, make_tile_labeller
from jaxhsi.workflows.segmentation_model import open_segmentation_model

DEFAULT_REAL = REPOSITORY.parent / "shared" / "data"
SHOWN = ("mean_iou", "oa")
UPSTREAM = {"method": "upstream", "keep_state": "last"}
UPSTREAM_CASES = ("leaf K=2", "SalinasA K=6", "Jasper K=4")

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Case(NamedTuple):
    """What is scored: its name, the alignment that counts, the options, and what is done to it."""

    name: str
    way: str
    config: DGCConfig
    damage: Damage | None = None


def noisy(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White noise of 1.5 deviations of each band."""
    return cube + 1.5 * cube.std((0, 1)) * rng.standard_normal(cube.shape)


def striped(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gains of the columns with a deviation of 20 %."""
    return cube * np.exp(0.2 * rng.standard_normal((1, cube.shape[1], 1)))


def glaring(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A flat spectrum on about a sixth of the pixels, in patches, up to three mean values."""
    field = gaussian_filter(rng.standard_normal(cube.shape[:2]), 3)
    return cube + (np.maximum(field / field.std() - 1, 0) * cube.mean())[..., None]


DAMAGES: dict[str, Damage] = {"noise": noisy, "stripes": striped, "glare": glaring}


def cases(real: Path) -> Iterator[Case]:
    """All cases for which there are data."""
    yield Case("leaf K=2", "merge", DGCConfig(num_clusters=2))
    yield Case("leaf K=16", "merge", DGCConfig())
    salinas, jasper = real / "salinasA", real / "jasper" / "jasperRidge2_R198.mat"
    samson = real / "samson" / "Samson.mat"
    crops = {"labels": salinas / "SalinasA_gt.mat", "ignore_label": 0}
    ridge = {"labels": jasper, "label_key": "A"}
    if salinas.is_dir():
        given = {"data": str(salinas / "SalinasA_corrected.mat"), **crops}
        yield Case("SalinasA K=6", "hungarian", DGCConfig(num_clusters=6, **given))
        yield Case("SalinasA K=8", "hungarian", DGCConfig(num_clusters=8, **given))
    if jasper.is_file():
        given = {"data": str(jasper), **ridge}
        yield Case("Jasper K=4", "hungarian", DGCConfig(num_clusters=4, **given))
    if samson.is_file():
        given = {"data": str(samson), "labels": samson, "label_key": "A", "size": (95, 95)}
        yield Case("Samson K=3", "hungarian", DGCConfig(num_clusters=3, **given))
    for name, damage in DAMAGES.items():
        if salinas.is_dir():
            given = {"data": str(salinas / "SalinasA_corrected.mat"), **crops}
            config = DGCConfig(num_clusters=8, **given)
            yield Case(f"SalinasA K=8, {name}", "hungarian", config, damage)
        if jasper.is_file():
            config = DGCConfig(num_clusters=4, data=str(jasper), **ridge)
            yield Case(f"Jasper K=4, {name}", "hungarian", config, damage)


def with_seed(config: DGCConfig, seed: int) -> DGCConfig:
    """Another seed is also another set of built-in scenes, to train on and to score."""
    count = config.scenes.num_train + config.scenes.num_test
    scenes = dataclasses.replace(config.scenes, seed=count * seed)
    return dataclasses.replace(config, seed=seed, scenes=scenes)


def damaged(case: Case, config: DGCConfig, scratch: Path) -> DGCConfig:
    """The configuration for the cube after what is done to it, which is written to a file."""
    if case.damage is None:
        return config
    [cube] = open_dgc_inputs(config).train_cubes
    values = np.asarray(cube.array.read().result(), np.float32)
    path = scratch / f"{cube.name}.npy"
    np.save(path, case.damage(values, np.random.default_rng(config.seed)).astype(np.float32))
    return dataclasses.replace(config, data=str(path), layout="hwc")


def ours(case: Case, seed: int, *, with_last: bool) -> Iterator[dict]:
    """Rows of the start, of the state that a user gets and, if asked for, of the last one."""
    with tempfile.TemporaryDirectory() as scratch:
        config = damaged(case, with_seed(case.config, seed), Path(scratch))
        config = dataclasses.replace(config, out=Path(scratch) / "run")
        kept = run_dgc(config)
        yield from rows(case, seed, {"start": kept["start"], "trained": kept}, kept)
        if with_last:
            last = run_dgc(dataclasses.replace(config, keep_state="last"), resume=True)
            yield from rows(case, seed, {"last": last}, last)


def others(case: Case, seed: int) -> Iterator[dict]:
    """Rows of plain clustering."""
    from benchmarks.dgc.rivals import rivals  # packages that the tables of a file do without

    config = with_seed(case.config, seed)
    for name, scores in rivals(config, open_dgc_inputs(config)):
        yield from rows(case, seed, {name: scores})


def theirs(case: Case, seed: int, steps: int) -> Iterator[dict]:
    """Rows of upstream's algorithm, before training and after so many steps."""
    with tempfile.TemporaryDirectory() as scratch:
        options = UPSTREAM | {"steps": steps, "out": Path(scratch) / "run"}
        found = run_dgc(upstream(dataclasses.replace(with_seed(case.config, seed), **options)))
        named = {"upstream, start": found["start"], f"upstream, step {steps}": found}
        yield from rows(case, seed, named, found)


def upstream(config: DGCConfig) -> DGCConfig:
    """The options of configs/dgc_upstream.yaml; crops that fit into the smallest cube."""
    views = dataclasses.replace(config.views, crop=64, gain=0.0, noise=0.0, dropout=0.0)
    optimizer = dataclasses.replace(config.optimizer, learning_rate=1e-4, weight_decay=0.01)
    stream = dataclasses.replace(config.stream, standardise_cubes=True)
    monitor = dataclasses.replace(config.monitor, patience=None)
    return dataclasses.replace(
        config, views=views, optimizer=optimizer, stream=stream, monitor=monitor
    )


def rows(case: Case, seed: int, found: dict[str, dict], run: dict | None = None) -> Iterator[dict]:
    for method, scores in found.items():
        row = {"case": case.name, "seed": seed, "method": method, "alignment": case.way}
        row |= {score: scores[score][case.way] for score in SHOWN}
        row |= {"nmi": scores["nmi"], "active_clusters": scores["active_clusters"]}
        row |= {"per_class_iou": scores["per_class_iou"][case.way]}
        if run is not None and scores is run:
            row |= {key: run[key] for key in ("steps", "kept_step", "seconds")}
            row["cuts"] = {k: cut["mean_iou"][case.way] for k, cut in run["cuts"].items()}
        yield row


def transfer(seed: int, scenes: int = 20, others: int = 10) -> Iterator[dict]:
    """Scores on the scenes that were trained on, and on others, by one matching of clusters.

    A cluster means on every scene what it means over all of them; on those without lesions the
    share of the pixels in clusters of lesions is told too.
    """
    config = with_seed(DGCConfig(num_clusters=16), seed)
    config = dataclasses.replace(
        config, scenes=dataclasses.replace(config.scenes, num_train=scenes, num_test=others)
    )
    with tempfile.TemporaryDirectory() as scratch:
        run_dgc(dataclasses.replace(config, out=Path(scratch) / "run"))
        run = open_segmentation_model(Path(scratch) / "run")
        state, _ = run.restore_state()
        task = open_dgc_inputs(config)
        tile_size, mesh = config.stream.tile_size, device_mesh()
        label = make_tile_labeller(run.method, task.window_reader, tile_size, mesh)
        counts = {
            kind: [counted(label, state, task, cube, config.num_clusters) for cube in cubes]
            for kind, cubes in (("trained on", task.train_cubes), ("others", task.label_cubes))
        }
    meaning = np.array(score_counts(reduce(add, counts["trained on"]))["alignment"]["merge"])
    lesion = meaning == task.class_names.index("lesion")
    for kind, tallies in counts.items():
        found = score_counts(reduce(add, tallies), {"meaning": meaning})
        healthy = [
            t for t in tallies if not t.confusion_matrix[:, task.class_names.index("lesion")].any()
        ]
        yield {
            "case": "transfer",
            "seed": seed,
            "method": kind,
            "alignment": "meaning",
            "mean_iou": found["mean_iou"]["meaning"],
            "oa": found["oa"]["meaning"],
            "nmi": found["nmi"],
            "per_class_iou": found["per_class_iou"]["meaning"],
            "active_clusters": found["active_clusters"],
            "scenes": len(tallies),
            "healthy_scenes": len(healthy),
            "lesions_in_healthy": max(
                (t.cluster_pixels[lesion].sum() / t.cluster_pixels.sum() for t in healthy),
                default=None,
            ),
        }


def counted(
    label: TileLabeller, state: Any, task: DGCInputs, cube: Cube, clusters: int
) -> LabelCounts:
    """What a state makes of a cube, counted against its truth."""
    truth, classes = task.ground_truth(cube), len(task.class_names)
    parts = (
        count_labels(part.labels, truth.read(*part.slices), clusters, classes)
        for part in label(state, cube)
    )
    return reduce(add, parts)


def summary(rows: list[dict]) -> Table:
    """The worst and the median seed of every method."""
    table = Table(
        "case", "method", "seeds", "mean IoU", "OA", "NMI", "fewest active", title="worst (median)"
    )
    for case, method in dict.fromkeys((row["case"], row["method"]) for row in rows):
        mine = [row for row in rows if (row["case"], row["method"]) == (case, method)]
        cells = []
        for score in (*SHOWN, "nmi"):
            values = [row[score] for row in mine]
            cells.append(f"{min(values):.3f} ({np.median(values):.3f})")
        fewest = str(min(row["active_clusters"] for row in mine))
        table.add_row(case, method, str(len(mine)), *cells, fewest)
    return table


COLUMNS = {
    "start": ("start",),
    "trained": ("trained",),
    "K-means, best of 4": ("k-means, none", "k-means, band", "k-means, l2", "k-means, log"),
    "Gaussian mixture": ("Gaussian mixture",),
    "SLIC + K-means": ("SLIC + k-means, band", "SLIC + k-means, l2"),
    "Leiden": ("Leiden, spatial graph",),
}


def markdown(rows: list[dict]) -> str:
    """The median seed of the best of each kind of method, and the worst seed of it."""
    lines = [f"| | seeds | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for case in dict.fromkeys(row["case"] for row in rows if row["method"] == "trained"):
        scores = ("mean_iou",) if case.startswith("leaf") else ("oa", "nmi")
        seeds = sum((row["case"], row["method"]) == (case, "trained") for row in rows)
        cells = [_cell(rows, case, methods, scores) for methods in COLUMNS.values()]
        lines.append(f"| {case} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rows: list[dict], case: str, methods: tuple[str, ...], scores: tuple[str, ...]) -> str:
    found = []
    for method in methods:
        mine = [row for row in rows if (row["case"], row["method"]) == (case, method)]
        if mine:
            found.append(
                [(np.median([r[s] for r in mine]), min(r[s] for r in mine)) for s in scores]
            )
    if not found:
        return "-"
    return " / ".join(f"{median:.3f} ({worst:.3f})" for median, worst in max(found))


def plan(options: argparse.Namespace) -> Iterator[tuple[str, int, str, Iterator[dict]]]:
    """Case, seed, kind and rows; the first seed of everything before the second of anything."""
    few = options.few_seeds
    for seed in range(options.seeds):
        for case in cases(options.real):
            if case.damage is None or seed < few:
                yield case.name, seed, "ours", ours(case, seed, with_last=seed < few)
            if case.damage is None and seed < few:
                yield case.name, seed, "others", others(case, seed)
    yield "transfer", 0, "ours", transfer(0)
    for case in cases(options.real):
        if case.name in UPSTREAM_CASES:
            yield case.name, 0, "upstream", theirs(case, 0, options.upstream_steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--real", type=Path, default=DEFAULT_REAL, help="folder of real cubes")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of the default method")
    parser.add_argument("--few_seeds", type=int, default=3, help="of rivals and damaged cubes")
    parser.add_argument("--upstream_steps", type=int, default=400, help="of upstream's algorithm")
    parser.add_argument("--cases", nargs="*", help="names to run, e.g. 'leaf K=16' transfer")
    parser.add_argument("--kinds", nargs="*", help="of rows: ours, others, upstream; all if left")
    parser.add_argument("--show", action="store_true", help="the table of a file, without runs")
    options = parser.parse_args()
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    if options.out.is_file():
        report["rows"] = json.loads(options.out.read_text())["rows"]
    made = {(row["case"], row["seed"], row["kind"]) for row in report["rows"]}
    for name, seed, kind, found in plan(options) if not options.show else ():
        asked = name in (options.cases or [name]) and kind in (options.kinds or [kind])
        if asked and (name, seed, kind) not in made:
            report["rows"] += [row | {"kind": kind} for row in found]
            write_results(options.out, report)
    Console(width=120).print(summary(report["rows"]))
    print(markdown(report["rows"]))


if __name__ == "__main__":
    main()
