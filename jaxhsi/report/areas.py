"""Areas of clusters: pixels, share and square metres, for each cube and over all."""

import csv
import json
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from jaxhsi.label_counts import LabelCounts

AREAS_FILE = "areas.json"
TOTAL_ROW = "all cubes"


def measure_areas(
    label_counts: Mapping[str, LabelCounts],
    pixel_areas: Mapping[str, float | None],
    cluster_names: Sequence[str],
) -> dict[str, Any]:
    """What ``measure_areas.json`` holds.

    Args:
        label_counts: of each cube.
        pixel_areas: of each cube, in m2; None where the size of its pixels is not known.
        cluster_names: of the clusters.

    Returns:
        names, and for each cube and in total: `pixel_area_m2` (not in total), `invalid_pixels`,
        and `measure_areas`, a list of name, pixels, share of the valid pixels, and m2 or None. In total
        m2 is None unless it is known for every cube.
    """
    total = reduce(add, label_counts.values())
    known = {name: area for name, area in pixel_areas.items() if area is not None}
    m2 = None
    if len(known) == len(label_counts):
        m2 = np.sum(
            [label_counts[name].cluster_pixels * area for name, area in known.items()], axis=0
        )
    cubes = {
        name: {"pixel_area_m2": area}
        | _listed(
            label_counts[name],
            cluster_names,
            None if area is None else label_counts[name].cluster_pixels * area,
        )
        for name, area in pixel_areas.items()
    }
    return {
        "names": list(cluster_names),
        "cubes": cubes,
        "total": _listed(total, cluster_names, m2),
    }


def _listed(counts: LabelCounts, names: Sequence[str], m2: np.ndarray | None) -> dict[str, Any]:
    shares = pixel_shares(counts.cluster_pixels)
    rows = [
        {
            "name": name,
            "pixels": int(counts.cluster_pixels[i]),
            "share": float(shares[i]),
            "m2": None if m2 is None else float(m2[i]),
        }
        for i, name in enumerate(names)
    ]
    return {"invalid_pixels": counts.invalid_pixels, "areas": rows}


def pixel_shares(pixels: Integer[np.ndarray, " k"]) -> np.ndarray:
    """Of all that are counted; 0 where none are."""
    return pixels / max(pixels.sum(), 1)


def write_areas(folder: Path, area_record: dict[str, Any]) -> None:
    """Write ``measure_areas.csv`` and then ``measure_areas.json``, which tells that a prediction is whole."""
    header = ["cube", "cluster", "name", "pixels", "share", "m2"]
    with (folder / "areas.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for cube, listed in [*area_record["cubes"].items(), (TOTAL_ROW, area_record["total"])]:
            for i, row in enumerate(listed["areas"]):
                m2 = "" if row["m2"] is None else f"{row['m2']:.9g}"
                cells = (row["name"], row["pixels"], f"{row['share']:.6f}", m2)
                writer.writerow([cube, i, *cells])
    (folder / AREAS_FILE).write_text(json.dumps(area_record, indent=1) + "\n")
