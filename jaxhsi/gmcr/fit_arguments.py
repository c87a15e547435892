"""What a fit of components refuses before it begins."""

import numpy as np
from jaxtyping import Array, Float

Spectra = Float[np.ndarray | Array, "n c"]
Library = Float[np.ndarray | Array, "l m"]


MIN_SPECTRA, MIN_BANDS = 3, 4
"""Fewer leave nothing to measure the noise in, beside the components and the smooth curves of a
baseline (`noise_covariance.NUM_POLYNOMIALS`)."""


def check_arguments(
    spectra: Spectra,
    library: Library | None = None,
    num_components: int | None = None,
    num_candidates: int | None = None,
    restarts: int | None = None,
) -> None:
    """Refuse a table or numbers that cannot be fitted; see `fit.fit_components` for the arguments.

    Raises:
        ValueError: fewer than three spectra or four bands, values that are not finite, rows of
            zeros, a library of other bands, more components or candidates than spectra or bands
            allow, fewer candidates than components, a number of components beside a library,
            fewer than one restart.
    """
    _check_table(np.asarray(spectra))
    num_spectra, num_bands = spectra.shape
    if library is not None and library.shape[1] != num_bands:
        raise ValueError(
            f"the library has {library.shape[1]} bands and the spectra {num_bands}; "
            "resample one of them"
        )
    if restarts is not None and restarts < 1:
        raise ValueError(f"{restarts} restarts give no answer; at least 1 is needed")
    for name, number in (("components", num_components), ("candidates", num_candidates)):
        if number is not None and not 1 <= number < min(num_spectra, num_bands):
            raise ValueError(
                f"{number} {name} cannot be told apart by {num_spectra} spectra of {num_bands} "
                f"bands; give 1 to {min(num_spectra, num_bands) - 1}"
            )
    # What follows is about a number that is given.
    if num_components is None:
        return
    if library is not None:
        raise ValueError(
            "a library says how many of its spectra are present; leave num_components out beside it"
        )
    if num_candidates is not None and num_candidates < num_components:
        raise ValueError(f"{num_candidates} candidates are fewer than {num_components} components")


def _check_table(spectra: np.ndarray) -> None:
    num_spectra, num_bands = spectra.shape
    if num_spectra < MIN_SPECTRA or num_bands < MIN_BANDS:
        raise ValueError(
            f"{num_spectra} spectra of {num_bands} bands cannot be unmixed; at least {MIN_SPECTRA} "
            f"spectra and {MIN_BANDS} bands are needed, and more spectra than there are components"
        )
    if not np.isfinite(spectra).all():
        raise ValueError(
            f"{np.sum(~np.isfinite(spectra))} values are not finite; remove their spectra, or give "
            "missing='mask' where NaN marks values that were not measured"
        )
    # A row of zeros has no direction and no noise level of its own.
    empty_rows = np.flatnonzero(~(spectra != 0).any(1))
    if len(empty_rows):
        raise ValueError(
            f"{len(empty_rows)} spectra are all zero, e.g. row {empty_rows[0]}; remove them"
        )
