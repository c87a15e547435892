"""Options of the built-in mixtures, checked."""

from dataclasses import dataclass
from typing import Literal

_DEFAULT_MAX_MIXED = 4


@dataclass(frozen=True)
class MixtureOptions:
    """How mixtures are made; the defaults are the paper's set of 16 components at 20 dB.

    Attributes:
        num_components: pure spectra.
        bands: channels of a spectrum.
        sparsity: share of zeros in the random pure spectra, 0 to below 1.
        orthogonal: random pure spectra are drawn orthogonal, before non_negative is applied.
        non_negative: absolute values of the pure spectra; data are clamped at 1e-6, or at 0 where
            they are sparse.
        norm: p of the p-norm that pure spectra are scaled to 1 by, or null for none.
        min_mixed: fewest components of a sample.
        max_mixed: most components of a sample; null for all. Its default, 4, is all of them where
            there are fewer.
        min_concentration: least concentration of a component that is present.
        max_concentration: largest concentration.
        snr_db: mean square of a sample over the variance of its noise, in dB; null for no noise.
        spectra: random channels as in the paper, or sums of overlapping peaks.
        peaks: peaks of a pure spectrum, where spectra are peaks.
        twin_cosine: makes pure spectra 0 and 1, 2 and 3, ... near-duplicates of this cosine.
        rare: number of components, the last ones, that are present in few samples only, there in
            addition to the min_mixed to max_mixed others.
        rare_samples: number of samples that a rare component is present in.
        mixing: linear; detector_saturation; bilinear with products of pairs;
            generalised_bilinear, where each pair of each sample has a strength of its own;
            polynomial with squares; stray_light, as absorbance is read with it.
        strength: of the mixing that is not linear; see `mix_components`.
        correlation: of the noise of neighbouring channels (AR(1)), 0 to below 1.
        channel_spread: standard deviation of the logarithm of the channels' noise deviations.
        drift: size of a smooth baseline of each sample, relative to the sample's root mean square.
        offset: constant added to all data, relative to their root mean square.
        spikes: share of all values that a cosmic ray hits, which adds 1 to 6 times the root mean
            square of the sample.
    """

    num_components: int = 16
    bands: int = 512
    sparsity: float = 0.0
    orthogonal: bool = True
    non_negative: bool = True
    norm: int | None = 2
    min_mixed: int = 1
    max_mixed: int | None = _DEFAULT_MAX_MIXED
    min_concentration: float = 1.0
    max_concentration: float = 10.0
    snr_db: float | None = 20.0
    spectra: Literal["random", "gaussian", "lorentzian"] = "random"
    peaks: int = 4
    twin_cosine: float | None = None
    rare: int = 0
    rare_samples: int = 2
    mixing: Literal[
        "linear",
        "detector_saturation",
        "bilinear",
        "generalised_bilinear",
        "polynomial",
        "stray_light",
    ] = "linear"
    strength: float = 0.1
    correlation: float = 0.0
    channel_spread: float = 0.0
    drift: float = 0.0
    offset: float = 0.0
    spikes: float = 0.0

    def __post_init__(self):
        """Refuse what cannot be made."""
        for name in ("num_components", "bands", "min_mixed", "peaks", "rare_samples"):
            check_range(name, getattr(self, name), 1, None)
        check_range("norm", 1 if self.norm is None else self.norm, 1, None)
        check_range("rare", self.rare, 0, self.num_components - 1)
        common = self.num_components - self.rare
        if self.max_mixed == _DEFAULT_MAX_MIXED and common < _DEFAULT_MAX_MIXED:
            object.__setattr__(self, "max_mixed", common)  # frozen
        most = common if self.max_mixed is None else self.max_mixed
        check_range("max_mixed", most, self.min_mixed, common)
        check_range("min_concentration", self.min_concentration, 1e-30, None)
        check_range("max_concentration", self.max_concentration, self.min_concentration, None)
        check_range("sparsity", self.sparsity, 0, 1 - 1 / self.bands)
        check_range("correlation", self.correlation, 0, 0.9999)
        for name in ("channel_spread", "drift", "offset"):
            check_range(name, getattr(self, name), 0, None)
        check_range("spikes", self.spikes, 0, 1)
        check_range("strength", self.strength, 1e-6, None)
        check_range("snr_db", 0 if self.snr_db is None else self.snr_db, 0, None)
        check_range("twin_cosine", 0 if self.twin_cosine is None else self.twin_cosine, 0, 1)


def check_range(
    name: str, value: int | float, min_value: int | float, max_value: int | float | None
) -> None:
    """Refuse a value outside of its range."""
    if not min_value <= value or (max_value is not None and value > max_value):
        upper_text = "or more" if max_value is None else f"to {max_value:g}"
        raise ValueError(f"{name}={value} is out of range; give {min_value:g} {upper_text}")
