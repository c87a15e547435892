"""The gated solver with its options bound."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from jaxhsi.gmcr import algorithm, final_stages
from jaxhsi.gmcr.options import SolverOptions


class Solver(NamedTuple):
    """Functions of `algorithm` and `final_stages` with bound options.

    Attributes:
        init: `algorithm.init`.
        step: `algorithm.step`.
        epoch: `algorithm.epoch`.
        end_phase: `algorithm.end_phase`.
        pure_pixel_restart: `final_stages.pure_pixel_restart`.
        dense_refit: `final_stages.dense_refit`.
        set_num_components: `final_stages.set_num_components`.
        identify_library: `final_stages.identify_library`.
        predict: `algorithm.predict`.
        describe: `algorithm.describe`.
    """

    init: Callable[..., Any]
    step: Callable[..., Any]
    epoch: Callable[..., Any]
    end_phase: Callable[..., Any]
    pure_pixel_restart: Callable[..., Any]
    dense_refit: Callable[..., Any]
    set_num_components: Callable[..., Any]
    identify_library: Callable[..., Any]
    predict: Callable[..., Any]
    describe: Callable[..., Any]


def build_solver(options: SolverOptions = SolverOptions()) -> Solver:  # noqa: B008 -- frozen
    """The solver's pure functions under these options.

    >>> run = build_solver(SolverOptions(non_negative=False))
    >>> run.step.func.__name__, run.step.args[0].non_negative
    ('step', False)
    """
    modules = dict.fromkeys(("init", "step", "epoch", "end_phase", "predict"), algorithm)
    modules |= {"describe": algorithm}
    return Solver(
        *(
            partial(getattr(modules.get(name, final_stages), name), options)
            for name in Solver._fields
        )
    )
