"""Spectra of the clusters of a run, and of the shapes that were drawn on its cubes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from jaxhsi.cluster_groups import default_cluster_name
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.cube import Cube
from jaxhsi.data.labels.annotation_file import NumberedShapes
from jaxhsi.label_spectra import LabelSpectra, empty_label_spectra, stack_labels
from jaxhsi.report.label_spectra_files import BandAxis, band_axis, write_label_spectra
from jaxhsi.workflows.dgc_inputs import DGCInputs

SHAPE_SPECTRA_STEM = "polygon_spectra"
"""Stem of the files of the spectra of drawn shapes."""


def cluster_names(num_clusters: int) -> list[str]:
    """Names of clusters that nobody has named.

    >>> cluster_names(2)
    ['cluster 0', 'cluster 1']
    """
    return [default_cluster_name(k) for k in range(num_clusters)]


@runtime_checkable
class HasBands(Protocol):
    """A cube, or what is left of one when it was labelled.

    Attributes:
        shape: rows, columns and bands.
        wavelengths: of the bands in nm, or None where unknown.
        units: of the values, or None.
    """

    @property
    def shape(self) -> tuple[int, int, int]: ...  # noqa: D102

    @property
    def wavelengths(self) -> np.ndarray | None: ...  # noqa: D102

    @property
    def units(self) -> str | None: ...  # noqa: D102


def spectral_axis(config: DGCConfig, cubes: Sequence[HasBands]) -> BandAxis:
    """The axis of spectra of cubes.

    Args:
        config: options of the run, which may have the bands standardised.
        cubes: of the same bands.
    """
    wavelengths = next((c.wavelengths for c in cubes if c.wavelengths is not None), None)
    units = {cube.units for cube in cubes}
    shared_units = units.pop() if len(units) == 1 else None
    return band_axis(
        wavelengths,
        cubes[0].shape[2],
        shared_units,
        standardised=config.stream.standardise_cubes,
    )


class RunSpectra:
    """Spectra of the clusters over all cubes, and of the shapes drawn on each."""

    def __init__(self, config: DGCConfig, inputs: DGCInputs):
        """Of no cube yet.

        Args:
            config: options of the run.
            inputs: cubes of the run.
        """
        self._axis = spectral_axis(config, inputs.label_cubes)
        num_bands = inputs.label_cubes[0].shape[2]
        self._cluster_spectra = empty_label_spectra(config.num_clusters, num_bands)
        self._shape_spectra: list[LabelSpectra] = []
        self._shape_names: list[str] = []

    def add(
        self,
        cube: Cube,
        cluster_spectra: LabelSpectra,
        shapes: NumberedShapes | None,
        shape_spectra: LabelSpectra,
    ) -> None:
        """Add a cube.

        Args:
            cube: that was labelled.
            cluster_spectra: of its clusters.
            shapes: drawn on it, or None.
            shape_spectra: of these.
        """
        self._cluster_spectra = self._cluster_spectra + cluster_spectra
        if shapes is not None:
            self._shape_names += shape_names(cube, shapes)
            self._shape_spectra.append(shape_spectra)

    def write(self, folder: Path) -> None:
        """Write the tables and pictures.

        Args:
            folder: of the run.
        """
        num_clusters = len(self._cluster_spectra.pixel_counts)
        names = cluster_names(num_clusters)
        write_label_spectra(folder, self._cluster_spectra, names, self._axis)
        if self._shape_names:
            write_shape_spectra(folder, self._shape_spectra, self._shape_names, self._axis)


def shape_names(cube: Cube, shapes: NumberedShapes) -> list[str]:
    """Names of the shapes on a cube: its own, the class and the number of each.

    Args:
        cube: that they were drawn on.
        shapes: the shapes.
    """
    return [f"{cube.name}: {label} {number}" for number, label in enumerate(shapes.labels, 1)]


def write_shape_spectra(
    folder: Path, parts: Sequence[LabelSpectra], names: Sequence[str], axis: BandAxis
) -> None:
    """Write the table and the picture of the spectra of shapes.

    Args:
        folder: of the run.
        parts: spectra of the shapes on each cube.
        names: of all shapes, in the same order.
        axis: of the bands.
    """
    write_label_spectra(folder, stack_labels(parts), names, axis, "polygon", SHAPE_SPECTRA_STEM)
