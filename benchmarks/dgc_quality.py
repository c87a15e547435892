"""Scores of the default method beside its own start and plain K-means, over seeds.

    python benchmarks/dgc_quality.py --out dgc_quality.json [--real FOLDER] [--seeds 5]

Cases: the built-in leaf scenes (trained on six, scored on four others) with K=2 (background and
tissue) and K=8 (three classes by best merge), SalinasA with K=6 (labelled pixels, Hungarian) and
Jasper Ridge with K=4 (argmax of the reference abundances, Hungarian). SalinasA and Jasper may not
be redistributed: they are read from --real, and left out where it is missing. Scores of the
trained state are taken halfway and at the end of training; whole images are clustered, and
unlabelled pixels are left out of the score alone.
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from machine import describe_machine, describe_versions
from rich.console import Console
from rich.table import Table
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

from jaxhsi import metrics
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.stream import sample_spectra
from jaxhsi.data.tiles import tiles
from jaxhsi.segmentation import segment
from jaxhsi.spectral import BandStats, band_stats, normalise
from jaxhsi.task import Task, open_task

DEFAULT_REAL = Path(__file__).parents[2] / "shared" / "data"
SHOWN = ("mean_iou", "oa")


def cases(real: Path) -> Iterator[tuple[str, str, DGCConfig]]:
    """Name, the alignment that its score is quoted by, and the configuration."""
    yield "leaf K=2", "merge", DGCConfig(num_clusters=2)
    yield "leaf K=8", "merge", DGCConfig(num_clusters=8)
    salinas, jasper = real / "salinasA", real / "jasper" / "jasperRidge2_R198.mat"
    if salinas.is_dir():
        yield (
            "SalinasA K=6",
            "hungarian",
            DGCConfig(
                data=str(salinas / "SalinasA_corrected.mat"),
                labels=salinas / "SalinasA_gt.mat",
                ignore_label=0,
                num_clusters=6,
            ),
        )
    if jasper.is_file():
        yield (
            "Jasper K=4",
            "hungarian",
            DGCConfig(data=str(jasper), labels=jasper, label_key="A", num_clusters=4),
        )


def with_seed(config: DGCConfig, seed: int) -> DGCConfig:
    """Another seed is also another set of built-in scenes, to train on and to score."""
    count = config.scenes.train + config.scenes.test
    scenes = dataclasses.replace(config.scenes, seed=count * seed)
    return dataclasses.replace(config, seed=seed, scenes=scenes)


def trained(config: DGCConfig, scratch: Path) -> dict[str, dict]:
    """Scores of the start, halfway, and at the end: one run, resumed once."""
    config = dataclasses.replace(config, out=scratch / "run")
    half = segment(dataclasses.replace(config, steps=config.steps // 2))
    whole = segment(config, resume=True)
    return {"start": whole["start"], "halfway": half, "trained": whole}


def kmeans(config: DGCConfig, task: Task) -> dict[str, dict]:
    """Scores of MiniBatchKMeans on 16 principal components, by normalisation."""
    spectra = sample_spectra(task.train, config.stream.sample, config.seed).spectra
    stats = band_stats(jnp.asarray(spectra))
    found = {}
    for kind in ("none", "band", "l2"):
        pca = PCA(16, random_state=config.seed).fit(_normalised(kind, spectra, stats))
        model = MiniBatchKMeans(config.num_clusters, n_init=3, random_state=config.seed)
        model.fit(pca.transform(_normalised(kind, spectra, stats)))
        counts = np.zeros((config.num_clusters, len(task.classes)), np.int64)
        for cube in task.label:
            truth = task.truth(cube)
            for place in tiles(cube.shape[:2], (256, 256)):
                values, _ = task.read(cube, *place)
                pixels = _normalised(kind, values.reshape(-1, values.shape[-1]), stats)
                labels = model.predict(pca.transform(pixels)).reshape(values.shape[:2])
                counts += metrics.confusion(labels, truth.read(*place.slices), *counts.shape)
        found[f"k-means, {kind}"] = metrics.scores(counts)
    return found


def _normalised(kind: str, spectra: np.ndarray, stats: BandStats) -> np.ndarray:
    return np.asarray(normalise(kind, jnp.asarray(spectra), stats))


def measure(name: str, way: str, config: DGCConfig) -> Iterator[dict]:
    """A row for each method."""
    with tempfile.TemporaryDirectory() as scratch:
        found = trained(config, Path(scratch))
    for method, scores in (found | kmeans(config, open_task(config))).items():
        row = {"case": name, "seed": config.seed, "method": method, "alignment": way}
        row |= {score: scores[score][way] for score in SHOWN}
        row |= {"nmi": scores["nmi"], "active_clusters": scores["active_clusters"]}
        yield row | {"per_class_iou": scores["per_class_iou"][way]}


def summary(rows: list[dict]) -> Table:
    """The worst and the median seed of every method."""
    table = Table(
        "case", "method", "mean IoU", "OA", "NMI", "fewest active", title="worst (median)"
    )
    for case, method in dict.fromkeys((row["case"], row["method"]) for row in rows):
        mine = [row for row in rows if (row["case"], row["method"]) == (case, method)]
        cells = []
        for score in (*SHOWN, "nmi"):
            values = [row[score] for row in mine]
            cells.append(f"{min(values):.3f} ({np.median(values):.3f})")
        table.add_row(case, method, *cells, str(min(row["active_clusters"] for row in mine)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--real", type=Path, default=DEFAULT_REAL, help="folder of real cubes")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--cases", nargs="*", help="names to run, e.g. 'leaf K=8'; all by default")
    options = parser.parse_args()
    report = {"machine": describe_machine(), "versions": describe_versions(), "rows": []}
    for name, way, config in cases(options.real):
        if options.cases and name not in options.cases:
            continue
        for seed in range(options.seeds):
            report["rows"] += measure(name, way, with_seed(config, seed))
            options.out.write_text(json.dumps(report, indent=1) + "\n")
    Console().print(summary(report["rows"]))


if __name__ == "__main__":
    main()
