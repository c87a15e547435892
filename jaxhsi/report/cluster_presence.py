"""Which clusters are present in which cube: a table and a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from jaxhsi.label_counts import pixel_shares
from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.report.csv_files import write_rows

PRESENCE_RULE = f"present in a cube: more than {ACTIVE_SHARE:.1%} of its valid pixels"

MAX_DRAWN_CUBES = 100
"""Cubes in the picture, which would be too high to look at with more; set by hand."""

SHARE_TICKS = {1e-3: "0.1 %", 1e-2: "1 %", 1e-1: "10 %", 1.0: "100 %"}


def cluster_presence(
    cluster_pixels: Mapping[str, Integer[np.ndarray, " k"]], cluster_names: Sequence[str]
) -> dict[str, Any]:
    """Shares of the clusters in each cube, as ``scores.json`` and ``areas.json`` hold them.

    Args:
        cluster_pixels: pixels of each cluster, for each cube.
        cluster_names: names of the clusters.

    Returns:
        ``rule``, ``names``, and for each cube ``shares`` of its valid pixels, ``pixels``, and
        ``present``, the indices of the clusters that are present.

    >>> record = cluster_presence({"a": np.array([999, 1])}, ["leaf", "rust"])
    >>> record["cubes"]["a"]["present"]
    [0]
    """
    cubes = {}
    for cube, counts in cluster_pixels.items():
        shares = pixel_shares(counts)
        present = np.flatnonzero(shares > ACTIVE_SHARE)
        cubes[cube] = {
            "shares": shares.tolist(),
            "pixels": np.asarray(counts).tolist(),
            "present": present.tolist(),
        }
    return {"rule": PRESENCE_RULE, "names": list(cluster_names), "cubes": cubes}


def write_presence_files(
    folder: Path, presence_record: dict[str, Any], kind: str = "cluster"
) -> None:
    """Write ``presence.csv`` and, for two cubes or more, the picture ``presence.png``.

    Args:
        folder: where to write.
        presence_record: from :func:`cluster_presence`.
        kind: what is present, "cluster" or "group".
    """
    rows = [
        [cube, i, name, f"{each['shares'][i]:.6f}", int(i in each["present"])]
        for cube, each in presence_record["cubes"].items()
        for i, name in enumerate(presence_record["names"])
    ]
    write_rows(folder / "presence.csv", [["cube", kind, "name", "share", "present"], *rows])
    if len(presence_record["cubes"]) > 1:
        _draw_presence(folder / "presence.png", presence_record)


def _draw_presence(path: Path, presence_record: dict[str, Any]) -> None:
    """Cubes against clusters, the share on a logarithmic colour scale; empty if not present."""
    # Imported here: predict does without matplotlib where it draws nothing.
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    from jaxhsi.report.spectra_plots import save_figure

    cluster_names = presence_record["names"]
    cubes = list(presence_record["cubes"])[:MAX_DRAWN_CUBES]
    shares = np.array([presence_record["cubes"][cube]["shares"] for cube in cubes])
    present_shares = np.ma.masked_less_equal(shares, ACTIVE_SHARE)
    figure = Figure(figsize=(2.6 + 0.36 * shares.shape[1], 1.5 + 0.26 * len(cubes)))
    panel = figure.add_subplot()
    colour_scale = LogNorm(ACTIVE_SHARE, 1.0)
    image = panel.imshow(present_shares, aspect="auto", norm=colour_scale, cmap="viridis_r")
    panel.set_xticks(range(len(cluster_names)), cluster_names, rotation=90, fontsize=7)
    panel.set_yticks(range(len(cubes)), cubes, fontsize=7)
    panel.tick_params(length=0)
    # Minor ticks lie between the cells: their grid draws the borders of the cells.
    panel.set_xticks(np.arange(-0.5, shares.shape[1]), minor=True)
    panel.set_yticks(np.arange(-0.5, len(cubes)), minor=True)
    panel.grid(which="minor", color="0.9", linewidth=0.6)
    panel.tick_params(which="minor", length=0)
    num_hidden = len(presence_record["cubes"]) - len(cubes)
    hidden_note = f" ({num_hidden} more cubes)" if num_hidden else ""
    panel.set_title(f"share of the pixels{hidden_note}", fontsize=9)
    colour_bar = figure.colorbar(image, ax=panel, fraction=0.05, pad=0.02)
    colour_bar.set_ticks(list(SHARE_TICKS), labels=list(SHARE_TICKS.values()), fontsize=7)
    save_figure(figure, path)
