"""The solver's functions on several devices, each of which computes a share of the spectra."""

from functools import cache

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxhsi.gmcr.fit_phases import compiled_solver
from jaxhsi.gmcr.options import SolverOptions
from jaxhsi.gmcr.solver import Solver, build_solver
from jaxhsi.gmcr.state import State
from jaxhsi.gmcr.whitening import WhitenedData
from jaxhsi.sharding import replicate
from jaxhsi.table_sharding import compile_by_rows, place_rows

_TABLE_PLACE = {"init": 0, "step": 2, "epoch": 2}
"""Where the table is among the arguments of functions that do not take it second."""
_JIT_OPTIONS = {"init": {"static_argnums": 3}, "epoch": {"donate_argnums": 1}}


@cache
def sharded_solver(options: SolverOptions, mesh: Mesh) -> Solver:
    """The solver's functions under jit; one set for each options object and set of devices.

    Args:
        options: of the solver.
        mesh: devices; the functions' results are on all of them.
    """
    if mesh.size == 1:
        return compiled_solver(options)
    functions = build_solver(options)._asdict()
    return Solver(
        *(
            compile_by_rows(mesh, function, _TABLE_PLACE.get(name, 1), **_JIT_OPTIONS.get(name, {}))
            for name, function in functions.items()
        )
    )


def move_fit(mesh: Mesh, state: State, data: WhitenedData) -> tuple[State, WhitenedData]:
    """Copies of state and table on other devices; the state may be used up."""
    state = jax.tree.map(jnp.copy, replicate(mesh, state))
    return state, data._replace(x_white=place_rows(mesh, data.x_white))
