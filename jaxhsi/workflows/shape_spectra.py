"""Spectra of shapes that were drawn on the cubes of a finished run, read from the cubes anew."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.files import read_config
from jaxhsi.data.cube import Cube
from jaxhsi.data.labels.annotation_file import NumberedShapes, is_annotation
from jaxhsi.data.tiles import split_into_tiles
from jaxhsi.data.windows import WindowReader
from jaxhsi.label_spectra import LabelSpectra, add_window, empty_label_spectra, pixel_priorities
from jaxhsi.training.run_folder import CONFIG_FILE
from jaxhsi.workflows.dgc_inputs import number_cube_shapes, open_dgc_inputs
from jaxhsi.workflows.run_spectra import (
    SHAPE_SPECTRA_STEM,
    shape_names,
    spectral_axis,
    write_shape_spectra,
)

_WINDOW_SIZE = 256
"""Side in pixels of the windows that are read at once: that of the blocks of a store."""

_log = logging.getLogger(__name__)


def write_drawn_spectra(
    folder: Path, label_files: Mapping[str, Path], key: str | None
) -> Path | None:
    """Write the spectra of the shapes in label files, from the cubes of a run.

    Args:
        folder: of the run; ``polygon_spectra`` files that training left there are replaced.
        label_files: file of the labels of each cube, by its name.
        key: attribute that holds the class, where shapes have several.

    Returns:
        The table; None where no labels are shapes, or where the cubes cannot be read any more,
        which is logged.
    """
    drawn_files = {name: path for name, path in label_files.items() if is_annotation(path)}
    if not drawn_files:
        return None
    run_config = replace(read_config(DGCConfig, folder / CONFIG_FILE), labels=None)
    try:
        inputs = open_dgc_inputs(run_config)
    except (OSError, ValueError) as error:
        _log.warning(
            "no spectra of the drawn shapes are written, since the cubes of the run cannot be read "
            "any more: %s",
            error,
        )
        return None
    parts, names = [], []
    for cube in inputs.label_cubes:
        shapes = number_cube_shapes(drawn_files.get(cube.name), cube, key)
        if shapes is not None:
            parts.append(read_shape_spectra(cube, shapes, inputs.window_reader))
            names += shape_names(cube, shapes)
    if not names:
        return None
    write_shape_spectra(folder, parts, names, spectral_axis(run_config, inputs.label_cubes))
    return folder / f"{SHAPE_SPECTRA_STEM}.csv"


def read_shape_spectra(
    cube: Cube, shapes: NumberedShapes, window_reader: WindowReader
) -> LabelSpectra:
    """Spectra of shapes; windows without any are not read.

    Args:
        cube: that they were drawn on.
        shapes: the shapes.
        window_reader: how windows of the cube are read.
    """
    spectra = empty_label_spectra(len(shapes.labels), cube.shape[2])
    for tile in split_into_tiles(cube.shape[:2], (_WINDOW_SIZE, _WINDOW_SIZE)):
        numbers = shapes.numbers[tile.slices]
        if numbers.any():
            values, is_valid = window_reader(cube, *tile)
            priorities = pixel_priorities(cube.name, *tile.slices, cube.shape[1])
            shape_index = np.where(is_valid, numbers - 1, -1)
            spectra = add_window(spectra, shape_index, values, priorities)
    return spectra
