"""What upstream's joint training refuses before it begins."""

from collections.abc import Sequence

from jaxtyping import Array, Float

from jaxhsi.gmcr import mixing
from jaxhsi.upstream.gmcr import schedules
from jaxhsi.upstream.gmcr.options import JointOptions


def check_joint_arguments(
    num_bands: int,
    options: JointOptions,
    libraries: Sequence[Float[Array, "p c"] | None] | None,
    aggregate: mixing.MixingFunction,
) -> None:
    """Refuse options that contradict each other; see `algorithm.joint` for the arguments.

    Raises:
        ValueError: not one entry a pool, bands of fit that cannot be made, gates of channels under
            another mixing than linear, or a library of another shape.
    """
    # Every list has an entry a pool, in the same order.
    pool_sizes = options.pool_sizes
    for name, given_values in (
        ("learnable_pools", options.learnable_pools),
        ("libraries", libraries),
    ):
        if given_values is not None and len(given_values) != len(pool_sizes):
            raise ValueError(
                f"there are {len(pool_sizes)} pools by pool_sizes and {len(given_values)} by "
                f"{name}; give one each"
            )
    if options.level_criterion is not None:
        # Its own checks; the levels are made again where they are used.
        schedules.fit_levels(options.level_criterion, options.first_level, options.level_width)
    # The gates of channels are inside the product of concentrations and components.
    if options.sparse_components and aggregate is not mixing.linear:
        raise ValueError("sparse_components mixes linearly; leave aggregate at its default")
    for i, library in enumerate(libraries or ()):
        if library is not None and library.shape != (pool_sizes[i], num_bands):
            raise ValueError(
                f"library {i} has shape {tuple(library.shape)}; a pool of {pool_sizes[i]} "
                f"components and spectra of {num_bands} bands need ({pool_sizes[i]}, {num_bands})"
            )
