"""Clusters of a run put into groups by a person: by a cut, by name, or by a few labelled pixels."""

import difflib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from rich.console import Console

from jaxhsi.cluster_groups import Grouping, make_grouping
from jaxhsi.config.group import GroupConfig
from jaxhsi.config.predict import read_grouping, write_grouping
from jaxhsi.data.cube import Cube
from jaxhsi.data.labels.clicks import Click, read_clicks
from jaxhsi.dgc.merge_tree import Tree, majority_label
from jaxhsi.report.merge_tree import format_tree
from jaxhsi.report.tables import group_table, print_lines, vote_table
from jaxhsi.training.run_folder import GROUPS
from jaxhsi.workflows.evaluate_run import (
    LabelMaps,
    count_label_map,
    open_label_maps,
    open_maps_truth,
)
from jaxhsi.workflows.merge_tree_files import ClusterTree, cut_to_grouping, read_cluster_tree


class ClassVotes(NamedTuple):
    """What labelled pixels say of the clusters.

    Attributes:
        vote_counts: labelled pixels of each class in each cluster.
        class_names: of the classes.
        invalid_votes: labelled pixels that are in no cluster, since they are not valid.
    """

    vote_counts: Int[np.ndarray, "k c"]
    class_names: tuple[str, ...]
    invalid_votes: int


def group_clusters(config: GroupConfig, *, overwrite: bool = False) -> Grouping | None:
    """Show the tree of a run, and save the groups that were asked for.

    Returns:
        The groups saved with the run, None if there are none.

    Raises:
        FileExistsError: groups are saved already.
        FileNotFoundError, ValueError: a run, labels or groups that cannot be used. Raised before
            anything is written.
    """
    console, found = Console(), read_cluster_tree(config.run)
    path, clusters = config.run / GROUPS, found.tree.clusters
    if config.given_options and path.is_file() and not overwrite:
        raise FileExistsError(
            f"{path} holds groups already; --overwrite replaces them (look at them first: "
            f"python -m jaxhsi.group {config.run})"
        )
    console.print(format_tree(found.tree, found.pixel_shares, found.cluster_names))
    suggested = [f"{each.groups}: {each.reason}" for each in found.suggested_cuts]
    print_lines(console, "numbers of groups to look at, none of them applied:", suggested)
    merge = _asked_for(config, found, console)
    if merge is not None:
        write_grouping(merge, path, f"made by {_said(config)}")
    elif path.is_file():
        merge = read_grouping(str(path), clusters)
    else:
        print("no groups are saved; --cut, --groups, --labels or --points makes some")
        return None
    console.print(group_table(merge, found.pixel_shares))
    console.print(f"groups are in {path}; predict and evaluate use them", soft_wrap=True)
    return merge


def _said(config: GroupConfig) -> str:
    """The option that asked for the groups, as it was given."""
    (option,) = config.given_options
    return f"{option} {getattr(config, option.removeprefix('--'))}"


def _asked_for(config: GroupConfig, found: ClusterTree, console: Console) -> Grouping | None:
    if config.cut is not None:
        return cut_to_grouping(found.tree, config.cut)
    if config.groups is not None:
        return read_grouping(config.groups, found.tree.clusters)
    if config.labels is None and config.points is None:
        return None
    maps = open_label_maps(config.run, use_saved_groups=False)
    votes = _labelled(config, maps) if config.points is None else _clicked(config.points, maps)
    return _named(votes, found, console)


# Votes --------------------------------------------------------------------------------------------


def _labelled(config: GroupConfig, maps: LabelMaps) -> ClassVotes:
    """Votes of label files."""
    truth, classes = open_maps_truth(config, maps, shapes_only=True)
    clusters, lost = len(maps.label_names), 0
    counts = np.zeros((clusters, len(classes)), np.int64)
    for cube in maps.map_cubes:
        if (true := truth(cube)) is None:
            continue
        whole = slice(None)
        seen = int((true.read(whole, whole) >= 0).sum())
        counted = count_label_map(cube, true, clusters, len(classes)).confusion_matrix
        counts, lost = counts + counted, lost + seen - int(counted.sum())
    return ClassVotes(counts, classes, lost)


def _clicked(path: Path, maps: LabelMaps) -> ClassVotes:
    """Votes of a file of clicks."""
    clicks, cubes = read_clicks(path), {cube.name: cube for cube in maps.map_cubes}
    names = tuple(dict.fromkeys(click.name for click in clicks))
    counts, lost = np.zeros((len(maps.label_names), len(names)), np.int64), 0
    for click in clicks:
        label = _label_at(click, cubes)
        if label < 0:
            lost += 1
        else:
            counts[label, names.index(click.name)] += 1
    return ClassVotes(counts, names, lost)


def _label_at(click: Click, cubes: dict[str, Cube]) -> int:
    if click.cube not in cubes:
        near = difflib.get_close_matches(click.cube, cubes, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(
            f"{click.where}: the run has labelled no cube {click.cube!r}; {hint}"
            f"It has labelled: {', '.join(cubes)}"
        )
    cube = cubes[click.cube]
    if click.row >= cube.shape[0] or click.column >= cube.shape[1]:
        raise ValueError(
            f"{click.where}: row {click.row}, column {click.column} is outside {click.cube}, which "
            f"has {cube.shape[0]} rows and {cube.shape[1]} columns, counted from 0"
        )
    return int(cube.array[click.row, click.column, 0].read().result())


def _named(votes: ClassVotes, found: ClusterTree, console: Console) -> Grouping:
    """Groups by the classes of their clusters; says how each came by its name."""
    owner, deciding = majority_label(found.tree, votes.vote_counts)
    chosen = [
        (votes.class_names[owner[k]], _why(k, int(deciding[k]), votes, found.tree))
        for k in range(found.tree.clusters)
    ]
    console.print(
        vote_table(
            found.cluster_names, found.pixel_shares, votes.vote_counts, votes.class_names, chosen
        )
    )
    voted = int(votes.vote_counts.any(1).sum())
    told = [f"{votes.vote_counts.sum():,} labelled pixels in {voted} of {len(owner)} clusters"]
    if borrowed := int((deciding != np.arange(len(owner))).sum()):
        told.append(
            f"{borrowed} cluster(s) without any, or with a tie, are named like their nearest "
            "relatives in the tree"
        )
    if votes.invalid_votes:
        told.append(f"{votes.invalid_votes:,} labelled pixels are not valid and count for nothing")
    if unused := [name for c, name in enumerate(votes.class_names) if c not in owner]:
        told.append(
            f"no cluster is called {', '.join(unused)}: others have more pixels in each of theirs; "
            "train with more clusters, or name them by --groups"
        )
    print_lines(console, "names by the most labelled pixels:", told)
    groups = {
        name: np.flatnonzero(owner == c).tolist()
        for c, name in enumerate(votes.class_names)
        if c in owner
    }
    return make_grouping(groups, found.tree.clusters)


def _why(cluster: int, node: int, votes: ClassVotes, tree: Tree) -> str:
    """What decided: the cluster's own pixels, or those of which relatives, and how far they are."""
    if node == cluster:
        return "its pixels"
    others = [str(k) for k in tree.members()[node] if k != cluster and votes.vote_counts[k].any()]
    tie = "a tie, then " if votes.vote_counts[cluster].any() else ""
    distance = tree.heights[node - tree.clusters]
    return f"{tie}{', '.join(others)} at distance {distance:.2f}"
