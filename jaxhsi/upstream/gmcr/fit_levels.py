"""The best state of each band of fit: kept on the host, beside the checkpoints, written at the end.

Source: upstream `analyzer.py` (`BaseEBgMCR.fit`).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from jaxhsi.storage.checked_arrays import read_checked_npz, write_checked_npz
from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.storage.replacement import replace_text
from jaxhsi.upstream.gmcr.checkpoint import save_upstream_mcrs, settings_from_options
from jaxhsi.upstream.gmcr.options import JointOptions
from jaxhsi.upstream.gmcr.state import PoolParams


class Band(NamedTuple):
    """What is kept of a band.

    Attributes:
        name: such as ``0.97[->]0.975``.
        nmse: of the evaluation.
        r2: likewise.
        mean_energy: likewise.
        count: components in use.
        params: of all pools, on the host.
    """

    name: str
    nmse: float
    r2: float
    mean_energy: float
    count: int
    params: PoolParams


class LevelStates:
    """Host copies of params, one a band; those that a checkpoint counts on also lie in a folder.

    A file is named by its band and epoch, so that each checkpoint finds its own.
    """

    def __init__(self, folder: Path):
        """Of a run that begins; `load` goes on with another."""
        self._folder = folder
        self._level_params: dict[int, PoolParams] = {}
        self._written: set[str] = set()

    def keep(self, level_number: int, params: PoolParams) -> None:
        """Copy params, in place of what the band held before."""
        self._level_params[level_number] = jax.tree.map(np.array, params)

    def get(self, level_number: int) -> PoolParams:
        """Params that a band holds."""
        return self._level_params[level_number]

    def write(self, taken: Int[np.ndarray, " m"]) -> None:
        """Write what is not yet; to be called before the checkpoint is.

        Args:
            taken: epochs that the bands' states are from, -1 for none.
        """
        for level_number, file_name in _names(taken).items():
            # States do not change under a name: what is written stays valid.
            if file_name not in self._written:
                leaves = enumerate(jax.tree.leaves(self._level_params[level_number]))
                arrays = {f"arr_{i}": leaf for i, leaf in leaves}
                write_checked_npz(self._folder / file_name, arrays)

    def prune(self, taken: Int[np.ndarray, " m"]) -> None:
        """Delete what neither this checkpoint nor the one before needs; to be called after it."""
        # Of this checkpoint; those of the one before are in `_written`.
        names = set(_names(taken).values())
        for path in self._folder.glob("*.npz"):
            # Files of the checkpoint before stay, in case this one is cut while it is written.
            if path.name not in names | self._written:
                path.unlink()
        self._written = names

    def load(self, taken: Int[np.ndarray, " m"], template: PoolParams) -> None:
        """Read the states from these epochs.

        Raises:
            DamagedFileError: one is missing, or not as it was written.
        """
        file_names = _names(taken)
        level_params = {}
        for level_number, file_name in file_names.items():
            state_file, remedy = self._folder / file_name, "it is computed anew"
            if not state_file.is_file():
                raise DamagedFileError(state_file, "it is missing", remedy)
            arrays = read_checked_npz(state_file, remedy, allow_unchecked=True)
            leaves = [arrays[f"arr_{i}"] for i in range(len(arrays))]
            level_params[level_number] = jax.tree.unflatten(jax.tree.structure(template), leaves)
        self._level_params, self._written = level_params, set(file_names.values())


def write_fit_levels(folder: Path, options: JointOptions, bands: Sequence[Band]) -> None:
    """A folder for each band with its ``result.csv`` and upstream's checkpoint, as upstream does.

    Where upstream has no such pool or safetensors is not installed, a warning says that the
    checkpoints were not written.
    """
    for band in bands:
        # In upstream's order of columns, and without quoting.
        scores = ",".join(str(value) for value in band[1:5])
        lines = f"nMSE,R2,mean_energy,effective_components\n{scores}\n"
        replace_text(folder / band.name / "result.csv", lines)
    try:
        for band in bands:
            settings = settings_from_options(options, band.params[0]["pool"].shape[1])
            save_upstream_mcrs(folder / band.name, settings, band.params)
    # The run itself is whole; only this extra could not be written.
    except (ImportError, ValueError) as error:
        logging.getLogger(__name__).warning(
            "%s holds the scores of %d bands but not their checkpoints: %s",
            folder,
            len(bands),
            error,
        )


def _names(taken: Int[np.ndarray, " m"]) -> dict[int, str]:
    """Files of the bands that hold something."""
    return {
        level_number: f"{level_number}-{taken_epoch}.npz"
        for level_number, taken_epoch in enumerate(taken)
        if taken_epoch >= 0
    }
