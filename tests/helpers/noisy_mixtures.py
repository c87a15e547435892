"""Clean mixtures that the tests of the noise add noise of each kind to."""

import numpy as np

from jaxhsi.gmcr.noise_covariance import NoiseModel
from jaxhsi.gmcr.noise_estimation import estimate_noise

ROWS, BANDS, COUNT = 48, 160, 4


def mixed(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clean spectra about 10 strong, their codes and components."""
    random = np.random.default_rng(seed)
    components = np.abs(random.normal(size=(COUNT, BANDS)))
    present = random.permuted(np.arange(COUNT) < random.integers(1, 4, (ROWS, 1)), axis=1)
    codes = present * random.uniform(4, 16, (ROWS, COUNT))
    return codes @ components, codes, components


CLEAN, CODES, COMPONENTS = mixed()
RANDOM = np.random.default_rng(1)
WHITE = RANDOM.normal(size=CLEAN.shape)


def estimate_with(noise: np.ndarray) -> tuple[NoiseModel, np.ndarray]:
    return estimate_noise((CLEAN + noise).astype(np.float32))
