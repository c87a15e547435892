"""Options of upstream's clustering with prototypes, and all that is fixed while it compiles."""

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxhsi.dgc.networks import Encoder
from jaxhsi.dgc.views import ViewOptions
from jaxhsi.upstream.dgc.balance import BalanceOptions, build_balance
from jaxhsi.upstream.dgc.balance_rules import Balance
from jaxhsi.upstream.dgc.loss_terms import LossWeights


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


@dataclass(frozen=True, kw_only=True)
class PrototypeModel:
    """All that is fixed while a step is compiled.

    Attributes:
        encoder: ``apply(params, x) -> z`` of unit length, e.g. `upstream_encoder`.
        optimizer: for all parameters, e.g. `algorithm.upstream_optimizer`.
        num_clusters: number of clusters k.
        embed_dim: d of the encoder's embedding.
        options: of the method.
        view_options: how pairs of views are drawn and augmented.
        noise_deviation: of the noise that moves dead centroids (upstream `trainer.py`,
            `ema_kick`).

    Raises:
        ValueError: a data-driven start of an encoder that has none, or a floor that so many
            clusters cannot keep.
    """

    encoder: Encoder
    optimizer: optax.GradientTransformation
    num_clusters: int
    embed_dim: int
    options: PrototypeOptions
    view_options: ViewOptions = field(default_factory=ViewOptions)
    noise_deviation: float = 0.05

    def __post_init__(self):
        """Refuse what contradicts itself."""
        if self.options.data_initialisation and self.encoder.fit_linear_path is None:
            raise ValueError(
                "this encoder has no data-driven start; set data_initialisation to false"
            )
        # Built once here, so that a floor that cannot be kept is refused before training.
        _ = self.balance

    @property
    def balance(self) -> Balance:
        """The rule that balances the loss terms."""
        # The sign is in the term already, see `terms_with_weight`.
        weights = [abs(w) for w in self.options.loss_weights if w]
        return build_balance(self.options.balance, weights, self.num_clusters)

    @property
    def even_usage(self) -> Float[Array, " k"]:
        """The same share for every cluster, from which the running usage starts."""
        # Even at first: no cluster is dead before it was counted.
        return jnp.full(self.num_clusters, 1 / self.num_clusters, jnp.float32)

    @property
    def initial_balance(self) -> Any:
        """State of the balance before the first step."""
        num_terms = sum(weight != 0 for weight in self.options.loss_weights)
        return self.balance.init(jnp.zeros(num_terms), self.even_usage)
