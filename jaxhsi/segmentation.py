"""Segmentation of hyperspectral cubes without labels: the library's entry to DGC.

The numbers are those of ``jaxhsi train dgc``: both call
:mod:`jaxhsi.workflows.dgc_training`. Only the command writes files; here a result stays in memory
until :meth:`Segmentation.save` is called::

    segmentation = jaxhsi.segment("scene.npy", num_clusters=16)
    coarse_labels = segmentation.cut(4)
    other_labels = segmentation.predict("other_scene.npy")
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxhsi.callbacks import OnProgress, ignore_progress

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from jaxhsi.data.cube import Cube
    from jaxhsi.dgc.cluster_tree import ClusterTree
    from jaxhsi.dgc.merge_tree import MergeTree
    from jaxhsi.workflows.dgc_memory_run import TrainingHistory
    from jaxhsi.workflows.segmentation_model import SegmentationModel

# What follows imports inside of functions: importing this module loads no JAX.


def segment(
    cubes: Any,
    num_clusters: int = 16,
    *,
    steps: int = 300,
    seed: int = 0,
    on_progress: OnProgress = ignore_progress,
    **options: Any,
) -> "Segmentation":
    """Train DGC on cubes without labels and label every pixel of them.

    The clusters are those of one dictionary over all cubes. Cubes on disk are read by windows:
    the memory does not grow with them, but for the labels (4 bytes a pixel with the confidence).

    Args:
        cubes: a cube or several: arrays (H, W, C) with the bands last, arrays of xarray, paths of
            files, stores or folders of cubes, URLs of stores, or cubes of `jaxhsi.open_cube`. NaN
            marks missing measurements in an array. The bands, wavelengths and place of an xarray
            array are known by their names, and its label maps keep its coordinates.
        num_clusters: number of clusters k, at least 1.
        steps: training steps; 0 leaves the closed-form start as it is.
        seed: of everything drawn at random.
        on_progress: called after each training step, see :mod:`jaxhsi.callbacks`.
        **options: any other field of :class:`jaxhsi.config.dgc.DGCConfig` that does not name
            files, such as ``views=ViewOptions(crop=32)`` or ``keep_state="last"``.

    Returns:
        The labels, the merge tree of the clusters, and the model that labels other cubes.

    Raises:
        FileNotFoundError: a path does not exist.
        TypeError: an option that there is not.
        ValueError: cubes that cannot be used together, or an option out of range.
        FloatingPointError: a step was not finite; names the windows that are to blame.

    """
    from jaxhsi.config.dgc import DGCConfig
    from jaxhsi.data.given_cubes import is_single_cube, open_given_cubes, source_arrays
    from jaxhsi.workflows.dgc_memory_run import reading_options, run_in_memory

    if file_options := options.keys() & {"data", "labels", "out"}:
        names = ", ".join(sorted(file_options))
        raise TypeError(f"segment() takes no {names}: cubes are given directly and stay in memory")
    config = DGCConfig(num_clusters=num_clusters, steps=steps, seed=seed, **options)
    start_time = time.perf_counter()
    opened_cubes = open_given_cubes(cubes, **reading_options(config))
    run = run_in_memory(config, opened_cubes, on_progress)
    return Segmentation(
        model=run.model,
        state=run.state,
        cubes=opened_cubes,
        cluster_tree=run.cluster_tree,
        cube_names=tuple(cube.name for cube in opened_cubes),
        cube_labels=run.cube_labels,
        cube_confidence=run.cube_confidence,
        scores=run.scores | {"seconds": time.perf_counter() - start_time},
        is_single=is_single_cube(cubes) and len(opened_cubes) == 1,
        history=run.history,
        source_arrays=source_arrays(cubes),
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Segmentation:
    """Labels of cubes, the tree of their clusters, and the model that labels other cubes.

    Attributes:
        model: options, algorithm, bands and wavelengths of the run.
        state: of the algorithm, that labels.
        cubes: cubes that were labelled; empty for a loaded run.
        cluster_tree: merge tree with names, shares and stability of the clusters.
        cube_names: names of the cubes.
        cube_labels: label map of each cube, (H, W) int16, -1 where a pixel is not valid.
        cube_confidence: probability of the label at each pixel, (H, W) float16, 0 where not valid.
        scores: as in ``scores.json``: pixels of each cluster, active clusters, steps, and so on.
        is_single: one cube was given, not a sequence.
        history: metrics and states of the training; None for a loaded run.
        source_arrays: the xarray arrays that were labelled; empty where other cubes were.
    """

    model: "SegmentationModel"
    state: Any
    cubes: "tuple[Cube, ...]"
    cluster_tree: "ClusterTree"
    cube_names: tuple[str, ...]
    cube_labels: "tuple[np.ndarray, ...]"
    cube_confidence: "tuple[np.ndarray, ...]"
    scores: Mapping[str, Any]
    is_single: bool
    history: "TrainingHistory | None" = None
    source_arrays: tuple[Any, ...] = ()

    @property
    def labels(self) -> Any:
        """Cluster of each pixel, (H, W) int16, -1 where not valid; a list for several cubes.

        Of xarray arrays they are xarray arrays too, with the coordinates of the pixels.
        """
        return self._one_or_list(self.cube_labels, "label")

    @property
    def confidence(self) -> Any:
        """Probability of the label at each pixel, (H, W) float16; a list for several cubes."""
        return self._one_or_list(self.cube_confidence, "confidence")

    @property
    def tree(self) -> "MergeTree":
        """Merges of the clusters, see :class:`jaxhsi.dgc.merge_tree.MergeTree`."""
        return self.cluster_tree.tree

    @property
    def num_clusters(self) -> int:
        """Number of clusters k."""
        return self.tree.num_clusters

    def cut(self, num_groups: int) -> Any:
        """Labels of a cut of the tree: groups 0 to ``num_groups - 1``, -1 where not valid.

        Args:
            num_groups: groups of the cut, 1 to the number of clusters.

        Raises:
            ValueError: the tree has no such cut.
        """
        from jaxhsi.dgc.cluster_tree import cut_to_grouping

        grouping = cut_to_grouping(self.tree, num_groups)
        return self._one_or_list([grouping.apply(labels) for labels in self.cube_labels], "group")

    def predict(self, cubes: Any) -> Any:
        """Label other cubes with the trained state.

        Args:
            cubes: as for :func:`segment`; with the bands that the run was trained on.

        Returns:
            Cluster of each pixel, (H, W) int16, -1 where not valid; a list for several cubes.

        Raises:
            ValueError: other bands or wavelengths than those of the run.
        """
        from jaxhsi.data.given_cubes import is_single_cube, open_given_cubes, source_arrays
        from jaxhsi.sharding import device_mesh
        from jaxhsi.workflows.dgc_memory_run import label_in_memory, reading_options

        model = self.model
        opened_cubes = open_given_cubes(
            cubes,
            required_bands={model.run_name: model.num_bands},
            **reading_options(model.config),
        )
        model.check_cube_wavelengths(opened_cubes, model.config.tolerance)
        # Of this machine, which may not be the one that it was trained on.
        labelled = label_in_memory(model, self.state, opened_cubes, device_mesh())
        numbers = [labels for labels, _ in labelled]
        cube_labels = _with_coordinates(numbers, source_arrays(cubes), "label")
        is_single = is_single_cube(cubes) and len(cube_labels) == 1
        return cube_labels[0] if is_single else cube_labels

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write a run folder, which `jaxhsi.load` and the commands read.

        Args:
            folder: a new or empty one.
            overwrite: delete the run that is in the folder.

        Raises:
            FileExistsError: the folder holds a run or other files.
        """
        from jaxhsi.workflows.segmentation_files import write_run

        write_run(self, Path(folder), overwrite=overwrite)

    @staticmethod
    def load(folder: str | Path) -> "Segmentation":
        """Read the folder of a finished run of dgc, of the command or of :meth:`save`.

        Args:
            folder: of the run.

        Raises:
            FileNotFoundError: the folder holds no run, or one that has not come to its end.
            ValueError: it holds a run of another command.
        """
        from jaxhsi.workflows.segmentation_files import read_run

        return Segmentation(**read_run(Path(folder)))

    def plot(self, num_groups: int | None = None) -> "Figure":
        """Draw the label maps of up to six cubes.

        Args:
            num_groups: groups of a cut to draw in the place of the clusters.

        Returns:
            A matplotlib figure.
        """
        from jaxhsi.report.label_figures import label_map_figure

        label_maps, label_names = self.cube_labels, self.cluster_tree.cluster_names
        if num_groups is not None:
            from jaxhsi.dgc.cluster_tree import cut_to_grouping

            grouping = cut_to_grouping(self.tree, num_groups)
            label_maps = [grouping.apply(labels) for labels in label_maps]
            label_names = grouping.group_names
        return label_map_figure(label_maps, self.cube_names, label_names)

    def _one_or_list(self, values: Sequence[Any], name: str) -> Any:
        maps = _with_coordinates(values, self.source_arrays, name)
        return maps[0] if self.is_single else maps

    def __repr__(self) -> str:
        """One line: clusters, cubes and steps."""
        first_shapes = [labels.shape for labels in self.cube_labels[:3]]
        shape_text = ", ".join(f"{height} x {width}" for height, width in first_shapes)
        more_text = ", ..." if len(self.cube_labels) > 3 else ""
        return (
            f"Segmentation({self.num_clusters} clusters, {self.scores['active_clusters']} active; "
            f"{len(self.cube_labels)} cube(s) of {shape_text}{more_text} pixels; state of step "
            f"{self.scores['kept_step']} of {self.scores['steps']})"
        )

    def _repr_html_(self) -> str:
        """A small table of the clusters, for notebooks."""
        pixel_shares = self.cluster_tree.pixel_shares
        table_rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{share:.2%}</td></tr>"
            for name, share in zip(self.cluster_tree.cluster_names, pixel_shares, strict=True)
        )
        header_row = "<tr><th>cluster</th><th>share of the pixels</th></tr>"
        return f"<p>{escape(repr(self))}</p><table>{header_row}{table_rows}</table>"


def _with_coordinates(maps: Sequence[Any], arrays: tuple[Any, ...], name: str) -> list[Any]:
    """Maps as xarray arrays where the cubes were."""
    from jaxhsi.data.data_arrays import map_like

    if not arrays:
        return list(maps)
    return [
        values if array is None else map_like(array, values, name)
        for values, array in zip(maps, arrays, strict=True)
    ]
