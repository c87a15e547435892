"""All that is fixed while a step of upstream's clustering with prototypes is compiled."""

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxhsi.dgc.networks import Encoder
from jaxhsi.dgc.options import ViewOptions
from jaxhsi.upstream.dgc.balance import build_balance
from jaxhsi.upstream.dgc.balance_rules import Balance
from jaxhsi.upstream.dgc.options import PrototypeOptions


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
        mesh: devices that the views of a step are spread over; None for those of the arrays.

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
    mesh: Mesh | None = None

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
