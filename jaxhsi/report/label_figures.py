"""Label maps as matplotlib figures, for notebooks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jaxhsi.report.figure_text import show_text_literally
from jaxhsi.report.label_pictures import colour_label_map, subsampling_step
from jaxhsi.report.palettes import cluster_colours

MAX_PANELS = 6
"""Cubes in one figure; set by hand for the width of a notebook."""

MAX_LEGEND_ENTRIES = 24
"""Clusters in the legend, the largest first."""


def label_map_figure(
    label_maps: Sequence[np.ndarray], cube_names: Sequence[str], cluster_names: Sequence[str]
) -> Figure:
    """Draw label maps side by side with a legend of the clusters and their shares.

    Args:
        label_maps: labels of each cube, (H, W), -1 where not valid (black).
        cube_names: titles of the panels.
        cluster_names: names of the labels.
    """
    num_clusters = len(cluster_names)
    shown_maps = list(zip(cube_names, label_maps, strict=True))[:MAX_PANELS]
    figure = Figure(figsize=(3.6 * len(shown_maps) + 2.4, 4.0), layout="constrained")
    panels = figure.subplots(1, len(shown_maps), squeeze=False)[0]
    pixels = np.zeros(num_clusters, np.int64)
    for panel, (title, labels) in zip(panels, shown_maps, strict=True):
        pixels += np.bincount(labels[labels >= 0], minlength=num_clusters)
        step = subsampling_step(labels.shape)
        panel.imshow(colour_label_map(labels[::step, ::step], num_clusters))
        panel.set_title(title, fontsize=9)
        panel.set_axis_off()
    palette = cluster_colours(num_clusters) / 255
    largest_first = np.argsort(-pixels)[:MAX_LEGEND_ENTRIES]
    shares = pixels / max(pixels.sum(), 1)
    handles = [
        Patch(color=palette[k], label=f"{cluster_names[k]}: {shares[k]:.1%}")
        for k in largest_first
        if pixels[k]
    ]
    figure.legend(handles=handles, loc="outside right center", fontsize=7)
    show_text_literally(figure)
    return figure
