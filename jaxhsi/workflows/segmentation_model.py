"""A run of dgc that has been trained: its options, its method, and the state that is kept of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import yaml
from jax.sharding import SingleDeviceSharding
from jaxtyping import Float

from jaxhsi.config.dgc import DGCConfig, build_method
from jaxhsi.config.files import read_config
from jaxhsi.data.cube import Cube
from jaxhsi.data.manifest import check_wavelengths
from jaxhsi.dgc.algorithm import DGC
from jaxhsi.training.best_state import Record
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.run_folder import CONFIG, CUBES


@dataclass(frozen=True, eq=False)
class SegmentationModel:
    """What is known of a run without looking into its checkpoints.

    Attributes:
        folder: of the run.
        config: its options.
        method: that the options describe.
        num_bands: of the cubes that it was trained on.
        wavelengths: theirs in nm, or None.
    """

    folder: Path
    config: DGCConfig
    method: DGC
    num_bands: int
    wavelengths: Float[np.ndarray, " c"] | None

    def restore_state(self) -> tuple[Any, int]:
        """The best state, or the newest with ``--keep last``, on the first device; and its step.

        Raises:
            FileNotFoundError: there is no checkpoint yet.
        """
        spectra = jax.ShapeDtypeStruct((self.config.stream.sample, self.num_bands), jnp.float32)
        template = jax.eval_shape(self.method.init, jax.random.key(0), spectra)
        device = SingleDeviceSharding(jax.devices()[0])
        template = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), template
        )
        saved = self.folder / "checkpoints"
        if not saved.is_dir():  # Orbax would make it
            raise FileNotFoundError(f"no checkpoint in {saved}; the run has not reached one")
        with Checkpoints(saved) as checkpoints:
            state = checkpoints.restore(template, judge=(record := Record()))
        if self.config.keep == "best":
            state = record.kept(state)
        return state, int(state.step)

    @property
    def run_name(self) -> str:
        """For messages."""
        return f"the run {self.folder}"

    def check_cube_wavelengths(self, cubes: Sequence[Cube], tolerance: float | None = None) -> None:
        """Refuse cubes of other wavelengths than the run was trained on.

        Args:
            cubes: to label.
            tolerance: nm by which the wavelengths of a band may differ; see
                :func:`jaxhsi.data.manifest.check_wavelengths`.

        Raises:
            ValueError: names the run and the cube.
        """
        waves = {cube.url: cube.wavelengths for cube in cubes}
        check_wavelengths({self.run_name: self.wavelengths} | waves, tolerance)


def open_segmentation_model(folder: Path) -> SegmentationModel:
    """Look at the folder of a run.

    Raises:
        FileNotFoundError: it holds no run.
        ValueError: it holds one of another command, or of an earlier version.
    """
    saved = folder / CONFIG
    if not saved.is_file():
        raise FileNotFoundError(f"{folder} holds no run (no {CONFIG}); name the folder of a run")
    options = yaml.safe_load(saved.read_text())
    if not isinstance(options, dict) or "num_clusters" not in options:
        raise ValueError(f"{folder} holds a run of another command; cubes are labelled by dgc")
    if not (folder / CUBES).is_file():
        raise ValueError(
            f"{folder} has no {CUBES}, which tells the bands that the run was trained on: it was "
            f"made by an earlier version. python -m jaxhsi.train dgc --out {folder} --resume "
            "writes it"
        )
    config = read_config(DGCConfig, saved)
    known = json.loads((folder / CUBES).read_text())
    waves = known["wavelengths_nm"]
    return SegmentationModel(
        folder,
        config,
        build_method(config, known["bands"]),
        known["bands"],
        None if waves is None else np.asarray(waves, np.float64),
    )
