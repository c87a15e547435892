"""Clusters of a run put into groups by the user: by a cut, by name, or by labelled pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from rich.console import Console

from jaxhsi.closest_name import closest_name
from jaxhsi.cluster_groups import Grouping, make_grouping
from jaxhsi.config.group import GroupConfig
from jaxhsi.config.grouping_files import read_grouping, write_grouping
from jaxhsi.data.cube import Cube
from jaxhsi.data.labels.clicks import Click, read_clicks
from jaxhsi.data.labels.label_search import find_labels
from jaxhsi.dgc.cluster_naming import UNNAMED, name_clusters
from jaxhsi.dgc.cluster_tree import ClusterTree, cut_to_grouping
from jaxhsi.dgc.merge_tree import MergeTree
from jaxhsi.report import dgc_sentences as sentences
from jaxhsi.report.dgc_tables import group_table, vote_table
from jaxhsi.report.label_spectra_files import (
    SPECTRA_ARRAYS,
    read_label_spectra,
    write_label_spectra,
)
from jaxhsi.report.merge_tree import format_tree
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.run_folder import GROUPS_FILE
from jaxhsi.workflows.evaluate_maps import (
    LabelMaps,
    count_label_map,
    open_label_maps,
    open_maps_truth,
)
from jaxhsi.workflows.merge_tree_files import read_cluster_tree, tree_identifier
from jaxhsi.workflows.shape_spectra import write_drawn_spectra

GROUP_SPECTRA_STEM = "group_spectra"
"""Stem of the files of the spectra of groups, in the folder of the run."""


class ClassVotes(NamedTuple):
    """Labelled pixels of each class, by the cluster that they lie in.

    Attributes:
        vote_counts: labelled pixels of each class in each cluster.
        class_names: names of the classes.
        invalid_votes: labelled pixels that are in no cluster, because they are not valid.
        cluster_pixels: pixels of each cluster in the labelled cubes; None where single pixels were
            clicked.
    """

    vote_counts: Int[np.ndarray, "k c"]
    class_names: tuple[str, ...]
    invalid_votes: int
    cluster_pixels: Int[np.ndarray, " k"] | None = None


def group_clusters(config: GroupConfig, *, overwrite: bool = False) -> dict[str, Any]:
    """Show the tree of a run, and save the groups that the options ask for.

    Args:
        config: the options.
        overwrite: replace the groups that are saved with the run.

    Returns:
        The clusters of each group that is saved with the run, None if there are none, and its
        file.

    Raises:
        FileExistsError: groups are saved already.
        BlockingIOError: another process writes into the folder of the run.
        FileNotFoundError, ValueError: a run, labels or groups that cannot be used. Raised before
            anything is written.
    """
    if not config.given_options:
        return _show_or_save(config, overwrite=overwrite)
    with locked_folder(config.run):
        return _show_or_save(config, overwrite=overwrite)


def _show_or_save(config: GroupConfig, *, overwrite: bool) -> dict[str, Any]:
    """`group_clusters`, in a folder that no other process writes into."""
    console, cluster_tree = PlainConsole(), read_cluster_tree(config.run)
    path, num_clusters = config.run / GROUPS_FILE, cluster_tree.tree.num_clusters
    if config.given_options and path.is_file() and not overwrite:
        raise FileExistsError(
            f"{path} holds groups already; --overwrite replaces them (look at them first: "
            f"jaxhsi group {config.run})"
        )
    console.print(
        format_tree(cluster_tree.tree, cluster_tree.pixel_shares, cluster_tree.cluster_names)
    )
    suggestion_lines = sentences.suggestion_lines(cluster_tree.suggested_cuts)
    sentences.print_lines(console, sentences.SUGGESTIONS_TITLE, suggestion_lines)
    grouping = _requested_grouping(config, cluster_tree, console)
    if grouping is not None:
        tree_line = f"tree: {tree_identifier(cluster_tree.tree)}"
        write_grouping(grouping, path, f"made by {_option_text(config)}\n{tree_line}")
        print_group_spectra(config.run, grouping, console)
    elif path.is_file():
        grouping = read_grouping(str(path), num_clusters)
    else:
        print(sentences.NO_GROUPS)
        return {"groups": None}
    console.print(group_table(grouping, cluster_tree.pixel_shares))
    console.print(sentences.describe_saved_groups(path), soft_wrap=True)
    return {"groups": grouping.members_by_name(), "file": str(path)}


def print_group_spectra(folder: Path, grouping: Grouping, console: Console) -> None:
    """Write the spectra of groups beside those of the clusters, and say where.

    Args:
        folder: of the run.
        grouping: of its clusters.
        console: to print on.
    """
    path = folder / SPECTRA_ARRAYS
    if not path.is_file():
        console.print(sentences.describe_missing_spectra(path), soft_wrap=True)
        return
    cluster_spectra, _, axis = read_label_spectra(path)
    num_groups = len(grouping.group_names)
    group_spectra = cluster_spectra.grouped(grouping.group_indices, num_groups)
    write_label_spectra(
        folder, group_spectra, grouping.group_names, axis, "group", GROUP_SPECTRA_STEM
    )
    console.print(
        sentences.describe_group_spectra(folder / f"{GROUP_SPECTRA_STEM}.csv"), soft_wrap=True
    )


def _option_text(config: GroupConfig) -> str:
    """The option that asked for the groups, as it was given."""
    (option,) = config.given_options
    return f"{option} {getattr(config, option.removeprefix('--'))}"


def _requested_grouping(
    config: GroupConfig, cluster_tree: ClusterTree, console: Console
) -> Grouping | None:
    """The groups that the options ask for; None if they ask for none."""
    if config.cut is not None:
        return cut_to_grouping(cluster_tree.tree, config.cut)
    if config.groups is not None:
        tree = cluster_tree.tree
        return read_grouping(config.groups, tree.num_clusters, tree_identifier(tree))
    if config.labels is None and config.points is None:
        return None
    label_maps = open_label_maps(config.run, use_saved_groups=False)
    if config.points is not None:
        class_votes = _votes_of_points(config.points, label_maps)
        return _grouping_by_votes(class_votes, cluster_tree, console)
    label_files = find_labels(config.labels, label_maps.map_cubes, config.label_key)
    class_votes = _votes_of_labels(config, label_maps, label_files)
    grouping = _grouping_by_votes(class_votes, cluster_tree, console)
    spectra_path = write_drawn_spectra(config.run, label_files, config.label_key)
    if spectra_path is not None:
        console.print(sentences.describe_shape_spectra(spectra_path), soft_wrap=True)
    return grouping


# Votes --------------------------------------------------------------------------------------------


def _votes_of_labels(
    config: GroupConfig, label_maps: LabelMaps, label_files: Mapping[str, Path]
) -> ClassVotes:
    """Votes of the pixels in label files."""
    ground_truth, class_names = open_maps_truth(config, label_maps, label_files)
    num_clusters, invalid_votes = len(label_maps.label_names), 0
    vote_counts = np.zeros((num_clusters, len(class_names)), np.int64)
    cluster_pixels = np.zeros(num_clusters, np.int64)
    for cube in label_maps.map_cubes:
        if (class_map := ground_truth(cube)) is None:
            continue
        num_labelled = int((class_map.read_labels(slice(None), slice(None)) >= 0).sum())
        label_counts = count_label_map(cube, class_map, num_clusters, len(class_names))
        vote_counts = vote_counts + label_counts.confusion_matrix
        cluster_pixels = cluster_pixels + label_counts.cluster_pixels
        invalid_votes += num_labelled - int(label_counts.confusion_matrix.sum())
    return ClassVotes(vote_counts, class_names, invalid_votes, cluster_pixels)


def _votes_of_points(points_path: Path, label_maps: LabelMaps) -> ClassVotes:
    """Votes of single pixels in a file of clicks."""
    clicks = read_clicks(points_path)
    cubes = {cube.name: cube for cube in label_maps.map_cubes}
    class_names = tuple(dict.fromkeys(click.name for click in clicks))
    vote_counts = np.zeros((len(label_maps.label_names), len(class_names)), np.int64)
    invalid_votes = 0
    for click in clicks:
        label = _label_at(click, cubes)
        if label < 0:
            invalid_votes += 1
        else:
            vote_counts[label, class_names.index(click.name)] += 1
    return ClassVotes(vote_counts, class_names, invalid_votes)


def _label_at(click: Click, cubes: dict[str, Cube]) -> int:
    """Label of the pixel of a click, -1 where it is not valid."""
    if click.cube not in cubes:
        similar_name = closest_name(click.cube, list(cubes))
        hint = f"did you mean {similar_name}? " if similar_name else ""
        raise ValueError(
            f"{click.file_line}: the run has labelled no cube {click.cube!r}; {hint}"
            f"It has labelled: {', '.join(cubes)}"
        )
    cube = cubes[click.cube]
    if click.row >= cube.shape[0] or click.column >= cube.shape[1]:
        raise ValueError(
            f"{click.file_line}: row {click.row}, column {click.column} is outside {click.cube}, "
            f"which has {cube.shape[0]} rows and {cube.shape[1]} columns, counted from 0"
        )
    return int(cube.array[click.row, click.column, 0].read().result())


def _grouping_by_votes(
    class_votes: ClassVotes, cluster_tree: ClusterTree, console: Console
) -> Grouping:
    """Groups by the classes of their clusters; prints how each cluster came by its name."""
    tree, vote_counts, class_names, _, cluster_pixels = cluster_tree.tree, *class_votes
    class_of_cluster, deciding_nodes = name_clusters(tree, vote_counts, cluster_pixels)
    decisions = [
        (
            class_names[class_of_cluster[k]] if class_of_cluster[k] >= 0 else UNNAMED,
            _reason(k, int(deciding_nodes[k]), class_votes, tree),
        )
        for k in range(tree.num_clusters)
    ]
    console.print(
        vote_table(
            cluster_tree.cluster_names,
            cluster_tree.pixel_shares,
            vote_counts,
            class_names,
            decisions,
        )
    )
    vote_lines = sentences.vote_lines(
        num_votes=int(vote_counts.sum()),
        num_voted=int(vote_counts.any(1).sum()),
        num_clusters=tree.num_clusters,
        num_inherited=int((deciding_nodes >= tree.num_clusters).sum()),
        num_unnamed=int((deciding_nodes < 0).sum()),
        num_invalid=class_votes.invalid_votes,
        unused_names=[name for c, name in enumerate(class_names) if c not in class_of_cluster],
    )
    sentences.print_lines(console, sentences.VOTES_TITLE, vote_lines)
    clusters_by_name = {
        name: np.flatnonzero(class_of_cluster == c).tolist()
        for c, name in enumerate(class_names)
        if c in class_of_cluster
    }
    if (class_of_cluster < 0).any():
        clusters_by_name[UNNAMED] = np.flatnonzero(class_of_cluster < 0).tolist()
    return make_grouping(clusters_by_name, tree.num_clusters)


def _reason(
    cluster_index: int, deciding_node: int, class_votes: ClassVotes, tree: MergeTree
) -> str:
    """What decided the class of a cluster: its own pixels, or those of its relatives."""
    vote_counts, cluster_pixels = class_votes.vote_counts, class_votes.cluster_pixels
    if deciding_node < 0:
        num_pixels = None if cluster_pixels is None else int(cluster_pixels[cluster_index])
        return sentences.describe_missing_evidence(vote_counts[cluster_index].tolist(), num_pixels)
    if deciding_node == cluster_index:
        return "its pixels"
    relatives = [
        k for k in tree.node_members()[deciding_node] if k != cluster_index and vote_counts[k].any()
    ]
    distance = float(tree.heights[deciding_node - tree.num_clusters])
    own_votes = vote_counts[cluster_index]
    is_tie = bool(own_votes.any() and 2 * own_votes.max() <= own_votes.sum())
    return sentences.describe_deciding_votes(relatives, distance, is_tie=is_tie)
