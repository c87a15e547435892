"""Runs of samples: stretches of a table within which samples have an order of their own.

Several chromatograms of one method share their components, and each has its elution profiles. What
holds along samples (one peak, smoothness) holds within a run, not across the border of two.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


def check_run_lengths(run_lengths: Sequence[int], num_samples: int) -> tuple[int, ...]:
    """Run lengths as a tuple of integers.

    Args:
        run_lengths: samples of each run, in the order of the table.
        num_samples: of the table.

    Raises:
        ValueError: a run without samples, or lengths that do not add up to the table.

    >>> check_run_lengths([2, 3], 5)
    (2, 3)
    """
    lengths = tuple(int(length) for length in run_lengths)
    if any(length < 1 for length in lengths):
        raise ValueError(f"runs {_listed(lengths)} hold an empty one; each has 1 sample or more")
    if sum(lengths) != num_samples:
        raise ValueError(
            f"runs {_listed(lengths)} are {sum(lengths)} samples together and the table has "
            f"{num_samples}; give the samples of each run, in the order of the table"
        )
    return lengths


def _listed(lengths: Sequence[int]) -> str:
    return ",".join(map(str, lengths))


def run_numbers(run_lengths: Sequence[int]) -> Int[np.ndarray, " n"]:
    """Number of each sample's run, from 0.

    >>> run_numbers((2, 3)).tolist()
    [0, 0, 1, 1, 1]
    """
    return np.repeat(np.arange(len(run_lengths)), run_lengths)


def within_runs(run_lengths: Sequence[int], order: int) -> Bool[np.ndarray, " m"]:
    """Which differences of an order between successive samples lie within one run.

    >>> within_runs((2, 3), 1).tolist()
    [True, False, True, True]
    """
    numbers = run_numbers(run_lengths)
    return numbers[order:] == numbers[: len(numbers) - order]


def map_profiles(
    function: Callable[[Float[Array, " m"]], Float[Array, " m"]],
    concentrations: Float[Array, "n p"],
    run_lengths: Sequence[int],
) -> Float[Array, "n p"]:
    """Apply a function to the profile of each component in each run.

    Args:
        function: of a profile, that keeps its length.
        concentrations: of all samples.
        run_lengths: of all runs.

    >>> import jax.numpy as jnp
    >>> reverse = lambda profile: profile[::-1]
    >>> map_profiles(reverse, jnp.array([[1.0], [2.0], [3.0]]), (2, 1)).ravel().tolist()
    [2.0, 1.0, 3.0]
    """
    starts = np.cumsum([0, *run_lengths[:-1]])
    # Runs of one length go side by side: another length is another program to compile.
    for length in sorted(set(run_lengths)):
        rows = np.stack(
            [
                start + np.arange(length)
                for start, own in zip(starts, run_lengths, strict=True)
                if own == length
            ]
        )
        profiles = jnp.moveaxis(concentrations[rows], 1, 2)
        mapped = jax.vmap(jax.vmap(function))(profiles)
        concentrations = concentrations.at[rows].set(jnp.moveaxis(mapped, 2, 1))
    return concentrations
