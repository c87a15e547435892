"""Cubes labelled by a trained run: maps, pictures, files for other programs, areas."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxhsi.callbacks import OnProgress
from jaxhsi.closest_name import closest_name
from jaxhsi.cluster_groups import Grouping, make_grouping
from jaxhsi.config.files import saved_options, write_config
from jaxhsi.config.grouping_files import write_grouping
from jaxhsi.config.predict import PredictConfig
from jaxhsi.data.cache import fingerprint
from jaxhsi.data.cube import Cube
from jaxhsi.data.statistics import store_fingerprint
from jaxhsi.data.tiles import count_tiles
from jaxhsi.label_counts import LabelCounts
from jaxhsi.label_spectra import empty_label_spectra
from jaxhsi.report import dgc_sentences as sentences
from jaxhsi.report import label_pictures
from jaxhsi.report.areas import measure_areas, write_areas
from jaxhsi.report.cluster_presence import cluster_presence, write_presence_files
from jaxhsi.report.cube_preview import write_preview
from jaxhsi.report.dgc_tables import share_table
from jaxhsi.report.label_spectra_files import write_label_spectra
from jaxhsi.report.picture_panels import draw_label_map
from jaxhsi.sharding import device_mesh
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.run_folder import PREDICT_CONFIG_FILE, check_result_folder, create_run_folder
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.state_digest import state_digest
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.training.tile_journal import open_journal
from jaxhsi.training.tile_labels import LabelledTile, LabelStores
from jaxhsi.workflows.dgc_inputs import choose_window_reader
from jaxhsi.workflows.dgc_training import reader_of_state
from jaxhsi.workflows.label_exports import export_labels, export_place
from jaxhsi.workflows.label_maps import (
    LabelledCube,
    TileLabeller,
    history_note,
    make_tile_labeller,
    write_label_map,
)
from jaxhsi.workflows.merge_tree_files import choose_grouping
from jaxhsi.workflows.run_cubes import open_cubes_of_run
from jaxhsi.workflows.run_spectra import spectral_axis
from jaxhsi.workflows.segmentation_model import SegmentationModel, open_segmentation_model

GROUPING_FILE = "groups.yaml"
"""Groups that the labels of a prediction stand for, in its folder."""


def predict_cubes(
    config: PredictConfig,
    *,
    ignore_groups: bool = False,
    envi: bool = False,
    geotiff: bool = False,
    overwrite: bool = False,
    profile: bool = False,
) -> dict[str, Any]:
    """Label cubes with the selected state of a run and write everything into a folder.

    Where the same call was interrupted, it goes on after the last tile that is on disk.

    Args:
        config: the options.
        ignore_groups: label by clusters, whatever groups are saved with the run.
        envi: write ENVI classification files.
        geotiff: write GeoTIFF files of cubes without a coordinate reference system too.
        overwrite: delete the predictions that are in the folder.
        profile: trace a few tiles into the folder, see `jaxhsi.training.step_profiler`.

    Returns:
        The content of ``areas.json``, and the folder.

    Raises:
        FileExistsError: the folder holds predictions already, or other files.
        BlockingIOError: another process writes into the folder.
        FileNotFoundError, ValueError: a run, cubes or options that cannot be used. Raised before
            anything is labelled, and before anything is deleted.
    """
    model, folder = open_segmentation_model(config.run), config.out or config.run / "predictions"
    switches = {"ignore_groups": ignore_groups, "envi": envi, "geotiff": geotiff}
    switches |= {"overwrite": overwrite, "profile": profile}
    with locked_folder(folder):
        return _predict_into(folder, config, model, **switches)


def _predict_into(
    folder: Path,
    config: PredictConfig,
    model: SegmentationModel,
    *,
    ignore_groups: bool,
    envi: bool,
    geotiff: bool,
    overwrite: bool,
    profile: bool,
) -> dict[str, Any]:
    """`predict_cubes`, in a folder that no other process writes into."""
    console, times = PlainConsole(), StageTimes()
    check_result_folder(folder, PREDICT_CONFIG_FILE, "predictions", overwrite=overwrite)
    grouping, source = _choose_groups(config, model, ignore_groups=ignore_groups)
    _share_names(config.share_of, grouping.group_names)
    with times.measure("start"):
        cubes = _open_cubes(config, model)
        state, num_steps = model.restore_state()
        reader = reader_of_state(choose_window_reader(model.config, cubes), state)
    reader, mesh = times.timed("read", reader), device_mesh(config.devices)
    tile_size = config.tile_size or model.config.stream.tile_size
    tile_labeller = make_tile_labeller(model.method, reader, tile_size, mesh, grouping.apply)
    create_run_folder(folder, overwrite=overwrite, marker_file=PREDICT_CONFIG_FILE)
    key = _results_key(config, state, cubes, grouping, tile_size)
    print_line = partial(console.print, soft_wrap=True)  # a path is not to be broken
    journal = open_journal(folder, PREDICT_CONFIG_FILE, key, print_line)
    write_config(config, folder / PREDICT_CONFIG_FILE)
    if source is not None:
        write_grouping(grouping, folder / GROUPING_FILE)
        print_line(sentences.describe_groups(len(grouping.group_names), source))
    notes, cube_counts = _history_notes(num_steps, grouping), {}
    kind = "cluster" if source is None else "group"
    label_spectra = empty_label_spectra(len(grouping.group_names), cubes[0].shape[2])
    formats = {"geotiff": geotiff, "envi": envi, "polygons": config.polygons}
    with StepProfiler(folder if profile else None, "tiles", print_line) as profiler:
        profiler.expect_steps(sum(count_tiles(cube.shape[:2], (tile_size,) * 2) for cube in cubes))
        for cube in cubes:
            with times.measure("label"), ProgressBars(console) as progress_bars:
                labelled_cube = write_label_map(
                    _with_progress(tile_labeller, progress_bars, profiler),
                    state,
                    cube,
                    folder / "labels",
                    notes,
                    len(grouping.group_names),
                    num_cubes=len(cubes),
                    journal=journal,
                )
            cube_counts[cube.name] = labelled_cube.label_counts
            label_spectra = label_spectra + labelled_cube.label_spectra
            with times.measure("export"):
                _write_exports(config, cube, labelled_cube, folder, grouping, kind, formats)
            console.print(sentences.describe_labelled_cube(cube.name, *cube.shape[:2]))
    axis = spectral_axis(model.config, cubes)
    write_label_spectra(folder, label_spectra, grouping.group_names, axis, kind)
    area_record = _write_areas(config, cubes, cube_counts, grouping, folder, kind)
    journal.close()
    times.write(folder)
    _print_areas(console, area_record, folder, kind)
    print_line(times.sentence())
    return area_record | {"folder": str(folder)}


def _choose_groups(
    config: PredictConfig, model: SegmentationModel, *, ignore_groups: bool
) -> tuple[Grouping, str | None]:
    """Groups of the clusters and their source; without groups each cluster is its own group."""
    num_clusters = model.config.num_clusters
    chosen = choose_grouping(
        config.run,
        num_clusters,
        groups=config.groups,
        cut_groups=config.cut,
        ignore_groups=ignore_groups,
    )
    return (make_grouping({}, num_clusters), None) if chosen is None else chosen


def _open_cubes(config: PredictConfig, model: SegmentationModel) -> tuple[Cube, ...]:
    """The cubes to label, checked against bands, wavelengths and values of the run."""
    options = {
        "key": config.key,
        "layout": config.layout,
        "size": config.size,
        "raw": config.raw or model.config.raw,
        "no_data": model.config.no_data if config.no_data is None else config.no_data,
        "scale": config.scale,
        "tolerance": config.tolerance,
        "expected_band_counts": {model.run_name: model.num_bands},
    }
    cubes = open_cubes_of_run(config.cubes, model.wavelengths, **options)
    model.check_cube_wavelengths(cubes, config.tolerance)
    model.check_cube_values(cubes)
    return cubes


def _results_key(
    config: PredictConfig,
    state: Any,
    cubes: Sequence[Cube],
    grouping: Grouping,
    tile_size: int,
) -> str:
    """Name of all that label maps depend on: an interrupted call goes on where it is the same."""
    others = ("out", "devices")  # which labels do not depend on
    options = {name: value for name, value in saved_options(config).items() if name not in others}
    cube_states = tuple(map(store_fingerprint, cubes))
    groups = grouping.members_by_name()
    return fingerprint((options, state_digest(state), cube_states, groups, tile_size))


def _history_notes(num_steps: int, grouping: Grouping) -> tuple[str, str]:
    groups = "; ".join(
        f"{i} {name} ({', '.join(map(str, members))})"
        for i, (name, members) in enumerate(grouping.members_by_name().items())
    )
    labelled_note = history_note(len(grouping.group_indices), num_steps)
    return labelled_note, f"labels, with the clusters that they stand for: {groups}"


def _with_progress(
    tile_labeller: TileLabeller, on_progress: OnProgress, profiler: StepProfiler
) -> TileLabeller:
    """The labeller, which also reports how many pixels of a cube are labelled, and is traced."""

    def label(
        state: Any,
        cube: Cube,
        false_colour: label_pictures.FalseColourPicture | None = None,
        stored: LabelStores | None = None,
    ) -> Iterator[LabelledTile]:
        num_done, num_pixels = 0, cube.shape[0] * cube.shape[1]
        for tile in profiler.trace_items(tile_labeller(state, cube, false_colour, stored)):
            yield tile
            num_done += tile.labels.size
            on_progress(f"labelling {cube.name}, pixels", num_done, num_pixels)

    return label


def _write_exports(
    config: PredictConfig,
    cube: Cube,
    labelled_cube: LabelledCube,
    folder: Path,
    grouping: Grouping,
    kind: str,
    formats: dict[str, Any],
) -> None:
    """Write the pictures of a cube and the files for other programs."""
    _write_pictures(config, cube, labelled_cube, folder, grouping, kind)
    place = export_place(cube, config.pixel_size)
    export_labels(folder / "labels", cube, labelled_cube, grouping, place, **formats)


def _write_pictures(
    config: PredictConfig,
    cube: Cube,
    labelled_cube: LabelledCube,
    folder: Path,
    grouping: Grouping,
    kind: str,
) -> None:
    """Write the preview and the picture of a cube; a given pixel size counts as its own."""
    if config.pixel_size is not None:
        size = float(config.pixel_size)
        preview = labelled_cube.preview._replace(pixel_area=size**2, pixel_size=(size, size))
        labelled_cube = labelled_cube._replace(preview=preview)
    write_preview(folder, cube.name, labelled_cube.preview)
    picture_path = folder / "pictures" / f"{cube.name}.png"
    pixels = labelled_cube.label_counts.cluster_pixels
    draw_label_map(picture_path, labelled_cube.preview, pixels, grouping.group_names, kind=kind)


def _write_areas(
    config: PredictConfig,
    cubes: Sequence[Cube],
    cube_counts: dict[str, LabelCounts],
    grouping: Grouping,
    folder: Path,
    kind: str,
) -> dict[str, Any]:
    """Write areas and presence of the groups; returns the record of both."""
    pixel_areas = {cube.name: _pixel_area(cube, config.pixel_size) for cube in cubes}
    chosen_names = _share_names(config.share_of, grouping.group_names)
    area_record = measure_areas(cube_counts, pixel_areas, grouping.group_names, chosen_names)
    cube_pixels = {name: each.cluster_pixels for name, each in cube_counts.items()}
    presence_record = cluster_presence(cube_pixels, grouping.group_names)
    write_presence_files(folder, presence_record, kind)
    area_record |= {"presence": presence_record}
    write_areas(folder, area_record, kind)
    return area_record


def _share_names(share_of: str | None, group_names: Sequence[str]) -> list[str]:
    """The groups that an option names, whose shares of each other are wanted.

    Raises:
        ValueError: a name that no group has.
    """
    names = [name.strip() for name in (share_of or "").split(",") if name.strip()]
    by_plain_name = {name.casefold(): name for name in group_names}
    for name in names:
        if name.casefold() not in by_plain_name:
            closest = closest_name(name, group_names)
            hint = f"did you mean {closest}? " if closest else ""
            raise ValueError(
                f"--share_of {share_of}: there is no group {name!r}; {hint}There are: "
                f"{', '.join(group_names)}"
            )
    return [by_plain_name[name.casefold()] for name in names]


def _pixel_area(cube: Cube, pixel_size: float | None) -> float | None:
    """Area of a pixel in m2; the given size has priority over that of the cube."""
    if pixel_size is not None:
        return pixel_size**2
    return None if cube.georeference is None else cube.georeference.pixel_area


def _print_areas(console: Console, area_record: dict[str, Any], folder: Path, kind: str) -> None:
    rows = area_record["total"]["areas"]
    group_pixels = np.array([row["pixels"] for row in rows])
    square_metres = [row["m2"] for row in rows]
    table = share_table(
        group_pixels,
        area_record["names"],
        square_metres,
        kind=kind,
        chosen_shares=[row["share_of_chosen"] for row in rows],
        chosen_names=area_record["share_of"],
    )
    console.print(table)
    presence_lines = sentences.partial_presence_lines(area_record["presence"])
    sentences.print_lines(console, sentences.PRESENCE_TITLE, presence_lines)
    console.print(sentences.describe_prediction(folder), soft_wrap=True)
