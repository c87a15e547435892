"""The loop of upstream's joint training, and what its last state says of the spectra."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from jaxhsi.gmcr.amortised import Unmixed
from jaxhsi.gmcr.joint import Epoch, Joint, JointOptions, State, joint
from jaxhsi.runtime.checkpoint import Checkpoints
from jaxhsi.runtime.logbook import Logbook


class Jointly(NamedTuple):
    """What a joint training leads to.

    Attributes:
        used: slots of the pools that are open for at least one spectrum.
        unmix: ``unmix(params, x) -> Unmixed`` with these slots alone, jitted.
        params: of `unmix`.
    """

    used: Bool[np.ndarray, " p"]
    unmix: Callable[..., Unmixed]
    params: tuple


def joint_method(
    bands: int,
    options: JointOptions,
    *,
    library: Float[np.ndarray, "l c"] | None = None,
    num_candidates: int | None = None,
) -> Joint:
    """The method; a library is a pool of its own, which stays fixed, before the others.

    Args:
        bands: of the spectra.
        options: of the method.
        library: known spectra.
        num_candidates: size of one pool instead of ``options.sizes``.
    """
    if num_candidates is not None:
        options = replace(options, sizes=(num_candidates,), learnable=None)
    if library is None:
        return joint(bands, options)
    learnable = options.learnable or (True,) * len(options.sizes)
    free = (None,) * len(options.sizes)
    sizes = (len(library), *options.sizes)
    options = replace(options, sizes=sizes, learnable=(False, *learnable))
    return joint(bands, options, (jnp.asarray(library, jnp.float32), *free))


def fit_joint(
    key: Key[Array, ""],
    method: Joint,
    spectra: Float[Array, "n c"],
    epochs: int,
    logbook: Logbook,
    checkpoints: Checkpoints,
    *,
    save_every: int = 50,
) -> Jointly:
    """Train for so many epochs, or go on from the newest checkpoint.

    Raises:
        FloatingPointError: the loss stopped being finite; names the epoch.
    """
    state = jax.tree.map(jnp.copy, method.init(key))  # the step uses up what it is given, once
    if checkpoints.latest() is not None:
        state = checkpoints.restore(state)
    epoch = jax.jit(method.epoch, donate_argnums=1)
    with logbook.open():
        for number in range(int(state.epoch) + 1, epochs + 1):
            state, info = epoch(jax.random.fold_in(key, number), state, spectra)
            info = jax.device_get(info)
            _check_finite(number, info)
            logbook.write(number, _values(info))
            logbook.advance(number)
            if number % save_every == 0 or number == epochs:
                checkpoints.save(number, state)
    return _result(method, state, spectra)


def _check_finite(number: int, info: Epoch) -> None:
    if not np.isfinite(info.loss):
        raise FloatingPointError(
            f"the loss is {info.loss} in epoch {number}; lower --joint.optimizer.learning_rate, "
            "or look at the data for values far outside of their range"
        )


def _values(info: Epoch) -> dict:
    """Diagnostics by name, flat; the number of components as the solver calls it."""
    values = info._asdict()
    evaluation = values.pop("evaluation")
    return values | evaluation._asdict() | {"active": evaluation.used}


def _result(method: Joint, state: State, spectra: Float[Array, "n c"]) -> Jointly:
    whole = jax.jit(method.unmix)(state.params, spectra)
    used = np.asarray(whole.gates > 0).any(0)
    [slots] = np.nonzero(used)

    @jax.jit
    def unmix(params: tuple, x: Float[Array, "m c"]) -> Unmixed:
        every = method.unmix(params, x)
        return Unmixed(
            every.reconstruction,
            every.concentrations[:, slots],
            every.components[slots],
            every.gates[:, slots],
        )

    return Jointly(used, unmix, jax.tree.map(jnp.asarray, state.params))
