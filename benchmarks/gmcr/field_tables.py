"""Tables as laboratories measure them, of known truth: dense mixtures and noise of instruments.

Own generators; every kind is a function of a seed that returns a `Case`. Components are a few
Lorentzian lines on a weak continuum, nearly all of them in nearly all samples, unless said.
"""

import numpy as np

from benchmarks.gmcr.cases import Case

AXIS = np.linspace(200.0, 1600.0, 300)
SAMPLES = 60
NOISE = 0.005
"""Of the root mean square of the noise-free table."""


def pure_spectra(random: np.random.Generator, count: int) -> np.ndarray:
    """Rows of unit length."""
    rows = np.zeros((count, AXIS.size))
    for row in rows:
        for _ in range(random.integers(5, 10)):
            place, width = random.uniform(220, 1580), random.uniform(8, 16)
            row += random.uniform(0.2, 1.0) / (1 + ((AXIS - place) / width) ** 2)
        row += random.uniform(0.01, 0.05)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def mixture(seed: int, count: int = 3) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Generator, concentrations with some zeros, and components."""
    random = np.random.default_rng(seed)
    components = pure_spectra(random, count)
    fractions = random.dirichlet(np.full(count, 1.2), SAMPLES)
    fractions[fractions < 0.08] = 0
    return random, fractions * random.uniform(0.7, 1.3, (SAMPLES, 1)), components


def _case(concentrations: np.ndarray, components: np.ndarray, data: np.ndarray) -> Case:
    return Case(data, concentrations @ components, concentrations, components)


def white(seed: int) -> Case:
    """White noise, 3 to 5 components."""
    random, amounts, components = mixture(seed, 3 + seed % 3)
    clean = amounts @ components
    return _case(amounts, components, clean + _size(clean) * random.normal(size=clean.shape))


def uneven(seed: int, ratio: float) -> Case:
    """A tenth of the bands, at one end, is noisier by a ratio."""
    random, amounts, components = mixture(seed, 3 + seed % 3)
    clean = amounts @ components
    deviation = _size(clean) * ratio ** (1 / (1 + np.exp((AXIS - 330) / 8)))
    return _case(amounts, components, clean + deviation * random.normal(size=clean.shape))


def absorbance(seed: int) -> Case:
    """Photometric noise, ten times as strong with each unit of absorbance, up to 2.5 units."""
    random, amounts, components = mixture(seed)
    clean = amounts @ components
    amounts, clean = 2.5 / clean.max() * amounts, 2.5 / clean.max() * clean
    deviation = 5e-4 * 10 ** (clean - 1)
    return _case(amounts, components, clean + deviation * random.normal(size=clean.shape))


def shot(seed: int) -> Case:
    """Counts of a detector, 2,000 at most, and its dark noise of 3."""
    random, amounts, components = mixture(seed)
    clean = amounts @ components
    amounts, clean = 2000 / clean.max() * amounts, 2000 / clean.max() * clean
    counts = random.poisson(clean) + 3 * random.normal(size=clean.shape)
    return _case(amounts, components, counts)


def spikes(seed: int, share: float = 0.004) -> Case:
    """Cosmic rays of any height on a share of the values."""
    case, random = white(seed), np.random.default_rng(1000 + seed)
    hit = random.random(case.data.shape) < share
    height = random.uniform(0.1, 20, case.data.shape) * case.data.max()
    return case._replace(data=case.data + hit * height)


def clipped(seed: int) -> Case:
    """A detector that saturates at two thirds of the largest value."""
    case = white(seed)
    return case._replace(data=np.minimum(case.data, 0.67 * case.data.max()))


def contaminant(seed: int) -> Case:
    """One more component in three of the sixty samples."""
    random, amounts, components = mixture(seed, 4)
    amounts[:, 3] = 0
    amounts[5:8, 3] = random.uniform(0.5, 1.0, 3)
    clean = amounts @ components
    return _case(amounts, components, clean + _size(clean) * random.normal(size=clean.shape))


def chromatogram(seed: int) -> Case:
    """Four eluting components, two and two overlapping; a solvent that blinds the short waves."""
    random = np.random.default_rng(seed)
    time, wave = np.linspace(0, 40, 240), np.linspace(200, 600, 200)
    first = random.uniform([8, 10.5, 20, 22.5], [9, 11.5, 21, 24])
    amounts = np.stack(
        [
            size * np.exp(-0.5 * ((time - at) / width) ** 2)
            for at, width, size in zip(
                first, random.uniform(1.2, 1.8, 4), (1, 0.6, 0.8, 0.25), strict=True
            )
        ],
        axis=1,
    )
    peaks = random.uniform([250, 262, 274, 286], [258, 270, 282, 294])
    components = np.exp(-0.5 * ((wave - peaks[:, None]) / 18) ** 2)
    components += 0.6 * np.exp(-0.5 * ((wave - random.uniform(310, 410, (4, 1))) / 22) ** 2)
    solvent = 3.5 / (1 + np.exp((wave - 214) / 3.0))
    clean = amounts @ components
    deviation = 1e-4 * 10 ** np.minimum(clean + solvent, 3.6)
    return _case(amounts, components, clean + deviation * random.normal(size=clean.shape))


def _size(clean: np.ndarray) -> float:
    return NOISE * float(np.sqrt(np.mean(clean**2)))


KINDS = {
    "white": white,
    "bands uneven by 10": lambda seed: uneven(seed, 10),
    "bands uneven by 100": lambda seed: uneven(seed, 100),
    "bands uneven by 1000": lambda seed: uneven(seed, 1000),
    "absorbance": absorbance,
    "shot noise": shot,
    "spikes, 0.4 %": spikes,
    "spikes, 2 %": lambda seed: spikes(seed, 0.02),
    "clipped": clipped,
    "contaminant in 3 of 60": contaminant,
    "chromatogram": chromatogram,
}
