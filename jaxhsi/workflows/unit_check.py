"""Whether new spectra are in the units of those that a run was made from."""

import numpy as np
from jaxtyping import Float32

from jaxhsi.data.value_level import MAX_LEVEL_RATIO


def describe_other_units(
    spectra: Float32[np.ndarray, "n c"], run_unit: float, source_name: str, run_name: str
) -> str | None:
    """A warning where new spectra are much larger or smaller than those of a run.

    Args:
        spectra: new ones.
        run_unit: root mean square of the run's spectra, to a power of two.
        source_name: of the new spectra.
        run_name: of the run.

    Returns:
        The warning, or None where sizes are alike.

    Examples:
        >>> describe_other_units(np.full((2, 3), 0.5, np.float32), 0.5, "new", "run") is None
        True
    """
    size = float(np.sqrt(np.mean(spectra.astype(np.float64) ** 2)))
    ratio = size / run_unit
    if 1 / MAX_LEVEL_RATIO <= ratio <= MAX_LEVEL_RATIO:
        return None
    comparison = f"{ratio:.3g} times as large as" if ratio > 1 else f"{1 / ratio:.3g} times below"
    return (
        f"{source_name}: the spectra are {comparison} those of {run_name} (root mean square "
        f"{size:.3g}, values from {spectra.min():.4g} to {spectra.max():.4g}; the run's about "
        f"{run_unit:.3g}); if they are in other units the concentrations mean nothing: bring them "
        "to the units of the run"
    )
