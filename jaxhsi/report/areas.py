"""Areas of clusters: pixels, share and square metres, for each cube and over all."""

import csv
import json
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.label_counts import LabelCounts, pixel_shares

AREAS_FILE = "areas.json"
TOTAL_ROW = "all cubes"


def measure_areas(
    label_counts: Mapping[str, LabelCounts],
    pixel_areas: Mapping[str, float | None],
    cluster_names: Sequence[str],
) -> dict[str, Any]:
    """Areas of the clusters in each cube and over all cubes, as ``areas.json`` holds them.

    Args:
        label_counts: counts of each cube.
        pixel_areas: area of a pixel of each cube in m2; None where its size is not known.
        cluster_names: names of the clusters.

    Returns:
        ``names``, and for each cube and in total ``pixel_area_m2`` (not in total),
        ``invalid_pixels``, and ``areas``, a list of name, pixels, share of the valid pixels, and
        m2 or None. In total m2 is None unless it is known for every cube.
    """
    total_counts = reduce(add, label_counts.values())
    known_areas = {name: area for name, area in pixel_areas.items() if area is not None}
    total_metres = None
    if len(known_areas) == len(label_counts):
        total_metres = np.sum(
            [label_counts[name].cluster_pixels * area for name, area in known_areas.items()],
            axis=0,
        )
    cubes = {}
    for name, area in pixel_areas.items():
        square_metres = None if area is None else label_counts[name].cluster_pixels * area
        rows = _area_rows(label_counts[name], cluster_names, square_metres)
        cubes[name] = {"pixel_area_m2": area} | rows
    total = _area_rows(total_counts, cluster_names, total_metres)
    return {"names": list(cluster_names), "cubes": cubes, "total": total}


def _area_rows(
    label_counts: LabelCounts, cluster_names: Sequence[str], square_metres: np.ndarray | None
) -> dict[str, Any]:
    """The part of the record that a cube and the total have in common."""
    shares = pixel_shares(label_counts.cluster_pixels)
    rows = [
        {
            "name": name,
            "pixels": int(label_counts.cluster_pixels[i]),
            "share": float(shares[i]),
            "m2": None if square_metres is None else float(square_metres[i]),
        }
        for i, name in enumerate(cluster_names)
    ]
    return {"invalid_pixels": label_counts.invalid_pixels, "areas": rows}


def write_areas(folder: Path, area_record: dict[str, Any]) -> None:
    """Write ``areas.csv`` and then ``areas.json``.

    The JSON file comes last: a folder that holds it holds a complete prediction.

    Args:
        folder: where to write.
        area_record: from :func:`measure_areas`.
    """
    header = ["cube", "cluster", "name", "pixels", "share", "m2"]
    with (folder / "areas.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for cube, record in [*area_record["cubes"].items(), (TOTAL_ROW, area_record["total"])]:
            for i, row in enumerate(record["areas"]):
                square_metres = "" if row["m2"] is None else f"{row['m2']:.9g}"
                cells = (row["name"], row["pixels"], f"{row['share']:.6f}", square_metres)
                writer.writerow([cube, i, *cells])
    (folder / AREAS_FILE).write_text(json.dumps(area_record, indent=1) + "\n")
