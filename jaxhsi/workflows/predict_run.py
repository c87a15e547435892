"""Cubes labelled by a trained run: maps, pictures, files for other programs, areas."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxhsi.cluster_groups import Grouping, make_grouping
from jaxhsi.config.files import write_config
from jaxhsi.config.predict import PredictConfig, write_grouping
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.exports import ClassMap, write_envi, write_geotiff
from jaxhsi.data.open import open_sources
from jaxhsi.label_counts import LabelCounts
from jaxhsi.report import label_pictures
from jaxhsi.report.areas import measure_areas, write_areas
from jaxhsi.report.cluster_presence import (
    cluster_presence,
    partial_presence_lines,
    write_presence_files,
)
from jaxhsi.report.tables import print_lines, share_table
from jaxhsi.training.run_folder import PREDICTED, check_results, claim_folder
from jaxhsi.training.tile_labels import Labelled
from jaxhsi.workflows.dgc_inputs import choose_window_reader
from jaxhsi.workflows.label_maps import (
    TileLabeller,
    draw_label_map,
    make_tile_labeller,
    write_label_map,
)
from jaxhsi.workflows.merge_tree_files import choose_grouping
from jaxhsi.workflows.segmentation_model import SegmentationModel, open_segmentation_model

GROUPING_FILE = "groups.yaml"


def predict_cubes(
    config: PredictConfig,
    *,
    ignore_groups: bool = False,
    envi: bool = False,
    geotiff: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Label cubes with the state that is kept of a run, and leave all in a folder.

    Args:
        config: the options.
        ignore_groups: label by clusters, whatever groups are saved with the run.
        envi: write ENVI classification files.
        geotiff: write GeoTIFF files of cubes without a coordinate reference system too.
        overwrite: delete the predictions that are in the folder.

    Returns:
        What ``areas.json`` holds.

    Raises:
        FileExistsError: the folder holds predictions already, or other files.
        FileNotFoundError, ValueError: a run, cubes or options that cannot be used. Raised before
            anything is labelled, and before anything is deleted.
    """
    console, run = Console(), open_segmentation_model(config.run)
    folder = config.out or config.run / "predictions"
    check_results(folder, PREDICTED, "predictions", overwrite=overwrite)
    clusters = run.config.num_clusters
    merge, source = make_grouping({}, clusters), None
    if chosen := choose_grouping(
        config.run,
        clusters,
        groups=config.groups,
        cut_groups=config.cut,
        ignore_groups=ignore_groups,
    ):
        merge, source = chosen
    cubes = open_sources(
        config.cubes,
        **{"key": config.key, "layout": config.layout, "size": config.size},
        tolerance=config.wavelength_tolerance,
        bands={run.run_name: run.num_bands},
    )
    run.check_cube_wavelengths(cubes, config.wavelength_tolerance)
    tile = config.tile_size or run.config.stream.tile
    label = make_tile_labeller(run.method, choose_window_reader(run.config, cubes), tile)
    state, step = run.restore_state()
    claim_folder(folder, overwrite=overwrite, mark=PREDICTED)
    write_config(config, folder / PREDICTED)
    if source is not None:
        write_grouping(merge, folder / GROUPING_FILE)
        console.print(f"{len(merge.group_names)} groups of {source}", soft_wrap=True)

    notes = _notes(run, step, merge)
    counts = {}
    for cube in cubes:
        counts[cube.name] = _predict(label, state, cube, folder, merge, notes)
        tif = geotiff or (cube.georeference is not None and cube.georeference.crs is not None)
        _export(folder / "labels", cube, merge, geotiff=tif, envi=envi)
        console.print(f"{cube.name}: {cube.shape[0]} x {cube.shape[1]} pixels labelled")
    pixel_areas = {cube.name: _pixel_area(cube, config.pixel_size) for cube in cubes}
    found = measure_areas(counts, pixel_areas, merge.group_names)
    there = cluster_presence(
        {name: each.cluster_pixels for name, each in counts.items()}, merge.group_names
    )
    write_presence_files(folder, there)
    found |= {"presence": there}
    write_areas(folder, found)
    rows = found["total"]["areas"]
    pixels = np.array([row["pixels"] for row in rows])
    console.print(share_table(pixels, merge.group_names, [row["m2"] for row in rows]))
    print_lines(console, "in some cubes alone:", partial_presence_lines(there))
    console.print(f"results are in {folder}", soft_wrap=True)
    return found


def _notes(run: SegmentationModel, step: int, merge: Grouping) -> tuple[str, ...]:
    made = f"labelled by DGC with {len(merge.group_indices)} clusters after {step} steps"
    groups = "; ".join(
        f"{i} {name} ({', '.join(map(str, members))})"
        for i, (name, members) in enumerate(merge.members_by_name().items())
    )
    return made, f"labels, with the clusters that they stand for: {groups}"


def _predict(
    label: TileLabeller, state: Any, cube: Cube, folder: Path, merge: Grouping, notes: Sequence[str]
) -> LabelCounts:
    """Write the label map of a cube and a picture of it."""

    def merged(
        state: Any, cube: Cube, colours: label_pictures.FalseColourPicture | None = None
    ) -> Iterator[Labelled]:
        for part in label(state, cube, colours):
            yield part._replace(labels=merge.apply(part.labels))

    written = write_label_map(merged, state, cube, folder / "labels", notes, len(merge.group_names))
    draw_label_map(folder / "pictures" / f"{cube.name}.png", written, merge.group_names)
    return written.label_counts


def _export(folder: Path, cube: Cube, merge: Grouping, *, geotiff: bool, envi: bool) -> None:
    array = open_cube(folder / f"{cube.name}.zarr").array
    classes = ClassMap(
        cube.shape[:2],
        lambda rows, columns: array[rows, columns, 0].read().result(),
        merge.group_names,
        label_pictures.cluster_colours(len(merge.group_names)),
        cube.georeference,
    )
    if geotiff:
        write_geotiff(folder / f"{cube.name}.tif", classes)
    if envi:
        write_envi(folder / f"{cube.name}.img", classes)


def _pixel_area(cube: Cube, pixel_size: float | None) -> float | None:
    """In m2; what the user says counts more than what the cube says."""
    if pixel_size is not None:
        return pixel_size**2
    return None if cube.georeference is None else cube.georeference.pixel_area
