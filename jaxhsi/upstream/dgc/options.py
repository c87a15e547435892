"""Options of upstream's clustering with prototypes; loads no JAX."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class LossWeights(NamedTuple):
    """Weights of the loss terms, upstream's by default; a term with weight 0 is not computed.

    Attributes:
        compactness: of `losses.compactness`, summed over the two views.
        orthogonality: of `losses.orthogonality`.
        usage_entropy: of `losses.usage_entropy`; upstream minimises it (> 0), which rewards
            collapse,
            and < 0 spreads the pixels over the clusters.
        uniform_assignment: of `losses.uniform_assignment`.
        grid_consistency: of `losses.grid_consistency`.
        overlap_consistency: of `losses.overlap_consistency`, which repairs the one above.
        assignment_entropy: of `losses.assignment_entropy`.
    """

    compactness: float = 1.0
    orthogonality: float = 0.001
    usage_entropy: float = 2.0
    uniform_assignment: float = 2.0
    grid_consistency: float = 1.0
    overlap_consistency: float = 0.0
    assignment_entropy: float = 0.0


@dataclass(frozen=True)
class BalanceOptions:
    """How the terms of the loss are balanced.

    Attributes:
        kind: `fixed`, `share_floor`, `entropy_floor`, `uncertainty` or `famo`.
        min_share: smallest share of all pixels that a cluster may fall to; the entropy floor is
            what the entropy would be with all clusters but one at that share.
        averaging_batches: batches that the usage is averaged over, and that a price or weight
            takes to follow.
    """

    kind: Literal["fixed", "share_floor", "entropy_floor", "uncertainty", "famo"] = "fixed"
    min_share: float = 0.01
    averaging_batches: int = 50

    def __post_init__(self):
        """Refuse numbers without meaning."""
        if not 0 < self.min_share < 1:
            raise ValueError(
                f"balance.min_share {self.min_share} is no share of the pixels; give "
                "a number above 0 and below 1 / num_clusters"
            )
        if self.averaging_batches < 1:
            raise ValueError(
                f"balance.averaging_batches {self.averaging_batches} is no "
                "number of batches; give 1 or more"
            )


@dataclass(frozen=True, kw_only=True)
class PrototypeOptions:
    """What a user may set; upstream's values by default.

    Attributes:
        mean_shift_iterations: iterations of the mean-shift; 0 leaves it out.
        mean_shift_window: side of its window in pixels, odd.
        zero_padding: zero embeddings beyond the edge count as neighbours, as upstream's do.
        all_pairs: mean-shift over all pairs of pixels instead of a window.
        initial_bandwidth: width of the mean-shift kernel at the start.
        learn_bandwidth: whether training changes it.
        assignment_temperature: of the soft assignment; smaller is sharper.
        centroid_decay: of the moving average of the centroids.
        scrambled_pixels: that average is taken over `losses.scrambled_pixels`, as upstream's is.
        loss_weights: of the loss terms.
        balance: how the weights change during training; by default they do not.
        data_initialisation: the encoder's linear path and the centroids start from spectra of the
            data instead of at random.
        revive_clusters: every ``balance.averaging_batches`` steps, clusters with a running share
            below :data:`jaxhsi.metrics.ACTIVE_SHARE` are put onto the pixels of the batch that the
            others explain worst.
    """

    mean_shift_iterations: int = 5
    mean_shift_window: int = 5
    zero_padding: bool = True
    all_pairs: bool = False
    initial_bandwidth: float = 1.0
    learn_bandwidth: bool = True
    assignment_temperature: float = 0.05
    centroid_decay: float = 0.99
    scrambled_pixels: bool = True
    loss_weights: LossWeights = field(default_factory=LossWeights)
    balance: BalanceOptions = field(default_factory=BalanceOptions)
    data_initialisation: bool = False
    revive_clusters: bool = False
