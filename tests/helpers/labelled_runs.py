"""Folders of runs of dgc as training leaves them, made without training."""

from pathlib import Path

import numpy as np

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.files import write_config
from jaxhsi.data.cube import open_cube
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.data.windows import read_window
from jaxhsi.data.zarr_writer import create_cube
from jaxhsi.dgc.cluster_tree import ClusterTree
from jaxhsi.dgc.merge_tree import MergeTree
from jaxhsi.label_spectra import add_window, empty_label_spectra, pixel_priorities
from jaxhsi.report.cube_preview import PreviewBuilder, write_preview
from jaxhsi.report.json_files import write_json
from jaxhsi.report.label_pictures import FalseColourPicture
from jaxhsi.report.label_spectra_files import band_axis, write_label_spectra
from jaxhsi.training.tile_labels import LabelledTile
from jaxhsi.workflows.merge_tree_files import write_cluster_tree

PLACE = Georeference("EPSG:32633", (2.0, 0.0, 430_000.0, 0.0, -2.0, 5_400_000.0), 1.0)


def make_labelled_run(
    folder: Path,
    *,
    side: int = 40,
    num_bands: int = 5,
    num_clusters: int = 4,
    cube_names: tuple[str, ...] = ("field",),
    class_names: tuple[str, ...] = (),
) -> Path:
    """Blocks of labels in noisy cubes; no checkpoint and no label stores."""
    run = folder / "run"
    run.mkdir(parents=True)
    write_config(DGCConfig(num_clusters=num_clusters), run / "config.yaml")
    spectra = empty_label_spectra(num_clusters, num_bands)
    pixels = {}
    for cube_name in cube_names:
        builder, spectra = _label(folder, cube_name, (side, side, num_bands), num_clusters, spectra)
        write_preview(run, cube_name, builder)
        pixels[cube_name] = builder.confidence_counts.sum(1).tolist()
    axis = band_axis(np.linspace(400, 900, num_bands), num_bands, "reflectance")
    names = [f"cluster {k}" for k in range(num_clusters)]
    write_label_spectra(run, spectra, names, axis)
    write_cluster_tree(run, chain_tree(num_clusters, names))
    scores = {"pixels": [1] * num_clusters, "cubes": pixels, "steps": 3, "kept_step": 2}
    if class_names:
        each = {"merge": 1.0, "hungarian": 0.5}
        per_class = {key: [1.0] * len(class_names) for key in each}
        part = dict.fromkeys(("mean_iou", "dice", "area_rmse", "oa"), each)
        part |= {"per_class_iou": per_class, "nmi": 1.0, "vi": 0.0, "entropy": 1.0}
        scores |= part | {"start": part, "classes": list(class_names)}
    write_json(run / "scores.json", scores)
    (run / "metrics.jsonl").write_text(
        "".join(f'{{"step": {k}, "loss": 1.0}}\n' for k in (1, 2, 3))
    )
    return run


def chain_tree(num_clusters: int, names: list[str]) -> ClusterTree:
    """A tree in which each merge adds the next cluster."""
    pairs = [[0, 1], *([k, num_clusters + k - 2] for k in range(2, num_clusters))]
    heights = np.arange(1.0, num_clusters)
    shares = np.full(num_clusters, 1 / num_clusters)
    return ClusterTree(MergeTree(np.array(pairs), heights), shares, tuple(names), None, ())


def _label(folder, cube_name, shape, num_clusters, spectra):
    rng = np.random.default_rng(0)
    path = folder / "cubes" / f"{cube_name}.zarr"
    with create_cube(path, shape, np.float32, georeference=PLACE) as store:
        for tile in split_into_tiles(shape[:2], (256, 256)):
            values = rng.random((tile.height, tile.width, shape[2]), np.float32)
            store[tile.slices].write(values).result()
    cube = open_cube(path)
    picture = FalseColourPicture(cube)
    builder = PreviewBuilder(cube, num_clusters, with_truth=True)
    reader = picture.recording_reader(read_window)
    for tile in split_into_tiles(shape[:2], (256, 256)):
        values, _ = reader(cube, *tile)
        rows = np.arange(tile.y0, tile.y0 + tile.height)[:, None] // 8
        columns = np.arange(tile.x0, tile.x0 + tile.width) // 8
        labels = ((rows * 7 + columns * 3) % num_clusters).astype(np.int32)
        confidence = rng.random(labels.shape, np.float32)
        labelled_tile = LabelledTile(tile, labels, confidence, values)
        builder.add(labelled_tile, labels % 2)
        priorities = pixel_priorities(cube_name, *tile.slices, shape[1])
        spectra = add_window(spectra, labels, values, priorities)
    return builder.preview(picture), spectra
