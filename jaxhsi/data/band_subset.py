"""Some of the bands of a cube, as a cube; nothing is copied."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jaxhsi.data.cube import Cube
from jaxhsi.data.ingest.band_selection import bands_at


def with_bands_at(cube: Cube, centres: Sequence[float] | np.ndarray) -> Cube:
    """The cube with its bands at given wavelengths alone; the log says how many it has beside.

    Args:
        cube: to look at; one with as many bands as there are wavelengths stays as it is.
        centres: wavelengths in nm.

    Raises:
        ValueError: the cube has no wavelengths, or no band of its own at each.

    >>> from jaxhsi.data.memory_cube import cube_from_array
    >>> cube = cube_from_array(np.ones((2, 2, 3)), wavelengths=[400.0, 500.0, 600.0])
    >>> with_bands_at(cube, [400.0, 600.0]).shape
    (2, 2, 2)
    """
    num_bands = cube.shape[2]
    if num_bands == len(centres):
        return cube
    try:
        chosen = np.flatnonzero(bands_at(np.asarray(centres, np.float64), cube.wavelengths))
    except ValueError as error:
        raise ValueError(
            f"{cube.url} has {num_bands} bands, {len(centres)} are asked for by wavelength: {error}"
        ) from error
    assert cube.wavelengths is not None  # bands_at has matched them
    note = f"{len(chosen)} of {num_bands} bands read, those at the wavelengths that are asked for"
    logging.getLogger(__name__).info("%s: %s", cube.url, note)
    return replace(
        cube,
        array=cube.array[:, :, chosen],
        wavelengths=cube.wavelengths[chosen],
        history=(*cube.history, note),
        statistics=None,  # those of all bands count other pixels as valid
    )
