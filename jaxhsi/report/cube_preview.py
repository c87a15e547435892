"""A labelled cube at every few pixels: what its pictures and its part of the report are made of.

It is gathered while the cube is labelled, in the memory of the preview, so that the report needs
neither the cube nor another pass over it.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32, UInt8

from jaxhsi.data.cube import Cube
from jaxhsi.report.label_pictures import (
    MAX_PANEL_SIDE,
    FalseColourPicture,
    SubsampledMap,
    subsampling_step,
)
from jaxhsi.storage.checked_arrays import write_checked_npz
from jaxhsi.training.run_files import read_run_arrays
from jaxhsi.training.tile_labels import LabelledTile

PREVIEW_FOLDER = "previews"
"""Folder of the previews in that of a run or prediction."""

MAX_SPECTRA_SIDE, MIN_SPECTRA_SIDE = 96, 16
"""Rows or columns of the grid of pixels whose spectra a preview holds. Set by hand: 96 x 96 spectra
of 200 bands are 7 MB."""
CUBES_AT_FULL_SIDE = 8
"""Cubes up to which the grid has its full size; more cubes share as many spectra. Set by hand."""

CONFIDENCE_STEPS = 100
"""Steps of the counts by confidence: percent."""


class CubePreview(NamedTuple):
    """A cube and its labels at every few pixels, and what was counted over all of them.

    Attributes:
        shape: rows, columns and bands of the cube.
        false_colour: picture of the cube.
        labels: label of each pixel of the picture, -1 where not valid.
        confidence: probability of the label in percent, rounded down; 0 where not valid.
        true_classes: class of each pixel of the picture, -1 where unlabelled; None if unknown.
        map_step: rows and columns of the cube from one pixel of the picture to the next.
        spectra: of a coarser grid of pixels: every ``spectra_step``-th row and column.
        spectra_step: rows and columns from one spectrum to the next.
        confidence_counts: pixels of each label at each percent of confidence, of the whole cube.
        pixel_area: area of a pixel in m2, None where unknown.
        pixel_size: height and width of a pixel in metres, None where unknown.
        wavelengths: of the bands in nm, None where unknown.
        units: of the values, or empty.
    """

    shape: tuple[int, int, int]
    false_colour: UInt8[np.ndarray, "h w 3"]
    labels: Int32[np.ndarray, "h w"]
    confidence: UInt8[np.ndarray, "h w"]
    true_classes: Int32[np.ndarray, "h w"] | None
    map_step: int
    spectra: Float32[np.ndarray, "i j c"]
    spectra_step: int
    confidence_counts: Int[np.ndarray, "k p"]
    pixel_area: float | None
    pixel_size: tuple[float, float] | None
    wavelengths: Float64[np.ndarray, " c"] | None
    units: str


class PreviewBuilder:
    """Gathers a preview from the labelled tiles of a cube, in any order."""

    def __init__(self, cube: Cube, num_labels: int, *, with_truth: bool, num_cubes: int = 1):
        """An empty preview.

        Args:
            cube: that is labelled.
            num_labels: number of labels.
            with_truth: true classes are given with each tile.
            num_cubes: cubes of the run; of many, fewer spectra of each are taken.
        """
        self._cube = cube
        share = min(1.0, math.sqrt(CUBES_AT_FULL_SIDE / max(num_cubes, 1)))
        spectra_side = max(MIN_SPECTRA_SIDE, int(MAX_SPECTRA_SIDE * share))
        self._spectra_step = subsampling_step(cube.shape, spectra_side)
        self._labels = SubsampledMap(cube.shape, np.array(-1, np.int32))
        self._confidence = SubsampledMap(cube.shape, np.array(0, np.uint8))
        self._truth = SubsampledMap(cube.shape, np.array(-1, np.int32)) if with_truth else None
        empty_spectrum = np.zeros(cube.shape[2], np.float32)
        self._spectra = SubsampledMap(cube.shape, empty_spectrum, spectra_side)
        self._counts = np.zeros((num_labels, CONFIDENCE_STEPS + 1), np.int64)

    def add(self, tile: LabelledTile, true_classes: np.ndarray | None = None) -> None:
        """Add a tile.

        Args:
            tile: labels, confidence and spectra.
            true_classes: of its pixels, -1 where unlabelled.
        """
        percent = np.floor(tile.confidence.astype(np.float32) * CONFIDENCE_STEPS)
        percent = np.clip(percent, 0, CONFIDENCE_STEPS).astype(np.uint8)
        self._labels.add(tile.slices, tile.labels)
        self._confidence.add(tile.slices, percent)
        if self._truth is not None and true_classes is not None:
            self._truth.add(tile.slices, true_classes)
        if tile.spectra is not None:
            self._spectra.add(tile.slices, tile.spectra)
        is_valid = tile.labels >= 0
        bins = tile.labels[is_valid].astype(np.int64) * (CONFIDENCE_STEPS + 1) + percent[is_valid]
        self._counts += np.bincount(bins, minlength=self._counts.size).reshape(self._counts.shape)

    def preview(self, false_colour: FalseColourPicture) -> CubePreview:
        """The preview.

        Args:
            false_colour: picture of the cube, gathered beside it.
        """
        cube, place = self._cube, self._cube.georeference
        return CubePreview(
            shape=cube.shape,
            false_colour=false_colour.picture(),
            labels=self._labels.values,
            confidence=self._confidence.values,
            true_classes=None if self._truth is None else self._truth.values,
            map_step=subsampling_step(cube.shape),
            spectra=self._spectra.values,
            spectra_step=self._spectra_step,
            confidence_counts=self._counts,
            pixel_area=None if place is None else place.pixel_area,
            pixel_size=None if place is None else place.pixel_size,
            wavelengths=None if cube.wavelengths is None else np.asarray(cube.wavelengths, float),
            units=cube.units or "",
        )


def write_preview(folder: Path, cube_name: str, preview: CubePreview) -> None:
    """Write ``previews/<cube>.npz`` into the folder of a run or prediction.

    Args:
        folder: of the run.
        cube_name: name of the cube.
        preview: to write.
    """
    path = folder / PREVIEW_FOLDER / f"{cube_name}.npz"
    arrays = {
        name: np.asarray(value) for name, value in preview._asdict().items() if value is not None
    }
    write_checked_npz(path, arrays, compressed=True)


def read_preview(folder: Path, cube_name: str) -> CubePreview | None:
    """Read what :func:`write_preview` wrote; None where there is none.

    Args:
        folder: of the run.
        cube_name: name of the cube.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / PREVIEW_FOLDER / f"{cube_name}.npz"
    if not path.is_file():
        return None
    arrays = read_run_arrays(path, folder)
    values: dict[str, Any] = {name: arrays.get(name) for name in CubePreview._fields}
    values |= {
        "shape": tuple(arrays["shape"].tolist()),
        "map_step": int(arrays["map_step"]),
        "spectra_step": int(arrays["spectra_step"]),
        "units": str(arrays["units"]),
    }
    for name in ("pixel_area", "pixel_size"):
        stored = arrays.get(name)
        values[name] = None if stored is None else stored.tolist()
    return CubePreview(**values)


def thinned(preview: CubePreview, max_side: int = MAX_PANEL_SIDE) -> CubePreview:
    """The same with fewer pixels in its maps.

    Args:
        preview: to thin.
        max_side: rows or columns of the maps at most.
    """
    step = subsampling_step(preview.labels.shape, max_side)
    maps = ("false_colour", "labels", "confidence", "true_classes")
    thin_maps = {
        name: each[::step, ::step] for name in maps if (each := getattr(preview, name)) is not None
    }
    return preview._replace(map_step=preview.map_step * step, **thin_maps)
