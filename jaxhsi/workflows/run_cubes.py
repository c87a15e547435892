"""Cubes opened for a finished run, which may have other bands beside those of the run."""

from typing import Any

import numpy as np

from jaxhsi.data.cube import Cube
from jaxhsi.data.manifest import BandCountError
from jaxhsi.data.open import open_cubes


def open_cubes_of_run(
    cubes: Any, run_wavelengths: np.ndarray | None, **options: Any
) -> tuple[Cube, ...]:
    """Open cubes; of those with more bands than the run, the bands at its wavelengths.

    Args:
        cubes: paths, as :func:`jaxhsi.data.open.open_cubes` takes them.
        run_wavelengths: of the bands of the run in nm, or None where unknown.
        **options: of that function.

    Raises:
        ValueError: other numbers of bands, and no band of its own at each wavelength of the run;
            or as that function.
    """
    try:
        return open_cubes(cubes, **options)
    except BandCountError as count_error:
        if run_wavelengths is None:
            raise
        bands = tuple(np.asarray(run_wavelengths, np.float64).tolist())
        try:
            return open_cubes(cubes, **options, matching_wavelengths=bands)
        except ValueError as error:
            raise ValueError(f"{count_error}. {error}") from error
