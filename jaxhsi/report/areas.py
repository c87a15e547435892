"""Areas of clusters or groups: pixels, shares and square metres, for each cube and over all."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from jaxhsi.label_counts import LabelCounts, pixel_shares
from jaxhsi.report.csv_files import write_rows
from jaxhsi.report.json_files import write_json

AREAS_FILE = "areas.json"
TOTAL_ROW = "all cubes"

AREA_UNITS = (("mm2", 1e-6, 1e-3), ("cm2", 1e-4, 1.0), ("m2", 1.0, 1e4), ("ha", 1e4, 1e8))
"""Units for the screen: name, square metres, and the total area in square metres below which it
fits: up to 1000 mm2, 10,000 cm2, 10,000 m2 and 10,000 ha; km2 above."""
LARGEST_UNIT = ("km2", 1e6)


def measure_areas(
    label_counts: Mapping[str, LabelCounts],
    pixel_areas: Mapping[str, float | None],
    cluster_names: Sequence[str],
    share_of: Sequence[str] = (),
) -> dict[str, Any]:
    """Areas of the clusters in each cube and over all cubes, as ``areas.json`` holds them.

    Args:
        label_counts: counts of each cube.
        pixel_areas: area of a pixel of each cube in m2; None where its size is not known.
        cluster_names: names of the clusters.
        share_of: names of clusters whose shares of each other are given too.

    Returns:
        ``names``, ``share_of``, and for each cube and in total ``pixel_area_m2`` (not in total),
        ``invalid_pixels``, and ``areas``, a list of name, pixels, share of the valid pixels, share
        of the pixels of the clusters in ``share_of`` or None, and m2 or None. In total m2 is None
        unless it is known for every cube.
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
        rows = _area_rows(label_counts[name], cluster_names, square_metres, share_of)
        cubes[name] = {"pixel_area_m2": area} | rows
    total = _area_rows(total_counts, cluster_names, total_metres, share_of)
    names = {"names": list(cluster_names), "share_of": list(share_of)}
    return names | {"cubes": cubes, "total": total}


def _area_rows(
    label_counts: LabelCounts,
    cluster_names: Sequence[str],
    square_metres: np.ndarray | None,
    share_of: Sequence[str],
) -> dict[str, Any]:
    """The part of the record that a cube and the total have in common."""
    shares = pixel_shares(label_counts.cluster_pixels)
    is_chosen = np.isin(list(cluster_names), list(share_of))
    chosen_shares = pixel_shares(np.where(is_chosen, label_counts.cluster_pixels, 0))
    rows = [
        {
            "name": name,
            "pixels": int(label_counts.cluster_pixels[i]),
            "share": float(shares[i]),
            "share_of_chosen": float(chosen_shares[i]) if is_chosen[i] else None,
            "m2": None if square_metres is None else float(square_metres[i]),
        }
        for i, name in enumerate(cluster_names)
    ]
    return {"invalid_pixels": label_counts.invalid_pixels, "areas": rows}


def area_unit(square_metres: Sequence[float]) -> tuple[str, float]:
    """The unit in which areas are easiest to read, and its square metres.

    Args:
        square_metres: areas, of which the largest decides.

    >>> area_unit([2e-5, 3e-6]), area_unit([0.04]), area_unit([25_000.0])
    (('mm2', 1e-06), ('cm2', 0.0001), ('ha', 10000.0))
    """
    largest = max(square_metres, default=0.0)
    for name, unit, limit in AREA_UNITS:
        if largest < limit:
            return name, unit
    return LARGEST_UNIT


def write_areas(folder: Path, area_record: dict[str, Any], kind: str = "cluster") -> None:
    """Write ``areas.csv`` and then ``areas.json``.

    The JSON file comes last: a folder that holds it holds a complete prediction.

    Args:
        folder: where to write.
        area_record: from :func:`measure_areas`.
        kind: what the areas are of, "cluster" or "group".
    """
    has_chosen = bool(area_record["share_of"])
    header = ["cube", kind, "name", "pixels", "share", "m2"]
    header += [f"share of {', '.join(area_record['share_of'])}"] if has_chosen else []
    rows: list[list[Any]] = [header]
    for cube, record in [*area_record["cubes"].items(), (TOTAL_ROW, area_record["total"])]:
        for i, row in enumerate(record["areas"]):
            square_metres = "" if row["m2"] is None else f"{row['m2']:.9g}"
            cells = [row["name"], row["pixels"], f"{row['share']:.6f}", square_metres]
            if has_chosen:
                chosen = row["share_of_chosen"]
                cells.append("" if chosen is None else f"{chosen:.6f}")
            rows.append([cube, i, *cells])
    write_rows(folder / "areas.csv", rows)
    write_json(folder / AREAS_FILE, area_record)
