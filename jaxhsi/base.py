"""The one form that every method of the package has: three pure functions.

A training loop needs no more than this; what a method adds (an encoder's halo, a pool of
components) lies in subclasses or in module-level functions beside them::

    state = algorithm.init(key, data)
    for number, batch in enumerate(batches):
        state, info = algorithm.step(jax.random.fold_in(key, number), state, batch)
    answer = algorithm.predict(state, new_data)

The contract, held by ``tests/test_algorithms.py`` for every method:

- pure: the same arguments give the same results, and no argument is changed;
- ``step`` keeps the tree structure, the shapes and the dtypes of the state, so that it compiles
  once and runs under ``jit`` with donation, ``vmap`` and ``lax.scan``;
- all randomness comes from the key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

StateT = TypeVar("StateT")
BatchT = TypeVar("BatchT")
InfoT = TypeVar("InfoT")


@dataclass(frozen=True)
class Algorithm(Generic[StateT, BatchT, InfoT]):
    """A method as pure functions, options bound by `functools.partial`.

    Attributes:
        init: ``init(key, ...) -> state``; the state is a pytree of arrays.
        step: ``step(key, state, batch) -> (state, info)``; ``info`` holds diagnostics alone,
            nothing in it is needed to go on.
        predict: ``predict(state, ...) -> answer``; changes no state.

    >>> count = Algorithm(
    ...     init=lambda key: 0,
    ...     step=lambda key, state, batch: (state + batch, {"batch": batch}),
    ...     predict=lambda state: state,
    ... )
    >>> state, info = count.step(None, count.init(None), 2)
    >>> count.predict(state), info
    (2, {'batch': 2})
    """

    init: Callable[..., StateT]
    step: Callable[[Any, StateT, BatchT], tuple[StateT, InfoT]]
    predict: Callable[..., Any]
