"""A trained run of dgc: its options, its method, and the state that was selected."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding
from jaxtyping import Float

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.files import read_config, saved_command
from jaxhsi.data.cube import Cube
from jaxhsi.data.manifest import check_wavelengths_agree
from jaxhsi.data.value_level import check_value_levels
from jaxhsi.dgc.state import SegmentationAlgorithm
from jaxhsi.training.best_state import BestState
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.run_files import read_run_json
from jaxhsi.training.run_folder import CONFIG_FILE, CUBES_FILE
from jaxhsi.workflows.dgc_method import build_method


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentationModel:
    """What a run says of itself without its checkpoints.

    Attributes:
        folder: of the run; None for a run in memory.
        config: its options.
        method: the algorithm that the options describe.
        num_bands: bands of the cubes that it was trained on.
        wavelengths: centre of each band in nm, or None where unknown.
        value_level: typical magnitude of the values that it was trained on, or None where unknown.
    """

    folder: Path | None
    config: DGCConfig
    method: SegmentationAlgorithm
    num_bands: int
    wavelengths: Float[np.ndarray, " c"] | None
    value_level: float | None = None

    @property
    def run_name(self) -> str:
        """What messages call the run."""
        return "the run in memory" if self.folder is None else f"the run {self.folder}"

    def restore_state(self) -> tuple[Any, int]:
        """Read the selected state of the run from its newest checkpoint.

        Returns:
            The best state, or the last one with ``keep: last``, on the first device; and its step.

        Raises:
            FileNotFoundError: there is no checkpoint yet.
        """
        sample = jax.ShapeDtypeStruct((self.config.stream.sample_size, self.num_bands), jnp.float32)
        template = jax.eval_shape(self.method.init, jax.random.key(0), sample)
        first_device = SingleDeviceSharding(jax.devices()[0])
        template = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=first_device),
            template,
        )
        checkpoint_folder = self.folder / "checkpoints"
        if not checkpoint_folder.is_dir():  # Orbax would create the folder
            raise FileNotFoundError(
                f"no checkpoint in {checkpoint_folder}; the run has not reached one"
            )
        with Checkpoints(checkpoint_folder, read_only=True) as checkpoints:
            state = checkpoints.restore(template, best_state=(record := BestState()))
        if self.config.keep_state == "best":
            state = record.chosen_state(state)
        return state, int(state.step)

    def check_cube_wavelengths(self, cubes: Sequence[Cube], tolerance: float | None = None) -> None:
        """Refuse cubes of other wavelengths than the run was trained on.

        Args:
            cubes: cubes to label.
            tolerance: nm by which the wavelengths of a band may differ; see
                :func:`jaxhsi.data.manifest.check_wavelengths_agree`.

        Raises:
            ValueError: names the run and the cube.
        """
        cube_wavelengths = {cube.url: cube.wavelengths for cube in cubes}
        check_wavelengths_agree({self.run_name: self.wavelengths} | cube_wavelengths, tolerance)

    def check_cube_values(self, cubes: Sequence[Cube]) -> None:
        """Refuse cubes whose values are in other units than those that the run was trained on.

        Args:
            cubes: cubes to label.

        Raises:
            ValueError: names the cube and the scale that would bring it to the run's units.
        """
        check_value_levels(self.run_name, self.value_level, cubes)


def _mean_level(rows: Sequence[dict[str, Any]]) -> float | None:
    """Geometric mean of the magnitudes in the rows of a manifest; None where none is known."""
    levels = [row["value_level"] for row in rows if row.get("value_level")]
    return float(np.exp(np.mean(np.log(levels)))) if levels else None


def open_segmentation_model(folder: Path) -> SegmentationModel:
    """Read options and bands of the run in a folder; no checkpoint is read yet.

    Args:
        folder: of the run.

    Raises:
        FileNotFoundError: it holds no run.
        ValueError: it holds a run of another command, or of an earlier version.
    """
    config_file = folder / CONFIG_FILE
    if not config_file.is_file():
        raise FileNotFoundError(
            f"{folder} holds no run (no {CONFIG_FILE}); name the folder of a run"
        )
    if saved_command(config_file) != "dgc":
        raise ValueError(f"{folder} holds a run of another command; cubes are labelled by dgc")
    if not (folder / CUBES_FILE).is_file():
        raise ValueError(
            f"{folder} has no {CUBES_FILE}, which tells the bands that the run was trained on: it "
            f"was made by an earlier version. jaxhsi train dgc --out {folder} --resume "
            "writes it"
        )
    config = read_config(DGCConfig, config_file)
    manifest_record = read_run_json(folder / CUBES_FILE)
    wavelengths = manifest_record["wavelengths_nm"]
    return SegmentationModel(
        folder=folder,
        config=config,
        method=build_method(config, manifest_record["bands"]),
        num_bands=manifest_record["bands"],
        wavelengths=None if wavelengths is None else np.asarray(wavelengths, np.float64),
        value_level=_mean_level(manifest_record["cubes"]),
    )
