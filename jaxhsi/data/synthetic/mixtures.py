"""Mixed spectra with known truth: the generator of the EB-gMCR paper, and harder ones beside it.

Rows are spectra. A sample mixes a few components, then gets a baseline, an offset and noise. Every
stage is a function of its own; `mixtures` chains them as `MixtureOptions` says, and with its
defaults does what upstream's ``RandomComponentMixtureSynthesizer`` (ebgmcr/data.py) does.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxhsi.data.synthetic.component_spectra import pure_spectra
from jaxhsi.data.synthetic.measurement_errors import add_measurement_errors
from jaxhsi.data.synthetic.mixing_models import mix_components
from jaxhsi.data.synthetic.mixture_options import MixtureOptions, check_range

MIN_DENSE_VALUE = 1e-6  # least value of dense non-negative data, as upstream clamps it

DEFAULT_OPTIONS = MixtureOptions()


class Mixtures(NamedTuple):
    """Spectra and all that they were made of.

    Attributes:
        data: as measured.
        clean: without noise, baseline and offset.
        concentrations: of every component in every sample, 0 where it is absent.
        components: pure spectra.
    """

    data: Float[Array, "n c"]
    clean: Float[Array, "n c"]
    concentrations: Float[Array, "n k"]
    components: Float[Array, "k c"]


def mixtures(
    key: Key[Array, ""],
    num_samples: int,
    options: MixtureOptions = DEFAULT_OPTIONS,
    components: Float[Array, "k c"] | Float[np.ndarray, "k c"] | None = None,
) -> Mixtures:
    """Draw n mixed spectra.

    Args:
        key: of all draws.
        num_samples: number of spectra.
        options: see `MixtureOptions`.
        components: pure spectra to mix instead of drawn ones; the options about pure spectra then
            say nothing, and data are clamped if all given values are >= 0.

    Returns:
        Data, noise-free data, concentrations and components.

    Raises:
        ValueError: n is too small, or max_mixed too large for the components given.
    """
    check_range("n", num_samples, options.rare_samples if options.rare else 1, None)
    if components is None:
        return _draw_mixtures(key, num_samples, options, options.non_negative)
    components = np.asarray(components, np.float32)
    check_range("max_mixed", options.max_mixed or 1, 1, len(components) - options.rare)
    return _draw_mixtures(
        key, num_samples, options, bool((components >= 0).all()), jnp.asarray(components)
    )


@partial(jax.jit, static_argnames=("num_samples", "options", "non_negative"))
def _draw_mixtures(
    key: Key[Array, ""],
    num_samples: int,
    options: MixtureOptions,
    non_negative: bool,
    components: Float[Array, "k c"] | None = None,
) -> Mixtures:
    components_key, concentrations_key, measurement_key = jax.random.split(key, 3)
    spectra = pure_spectra(components_key, options) if components is None else components
    concentrations = draw_concentrations(concentrations_key, num_samples, len(spectra), options)
    clean = mix_components(
        jax.random.fold_in(concentrations_key, 1), concentrations, spectra, options
    )
    data = add_measurement_errors(measurement_key, clean, options)
    if non_negative:
        data = jnp.maximum(data, jnp.where((spectra == 0).any(), 0.0, MIN_DENSE_VALUE))
    return Mixtures(data, clean, concentrations, spectra)


def draw_concentrations(
    key: Key[Array, ""], num_samples: int, num_components: int, options: MixtureOptions
) -> Float[Array, "n k"]:
    """U(min, max) for min_mixed to max_mixed components of a sample (uniform), 0 for the others.

    Rare components come on top: each in `rare_samples` samples, drawn without replacement.
    """
    count_key, presence_key, amount_key, rare_key = jax.random.split(key, 4)
    num_common = num_components - options.rare
    present_counts = jax.random.randint(
        count_key, (num_samples, 1), options.min_mixed, (options.max_mixed or num_common) + 1
    )
    is_present = (
        _rank_in_rows(jax.random.uniform(presence_key, (num_samples, num_common))) < present_counts
    )
    rare_ranks = _rank_in_rows(jax.random.uniform(rare_key, (options.rare, num_samples))).T
    is_rare_present = rare_ranks < options.rare_samples
    low, high = options.min_concentration, options.max_concentration
    drawn_concentrations = jax.random.uniform(
        amount_key, (num_samples, num_components), minval=low, maxval=high
    )
    return jnp.where(jnp.concatenate([is_present, is_rare_present], 1), drawn_concentrations, 0.0)


def _rank_in_rows(values: Float[Array, "a b"]) -> Int[Array, "a b"]:
    """Place of each value in its row, in rising order."""
    return values.argsort(1).argsort(1)
