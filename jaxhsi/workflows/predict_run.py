"""Cubes labelled by a trained run: maps, pictures, files for other programs, areas."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxhsi.cluster_groups import Merge, merge_of
from jaxhsi.config.files import write_config
from jaxhsi.config.predict import PredictConfig, write_merge
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.exports import ClassMap, write_envi, write_geotiff
from jaxhsi.data.open import open_sources
from jaxhsi.label_counts import Tally
from jaxhsi.report import label_pictures
from jaxhsi.report.areas import areas, write_areas
from jaxhsi.report.cluster_presence import presence, some_alone, write_presence
from jaxhsi.report.tables import print_lines, share_table
from jaxhsi.training.run_folder import PREDICTED, check_results, claim_folder
from jaxhsi.training.tile_labels import Labelled
from jaxhsi.workflows.dgc_inputs import reader_of
from jaxhsi.workflows.label_maps import Labeller, draw_map, labeller, write_map
from jaxhsi.workflows.merge_tree_files import chosen_groups
from jaxhsi.workflows.segmentation_model import Trained, open_trained

MERGE = "merge.yaml"


def predict_cubes(
    config: PredictConfig,
    *,
    bare: bool = False,
    envi: bool = False,
    geotiff: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Label cubes with the state that is kept of a run, and leave all in a folder.

    Args:
        config: the options.
        bare: label by clusters, whatever groups are saved with the run.
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
    console, run = Console(), open_trained(config.run)
    folder = config.out or config.run / "predictions"
    check_results(folder, PREDICTED, "predictions", overwrite=overwrite)
    clusters = run.config.num_clusters
    merge, source = merge_of({}, clusters), None
    if chosen := chosen_groups(config.run, clusters, merge=config.merge, k=config.cut, bare=bare):
        merge, source = chosen
    cubes = open_sources(
        config.cubes,
        **{"key": config.key, "layout": config.layout, "size": config.size},
        tolerance=config.tolerance,
        bands={run.name: run.bands},
    )
    run.check_cubes(cubes, config.tolerance)
    tile = config.tile or run.config.stream.tile
    label = labeller(run.method, reader_of(run.config, cubes), tile)
    state, step = run.restore()
    claim_folder(folder, overwrite=overwrite, mark=PREDICTED)
    write_config(config, folder / PREDICTED)
    if source is not None:
        write_merge(merge, folder / MERGE)
        console.print(f"{len(merge.names)} groups of {source}", soft_wrap=True)

    notes = _notes(run, step, merge)
    counts = {}
    for cube in cubes:
        counts[cube.name] = _predict(label, state, cube, folder, merge, notes)
        tif = geotiff or (cube.georeference is not None and cube.georeference.crs is not None)
        _export(folder / "labels", cube, merge, geotiff=tif, envi=envi)
        console.print(f"{cube.name}: {cube.shape[0]} x {cube.shape[1]} pixels labelled")
    pixel_areas = {cube.name: _pixel_area(cube, config.pixel_size) for cube in cubes}
    found = areas(counts, pixel_areas, merge.names)
    there = presence({name: each.pixels for name, each in counts.items()}, merge.names)
    write_presence(folder, there)
    found |= {"presence": there}
    write_areas(folder, found)
    rows = found["total"]["areas"]
    pixels = np.array([row["pixels"] for row in rows])
    console.print(share_table(pixels, merge.names, [row["m2"] for row in rows]))
    print_lines(console, "in some cubes alone:", some_alone(there))
    console.print(f"results are in {folder}", soft_wrap=True)
    return found


def _notes(run: Trained, step: int, merge: Merge) -> tuple[str, ...]:
    made = f"labelled by DGC with {len(merge.groups)} clusters after {step} steps"
    groups = "; ".join(
        f"{i} {name} ({', '.join(map(str, members))})"
        for i, (name, members) in enumerate(merge.members().items())
    )
    return made, f"labels, with the clusters that they stand for: {groups}"


def _predict(
    label: Labeller, state: Any, cube: Cube, folder: Path, merge: Merge, notes: Sequence[str]
) -> Tally:
    """Write the label map of a cube and a picture of it."""

    def merged(
        state: Any, cube: Cube, colours: label_pictures.FalseColour | None = None
    ) -> Iterator[Labelled]:
        for part in label(state, cube, colours):
            yield part._replace(labels=merge.apply(part.labels))

    written = write_map(merged, state, cube, folder / "labels", notes, len(merge.names))
    draw_map(folder / "pictures" / f"{cube.name}.png", written, merge.names)
    return written.tally


def _export(folder: Path, cube: Cube, merge: Merge, *, geotiff: bool, envi: bool) -> None:
    array = open_cube(folder / f"{cube.name}.zarr").array
    classes = ClassMap(
        cube.shape[:2],
        lambda rows, columns: array[rows, columns, 0].read().result(),
        merge.names,
        label_pictures.colours(len(merge.names)),
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
