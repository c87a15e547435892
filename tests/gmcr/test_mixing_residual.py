"""The residual of codes tells the same of the noise as that of singular vectors."""

import numpy as np
import pytest

from jaxhsi.gmcr.mixing_residual import residual_from_codes
from jaxhsi.gmcr.noise_estimation import noise_from_residual
from tests.helpers.noise import ar1
from tests.helpers.noisy_mixtures import (
    BANDS,
    CLEAN,
    CODES,
    COMPONENTS,
    ROWS,
    WHITE,
    estimate_with,
)


@pytest.mark.parametrize("noisy", [ar1(ROWS, BANDS, 0.7), WHITE + 4.0, WHITE])
def test_codes_tell_the_same_as_singular_vectors(noisy):
    before, _ = estimate_with(noisy)
    x, scale = CLEAN + noisy, np.ones(ROWS)
    after = noise_from_residual(residual_from_codes(x, before, CODES, COMPONENTS, scale))
    np.testing.assert_allclose(after.ar_coefficients[0], before.ar_coefficients[0], atol=0.05)
    np.testing.assert_allclose(after.offset, before.offset, atol=0.2)
    assert after.is_white == before.is_white
