"""What labelled cubes add up to: spectra, areas and presence of the groups over all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxhsi.data.cube import Cube
from jaxhsi.label_counts import LabelCounts
from jaxhsi.label_spectra import LabelSpectra
from jaxhsi.report import dgc_sentences as sentences
from jaxhsi.report.areas import measure_areas, write_areas
from jaxhsi.report.cluster_presence import cluster_presence, write_presence_files
from jaxhsi.report.dgc_tables import share_table
from jaxhsi.report.label_spectra_files import write_label_spectra
from jaxhsi.workflows.prediction import Prediction
from jaxhsi.workflows.run_spectra import spectral_axis


@dataclass(frozen=True, kw_only=True, eq=False)
class CubeSummary:
    """What the summary of a prediction needs of a labelled cube.

    Attributes:
        shape: rows, columns and bands.
        wavelengths: of the bands in nm, or None where unknown.
        units: of the values, or None.
        pixel_area: area of a pixel in m2, or None where unknown.
        label_counts: pixels of each label.
    """

    shape: tuple[int, int, int]
    wavelengths: np.ndarray | None
    units: str | None
    pixel_area: float | None
    label_counts: LabelCounts

    @classmethod
    def of_cube(
        cls, cube: Cube, label_counts: LabelCounts, pixel_size: float | None
    ) -> "CubeSummary":
        """The summary of a cube.

        Args:
            cube: that was labelled.
            label_counts: of its labels.
            pixel_size: side of a pixel in metres, in place of the cube's own; or None.
        """
        own_area = None if cube.georeference is None else cube.georeference.pixel_area
        return cls(
            shape=cube.shape,
            wavelengths=cube.wavelengths,
            units=cube.units,
            pixel_area=own_area if pixel_size is None else pixel_size**2,
            label_counts=label_counts,
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON; `from_json` gives it back without a change."""
        return {
            "shape": list(self.shape),
            "wavelengths_nm": None if self.wavelengths is None else self.wavelengths.tolist(),
            "units": self.units,
            "pixel_area_m2": self.pixel_area,
            "counts": self.label_counts.to_json(),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "CubeSummary":
        """The summary that `to_json` wrote.

        Args:
            record: that it gave.
        """
        waves = record["wavelengths_nm"]
        height, width, bands = record["shape"]
        return cls(
            shape=(height, width, bands),
            wavelengths=None if waves is None else np.array(waves, np.float64),
            units=record["units"],
            pixel_area=record["pixel_area_m2"],
            label_counts=LabelCounts.from_json(record["counts"]),
        )


def write_summary(
    folder: Path,
    prediction: Prediction,
    cubes: Mapping[str, CubeSummary],
    label_spectra: LabelSpectra,
) -> dict[str, Any]:
    """Write spectra, areas and presence of the groups over all cubes.

    Args:
        folder: of the prediction.
        prediction: what labelled.
        cubes: that were labelled, by name.
        label_spectra: of the groups over all cubes.

    Returns:
        The content of ``areas.json``.
    """
    kind, names = prediction.kind, prediction.grouping.group_names
    axis = spectral_axis(prediction.model.config, list(cubes.values()))
    write_label_spectra(folder, label_spectra, names, axis, kind)
    counts = {name: cube.label_counts for name, cube in cubes.items()}
    pixel_areas = {name: cube.pixel_area for name, cube in cubes.items()}
    area_record = measure_areas(counts, pixel_areas, names, prediction.share_names)
    cube_pixels = {name: each.cluster_pixels for name, each in counts.items()}
    presence_record = cluster_presence(cube_pixels, names)
    write_presence_files(folder, presence_record, kind)
    area_record |= {"presence": presence_record}
    write_areas(folder, area_record, kind)
    return area_record


def print_summary(console: Console, area_record: dict[str, Any], folder: Path, kind: str) -> None:
    """Print areas, partial presence, and where the results are.

    Args:
        console: to print on.
        area_record: from `write_summary`.
        folder: of the prediction.
        kind: what the groups are, "cluster" or "group".
    """
    rows = area_record["total"]["areas"]
    table = share_table(
        np.array([row["pixels"] for row in rows]),
        area_record["names"],
        [row["m2"] for row in rows],
        kind=kind,
        chosen_shares=[row["share_of_chosen"] for row in rows],
        chosen_names=area_record["share_of"],
    )
    console.print(table)
    presence_lines = sentences.partial_presence_lines(area_record["presence"])
    sentences.print_lines(console, sentences.PRESENCE_TITLE, presence_lines)
    console.print(sentences.describe_prediction(folder), soft_wrap=True)
