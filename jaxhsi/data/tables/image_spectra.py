"""Spectra as a caller of the library gives them: tables, or an image from which some are drawn."""

import logging
from typing import Any, NamedTuple

import numpy as np

from jaxhsi.data.data_arrays import cube_from_data_array, is_labelled_array
from jaxhsi.data.tables.data_frames import spectra_with_axis
from jaxhsi.data.tables.table import table_from_pixels


class GivenSpectra(NamedTuple):
    """What a caller gave, as a table.

    Attributes:
        spectra: (n, c).
        axis: of the bands, or None.
        axis_name: its name, or empty.
        pixel_names: row and column of each spectrum of an image; None of a table.
    """

    spectra: Any
    axis: np.ndarray | None
    axis_name: str
    pixel_names: tuple[str, ...] | None = None


def given_spectra(
    spectra: Any, axis: np.ndarray | None, axis_name: str, num_pixels: int, seed: int
) -> GivenSpectra:
    """Spectra with their axis and its name.

    Args:
        spectra: an array or a frame, or an image: a DataArray of three dimensions, or a Dataset
            with one.
        axis: of the bands; that of a frame or image if None.
        axis_name: of the axis.
        num_pixels: spectra drawn from an image.
        seed: of the draw.

    Examples:
        >>> given_spectra(np.ones((2, 3)), None, "", 4096, 0).spectra.shape
        (2, 3)
    """
    if not is_labelled_array(spectra) or getattr(spectra, "ndim", 3) != 3:
        return GivenSpectra(*spectra_with_axis(spectra, axis, axis_name))
    cube = cube_from_data_array(spectra)
    table = table_from_pixels((cube,), num_pixels, seed, cube.name)
    for note in table.notes:
        logging.getLogger(__name__).info(note)
    return GivenSpectra(
        table.spectra,
        table.axis if axis is None else axis,
        axis_name or table.axis_name,
        table.sample_names,
    )
