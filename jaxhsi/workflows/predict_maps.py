"""Label maps, pictures and files for other programs of cubes, and what they add up to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jaxhsi.callbacks import OnProgress
from jaxhsi.cluster_groups import Grouping
from jaxhsi.config.files import saved_options, write_config
from jaxhsi.config.grouping_files import write_grouping
from jaxhsi.config.predict import PredictConfig
from jaxhsi.data.cache import fingerprint
from jaxhsi.data.cube import Cube
from jaxhsi.data.statistics import store_fingerprint
from jaxhsi.data.tiles import count_tiles
from jaxhsi.label_spectra import LabelSpectra, empty_label_spectra
from jaxhsi.report import dgc_sentences as sentences
from jaxhsi.report import label_pictures
from jaxhsi.report.cube_preview import write_preview
from jaxhsi.report.picture_panels import draw_label_map
from jaxhsi.sharding import device_mesh
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.run_folder import PREDICT_CONFIG_FILE, check_result_folder, create_run_folder
from jaxhsi.training.stage_times import StageTimes
from jaxhsi.training.step_profiler import StepProfiler
from jaxhsi.training.tile_journal import TileJournal, open_journal
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
from jaxhsi.workflows.predict_summary import CubeSummary, print_summary, write_summary
from jaxhsi.workflows.prediction import Prediction
from jaxhsi.workflows.run_cubes import open_cubes_of_run
from jaxhsi.workflows.segmentation_model import SegmentationModel

GROUPING_FILE = "groups.yaml"
"""Groups that the labels of a prediction stand for, in its folder."""

OnLabelledCube = Callable[[str, LabelSpectra], None]
"""Called with the name of a cube and the spectra of its labels, when its files are whole."""
OnComplete = Callable[[Mapping[str, CubeSummary]], None]
"""Called with what is left of all cubes, by name, when all files are whole."""


def write_prediction(
    folder: Path,
    prediction: Prediction,
    exports: Mapping[str, bool],
    *,
    overwrite: bool,
    profile: bool,
    num_cubes: int | None = None,
    on_cube: OnLabelledCube = lambda name, label_spectra: None,
    on_complete: OnComplete = lambda cubes: None,
) -> dict[str, Any]:
    """Label cubes and write everything into a folder that no other process writes into.

    Args:
        folder: to write into.
        prediction: what labels, and the cubes.
        exports: files for other programs, ``envi`` and ``geotiff``.
        overwrite: delete the predictions that are in the folder.
        profile: trace a few tiles into the folder.
        num_cubes: of all parts, where this is one; of many, previews are smaller.
        on_cube: see `OnLabelledCube`.
        on_complete: see `OnComplete`.

    Returns:
        The content of ``areas.json``, and the folder.
    """
    console, times = PlainConsole(), StageTimes()
    print_line = partial(console.print, soft_wrap=True)  # a path is not to be broken
    check_result_folder(folder, PREDICT_CONFIG_FILE, "predictions", overwrite=overwrite)
    with times.measure("start"):
        cubes = _open_cubes(prediction.config, prediction.model)
    create_run_folder(folder, overwrite=overwrite, marker_file=PREDICT_CONFIG_FILE)
    key = _results_key(prediction, cubes)
    journal = open_journal(folder, PREDICT_CONFIG_FILE, key, print_line)
    write_options(folder, prediction)
    if prediction.groups_source is not None:
        print_line(sentences.describe_groups(prediction.num_labels, prediction.groups_source))
    summaries = {}
    label_spectra = empty_label_spectra(prediction.num_labels, cubes[0].shape[2])
    with StepProfiler(folder if profile else None, "tiles", print_line) as profiler:
        tile_shape = (prediction.tile_size, prediction.tile_size)
        profiler.expect_steps(sum(count_tiles(cube.shape[:2], tile_shape) for cube in cubes))
        num_all = num_cubes or len(cubes)
        label = _cube_labeller(folder, prediction, cubes, num_all, journal, times, profiler)
        for cube in cubes:
            with times.measure("label"), ProgressBars(console) as progress_bars:
                labelled_cube = label(cube, progress_bars)
            label_spectra = label_spectra + labelled_cube.label_spectra
            with times.measure("export"):
                _export_cube(folder, prediction, cube, labelled_cube, exports)
            summaries[cube.name] = CubeSummary.of_cube(
                cube, labelled_cube.label_counts, _pixel_size(prediction.config)
            )
            on_cube(cube.name, labelled_cube.label_spectra)
            console.print(sentences.describe_labelled_cube(cube.name, *cube.shape[:2]))
    area_record = write_summary(folder, prediction, summaries, label_spectra)
    on_complete(summaries)
    journal.close()
    times.write(folder)
    print_summary(console, area_record, folder, prediction.kind)
    print_line(times.sentence())
    return area_record | {"folder": str(folder)}


def write_options(folder: Path, prediction: Prediction) -> None:
    """Write what says which prediction a folder holds: the options, and the groups if any.

    Args:
        folder: of the prediction.
        prediction: what labels.
    """
    write_config(prediction.config, folder / PREDICT_CONFIG_FILE)
    if prediction.groups_source is not None:
        write_grouping(prediction.grouping, folder / GROUPING_FILE)


def _cube_labeller(
    folder: Path,
    prediction: Prediction,
    cubes: Sequence[Cube],
    num_cubes: int,
    journal: TileJournal,
    times: StageTimes,
    profiler: StepProfiler,
) -> Callable[[Cube, OnProgress], LabelledCube]:
    """A function that labels a cube and writes its maps; it compiles once for all cubes."""
    model, state = prediction.model, prediction.state
    with times.measure("start"):
        reader = reader_of_state(choose_window_reader(model.config, cubes), state)
    tile_labeller = make_tile_labeller(
        model.method,
        times.timed("read", reader),
        prediction.tile_size,
        device_mesh(prediction.config.devices),
        prediction.grouping.apply,
    )
    notes = _history_notes(prediction.num_steps, prediction.grouping)

    def label(cube: Cube, on_progress: OnProgress) -> LabelledCube:
        return write_label_map(
            _with_progress(tile_labeller, on_progress, profiler),
            state,
            cube,
            folder / "labels",
            notes,
            prediction.num_labels,
            num_cubes=num_cubes,
            journal=journal,
        )

    return label


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


def _results_key(prediction: Prediction, cubes: Sequence[Cube]) -> str:
    """Name of all that label maps depend on: an interrupted call goes on where it is the same."""
    options = saved_options(prediction.config)
    others = ("out", "devices")  # which labels do not depend on
    options = {name: value for name, value in options.items() if name not in others}
    return fingerprint((options, prediction.results_key, tuple(map(store_fingerprint, cubes))))


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


def _export_cube(
    folder: Path,
    prediction: Prediction,
    cube: Cube,
    labelled_cube: LabelledCube,
    exports: Mapping[str, bool],
) -> None:
    """Write preview, picture and files for other programs of a cube."""
    config, grouping = prediction.config, prediction.grouping
    if (size := _pixel_size(config)) is not None:  # a given pixel size counts as the cube's own
        preview = labelled_cube.preview._replace(pixel_area=size**2, pixel_size=(size, size))
        labelled_cube = labelled_cube._replace(preview=preview)
    write_preview(folder, cube.name, labelled_cube.preview)
    picture_path = folder / "pictures" / f"{cube.name}.png"
    pixels, names = labelled_cube.label_counts.cluster_pixels, grouping.group_names
    draw_label_map(picture_path, labelled_cube.preview, pixels, names, kind=prediction.kind)
    place = export_place(cube, config.pixel_size)
    formats = {**exports, "polygons": config.polygons}
    export_labels(folder / "labels", cube, labelled_cube, grouping, place, **formats)


def _pixel_size(config: PredictConfig) -> float | None:
    """Side of a pixel in metres that is given in place of that of the cubes."""
    return None if config.pixel_size is None else float(config.pixel_size)
