"""Options of the default segmentation method, and of the views that it compares; no JAX."""

from dataclasses import dataclass

from jaxhsi.normalisation_names import Normalisation

MAX_DEFAULT_DIMENSIONS = 8
"""Dimensions of an embedding whose size is not asked for, at most.

Set by hand: beyond k - 1 dimensions clusters of one covariance differ no more, and further ones
add noise to their borders (``six dimensions`` in ``benchmarks/dgc/stability.py`` varies it).
"""


MIN_CROP = 4
"""Least side of a view, in pixels: two views of it still overlap."""


@dataclass(frozen=True, kw_only=True)
class DGCOptions:
    """What a user may set.

    Attributes:
        normalisations: of the spectra, for the PCA embedding and the first layer.
        embedding_dim: d of the embedding; if not given as many as there are clusters, up to 8.
            Clusters of one covariance differ in k - 1 directions; more of them add noise to their
            borders.
        consistency_weight: weight a of the other view against 1 - a for the mixture. At 0.5 the
            student drifts from the evidence over a thousand steps; at 0.1 it does not.
        neighbour_radius: how many pixels away the spatial prior reaches; 0 leaves it out.
        teacher_rate: share of the student that the teacher takes over in a step.
        mixture_rate: share of a batch's statistics that the mixture takes over in a step.
        mixture_starts: K-means++ starts of the mixture; the likeliest is kept. Among 32 it was
            missed by far on two seeds in ten (SalinasA, 8 clusters).

    >>> DGCOptions().resolved_dim(num_clusters=4, num_bands=200)
    4
    >>> DGCOptions(embedding_dim=6).resolved_dim(num_clusters=4, num_bands=3)
    3
    """

    normalisations: tuple[Normalisation, ...] = ("snv", "band")
    embedding_dim: int | None = None
    consistency_weight: float = 0.1
    neighbour_radius: int = 2
    teacher_rate: float = 0.02
    mixture_rate: float = 0.01
    mixture_starts: int = 64

    def resolved_dim(self, num_clusters: int, num_bands: int) -> int:
        """Dimensions d of the embedding: at most the number of bands."""
        # A PCA has no more dimensions than bands.
        return min(self.embedding_dim or min(num_clusters, MAX_DEFAULT_DIMENSIONS), num_bands)


@dataclass(frozen=True)
class ViewOptions:
    """How two views of a window are drawn.

    Attributes:
        crop: side of a view, in pixels.
        overlap: range of the share of a crop that the other one covers, before rotation, scale
            and shift.
        degrees: largest rotation, either way.
        shift: largest shift of each view, as a share of the crop.
        scale: range of cube pixels per crop pixel.
        band_shift: largest shift along the bands, either way, edge bands repeated.
        gain: deviation of the logarithm of the illumination of a view.
        noise: deviation of the white noise, in units of each band's own deviation.
        dropout: chance that a band of a view is lost, and replaced by its mean.
    """

    crop: int = 32
    overlap: tuple[float, float] = (0.2, 0.8)
    degrees: float = 10.0
    shift: float = 0.1
    scale: tuple[float, float] = (0.9, 1.1)
    band_shift: int = 2
    gain: float = 0.05
    noise: float = 0.05
    dropout: float = 0.02

    def __post_init__(self):
        """Refuse ranges that draw nothing or nonsense."""
        # All ranges in one place, so that the message can name the field.
        ranges = {
            "crop": self.crop >= MIN_CROP,
            "overlap": 0 < self.overlap[0] <= self.overlap[1] <= 1,
            "degrees": 0 <= self.degrees <= 180,
            "shift": 0 <= self.shift <= 1,
            "scale": 0 < self.scale[0] <= self.scale[1],
            "band_shift": self.band_shift >= 0,
            "gain": self.gain >= 0,
            "noise": self.noise >= 0,
            "dropout": 0 <= self.dropout < 1,
        }
        for name, good in ranges.items():
            if not good:
                raise ValueError(
                    f"views.{name} {getattr(self, name)} is out of range: a crop has at least "
                    f"{MIN_CROP} pixels, overlap and scale are (smallest, largest) above 0, "
                    "overlap and dropout are shares, and nothing is negative"
                )
