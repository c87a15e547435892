"""A small scene with known classes, for tests of whole methods."""

import jax
import jax.numpy as jnp
import numpy as np

BANDS, CLASSES = 12, 3


def blobs(seed: int, size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Three materials in blocks of 12 pixels, unevenly lit, with noise: cube and classes."""
    k_map, k_noise = jax.random.split(jax.random.key(seed))
    coarse = jax.random.randint(k_map, (size // 12, size // 12), 0, CLASSES)
    truth = jnp.kron(coarse, jnp.ones((12, 12), int))
    bands = jnp.arange(BANDS) / BANDS
    spectra = jnp.stack([1 + bands, 2 - bands, 1.4 + 0.5 * jnp.sin(9 * bands)])
    light = jnp.linspace(0.8, 1.2, size)[:, None, None]
    noise = 0.15 * jax.random.normal(k_noise, (size, size, BANDS))
    cube = 1000 * (spectra[truth] * light + noise)
    return np.array(cube, np.float32), np.array(truth)
