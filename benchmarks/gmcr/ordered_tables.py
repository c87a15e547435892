"""Tables whose samples have an order, of known truth: chromatograms, kinetics, titrations.

Own generators with overlapping spectra and profiles, and white noise of a share of the signal;
every kind is a function of a seed that returns a `Case`.
"""

import numpy as np

from benchmarks.gmcr.cases import Case

WAVES = np.linspace(220.0, 400.0, 90)
NOISE = 0.005
"""Of the root mean square of the noise-free table."""
RUN_LENGTHS = (51, 51, 51, 51)
"""Samples of the four runs of `hplc_runs`."""


def spectra(random: np.random.Generator, count: int) -> np.ndarray:
    """Broad ultraviolet spectra that overlap everywhere: two bands each, and an end absorption."""
    places = np.sort(random.uniform([235, 290], [290, 370], (count, 2)), axis=0)
    random.shuffle(places, axis=0)
    widths, heights = random.uniform(14, 30, (count, 2)), random.uniform(0.3, 1, (count, 2))
    bands = np.exp(-0.5 * ((WAVES - places[..., None]) / widths[..., None]) ** 2)
    rows = np.sum(heights[..., None] * bands, axis=1)
    rows += random.uniform(0.1, 0.6, (count, 1)) * np.exp(-(WAVES - 220) / 15)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def elution(
    time: np.ndarray, place: np.ndarray, width: np.ndarray, tailing: np.ndarray
) -> np.ndarray:
    """Peaks with tails, one a column: a Gaussian whose width grows along time."""
    scaled = (time[:, None] - place) / (width * (1 + tailing * np.tanh(time[:, None] - place)))
    return np.exp(-0.5 * scaled**2)


def hplc(seed: int) -> Case:
    """Three or four peaks of one run, each overlapping the next at a resolution of 0.5 to 0.9."""
    random = np.random.default_rng(seed)
    count, time = 3 + seed % 2, np.arange(80.0)
    width = random.uniform(3.5, 5.5, count)
    place = 20 + np.cumsum(random.uniform(0.5, 0.9, count) * 4 * width.mean())
    amounts = elution(time, place - place[0] + 20, width, random.uniform(0, 0.25, count))
    return _case(random, amounts * random.uniform(0.3, 1, count), spectra(random, count))


def hplc_runs(seed: int) -> Case:
    """Four runs of four overlapping peaks, at other places and of other amounts in each."""
    random = np.random.default_rng(seed)
    time, width = np.arange(float(RUN_LENGTHS[0])), random.uniform(3, 4.5, 4)
    place = 14 + np.cumsum(np.append(0, random.uniform(0.5, 0.9, 3) * 4 * width.mean()))
    tailing = random.uniform(0, 0.25, 4)
    runs = [
        elution(time, place + random.uniform(-2, 2) + random.uniform(-0.7, 0.7, 4), width, tailing)
        * random.uniform(0.1, 1, 4)
        for _ in RUN_LENGTHS
    ]
    return _case(random, np.concatenate(runs), spectra(random, 4), RUN_LENGTHS)


def kinetics(seed: int) -> Case:
    """A -> B -> C of first order, 80 samples up to nine tenths of the end."""
    random = np.random.default_rng(seed)
    first, second = random.uniform(0.08, 0.2), random.uniform(0.02, 0.06)
    time = np.linspace(0, 2.3 / second, 80)
    a = np.exp(-first * time)
    b = first / (second - first) * (a - np.exp(-second * time))
    return _case(random, np.stack([a, b, 1 - a - b], axis=1), spectra(random, 3))


def titration(seed: int) -> Case:
    """A diprotic acid between pH 2 and 11, the two constants 1.5 to 3 units apart."""
    random = np.random.default_rng(seed)
    first = random.uniform(4.5, 5.5)
    second = first + random.uniform(1.5, 3)
    ph = np.linspace(2, 11, 70)
    forms = np.stack([np.ones_like(ph), 10 ** (ph - first), 10 ** (2 * ph - first - second)], 1)
    return _case(random, forms / forms.sum(axis=1, keepdims=True), spectra(random, 3))


def _case(
    random: np.random.Generator,
    amounts: np.ndarray,
    components: np.ndarray,
    run_lengths: tuple[int, ...] = (),
) -> Case:
    clean = amounts @ components
    noise = NOISE * np.sqrt(np.mean(clean**2)) * random.normal(size=clean.shape)
    return Case(clean + noise, clean, amounts, components, run_lengths=run_lengths or (len(clean),))


ORDERED_KINDS = {
    "hplc": hplc,
    "hplc, four runs": hplc_runs,
    "kinetics": kinetics,
    "titration": titration,
}
