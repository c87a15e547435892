"""Label maps of a prediction in the formats of other programs."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxhsi.cluster_groups import Grouping
from jaxhsi.data.cube import Cube, open_cube
from jaxhsi.data.exports import ClassMap, write_envi_classification, write_geotiff
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.label_polygons import LabelAttributes, write_label_polygons
from jaxhsi.data.qgis_styles import write_polygon_style, write_raster_style
from jaxhsi.report.cube_preview import CONFIDENCE_STEPS
from jaxhsi.report.palettes import cluster_colours
from jaxhsi.workflows.label_maps import LabelledCube


def export_place(cube: Cube, pixel_size: float | None) -> Georeference | None:
    """Place of the exported map: the cube's, or a grid of the given size where it has none.

    Args:
        cube: that was labelled.
        pixel_size: side of a pixel in metres, or None.
    """
    if pixel_size is None or _has_crs(cube):
        return cube.georeference
    return Georeference(None, (pixel_size, 0.0, 0.0, 0.0, -pixel_size, 0.0), 1.0)


def export_labels(
    folder: Path,
    cube: Cube,
    labelled_cube: LabelledCube,
    grouping: Grouping,
    place: Georeference | None,
    *,
    geotiff: bool,
    envi: bool,
    polygons: str = "gpkg",
) -> None:
    """Write the label map of a cube for other programs.

    A cube with a coordinate system gets a GeoTIFF and polygons, each with a style for QGIS.

    Args:
        folder: of the label maps.
        cube: that was labelled.
        labelled_cube: its counts and spectra.
        grouping: names of the labels.
        place: of the map, see :func:`export_place`.
        geotiff: write a GeoTIFF without a coordinate system too.
        envi: write an ENVI classification.
        polygons: format of the polygons, "gpkg" or "geojson".
    """
    label_store = open_cube(folder / f"{cube.name}.zarr").array
    names, colours = grouping.group_names, cluster_colours(len(grouping.group_names))
    class_map = ClassMap(
        cube.shape[:2],
        lambda rows, columns: label_store[rows, columns, 0].read().result(),
        names,
        colours,
        place,
    )
    raster_path = folder / f"{cube.name}.tif"
    if geotiff or _has_crs(cube):
        write_geotiff(raster_path, class_map)
        write_raster_style(raster_path.with_suffix(".qml"), names, colours)
    if _has_crs(cube):
        polygon_path = folder / f"{cube.name}-polygons.{polygons}"
        attributes = _label_attributes(cube, labelled_cube, place)
        if write_label_polygons(polygon_path, raster_path, class_map, attributes):
            write_polygon_style(polygon_path.with_suffix(".qml"), names, colours)
    if envi:
        write_envi_classification(folder / f"{cube.name}.img", class_map)


def _has_crs(cube: Cube) -> bool:
    return cube.georeference is not None and cube.georeference.crs is not None


def _label_attributes(
    cube: Cube, labelled_cube: LabelledCube, place: Georeference | None
) -> LabelAttributes:
    """Pixels, area, confidence and mean spectrum of each label in a cube."""
    return LabelAttributes(
        pixels=labelled_cube.label_counts.cluster_pixels,
        pixel_area=None if place is None else place.pixel_area,
        confidence=_mean_confidence(labelled_cube.preview.confidence_counts),
        mean_spectra=labelled_cube.label_spectra.means,
        wavelengths=cube.wavelengths,
    )


def _mean_confidence(confidence_counts: np.ndarray) -> Float[np.ndarray, " k"]:
    """Mean of the counts by percent, each taken at the middle of its percent."""
    middles = np.minimum(np.arange(CONFIDENCE_STEPS + 1) + 0.5, CONFIDENCE_STEPS) / CONFIDENCE_STEPS
    return confidence_counts @ middles / np.maximum(confidence_counts.sum(1), 1)
