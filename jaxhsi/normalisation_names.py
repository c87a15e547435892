"""Names of the normalisations of spectra, which options are given by; loads no JAX."""

from typing import Literal, get_args

Normalisation = Literal["none", "band", "l2", "snv", "log"]
"""See :func:`jaxhsi.normalisation.normalise`."""

NORMALISATIONS: tuple[str, ...] = get_args(Normalisation)
