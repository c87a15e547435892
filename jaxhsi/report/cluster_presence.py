"""Which clusters are in which cube: a table, a picture, and words for those in some cubes alone."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.report.areas import pixel_shares

PRESENCE_RULE = f"present in a cube: more than {ACTIVE_SHARE:.1%} of its valid pixels"
MAX_DRAWN_CUBES = 100  # in the picture
MAX_LISTED_CUBES = 6  # of cubes in a line


def cluster_presence(
    cluster_pixels: Mapping[str, Integer[np.ndarray, " k"]], cluster_names: Sequence[str]
) -> dict[str, Any]:
    """What `scores.json` and `areas.json` hold of it.

    Args:
        cluster_pixels: of each cluster, for each cube.
        cluster_names: of the clusters.

    Returns:
        rule, names, and for each cube `shares` of its valid pixels and `present`, the numbers of
        the clusters that are present.
    """
    cubes = {}
    for cube, counts in cluster_pixels.items():
        shares = pixel_shares(counts)
        present = np.flatnonzero(shares > ACTIVE_SHARE)
        cubes[cube] = {"shares": shares.tolist(), "present": present.tolist()}
    return {"rule": PRESENCE_RULE, "names": list(cluster_names), "cubes": cubes}


def partial_presence_lines(presence_record: dict[str, Any]) -> list[str]:
    """A line for each cluster that is in some cubes alone, and not in all; the rarest first."""
    cubes, lines = presence_record["cubes"], []
    for cluster, name in enumerate(presence_record["names"]):
        there = [cube for cube, each in cubes.items() if cluster in each["present"]]
        if 0 < len(there) < len(cubes):
            most = max(each["shares"][cluster] for each in cubes.values())
            few = 2 * len(there) <= len(cubes)
            named = there if few else [cube for cube in cubes if cube not in there]
            shown = ", ".join(named[:MAX_LISTED_CUBES]) + ", ..." * (len(named) > MAX_LISTED_CUBES)
            line = f"{name}: in {len(there)} of {len(cubes)} cubes, up to {most:.1%} "
            line += f"({'' if few else 'not in '}{shown})"
            lines.append((len(there), line))
    return [line for _, line in sorted(lines, key=lambda each: each[0])]


def write_presence_files(folder: Path, presence_record: dict[str, Any]) -> None:
    """Write ``cluster_presence.csv`` and, of two cubes or more, the picture ``cluster_presence.png``."""
    with (folder / "presence.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["cube", "cluster", "name", "share", "present"])
        for cube, each in presence_record["cubes"].items():
            for i, name in enumerate(presence_record["names"]):
                row = (name, f"{each['shares'][i]:.6f}", int(i in each["present"]))
                writer.writerow([cube, i, *row])
    if len(presence_record["cubes"]) > 1:
        _draw(folder / "presence.png", presence_record)


def _draw(path: Path, found: dict[str, Any]) -> None:
    """Cubes against clusters, the share in colour on a scale of powers; empty where not present."""
    # Here, for predict starts without it and of a single cube draws none.
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    from jaxhsi.report.spectra_plots import save_figure

    cubes = list(found["cubes"])[:MAX_DRAWN_CUBES]
    shares = np.array([found["cubes"][cube]["shares"] for cube in cubes])
    shown = np.ma.masked_less_equal(shares, ACTIVE_SHARE)
    figure = Figure(figsize=(2.6 + 0.36 * shares.shape[1], 1.5 + 0.26 * len(cubes)))
    panel = figure.add_subplot()
    image = panel.imshow(shown, aspect="auto", norm=LogNorm(ACTIVE_SHARE, 1.0), cmap="viridis_r")
    panel.set_xticks(range(len(found["names"])), found["names"], rotation=90, fontsize=7)
    panel.set_yticks(range(len(cubes)), cubes, fontsize=7)
    panel.tick_params(length=0)
    panel.set_xticks(np.arange(-0.5, shares.shape[1]), minor=True)
    panel.set_yticks(np.arange(-0.5, len(cubes)), minor=True)
    panel.grid(which="minor", color="0.9", linewidth=0.6)
    panel.tick_params(which="minor", length=0)
    more = len(found["cubes"]) - len(cubes)
    panel.set_title(f"share of the pixels{f' ({more} more cubes)' if more else ''}", fontsize=9)
    bar = figure.colorbar(image, ax=panel, fraction=0.05, pad=0.02)
    bar.set_ticks([1e-3, 1e-2, 1e-1, 1.0], labels=["0.1 %", "1 %", "10 %", "100 %"], fontsize=7)
    save_figure(figure, path)
