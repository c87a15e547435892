"""The merge tree in the folder of a run, and the groups of clusters that a user chose."""

import hashlib
import json
from pathlib import Path

import numpy as np

from jaxhsi.cluster_groups import Grouping
from jaxhsi.config.grouping_files import read_grouping
from jaxhsi.dgc.cluster_tree import ClusterTree, cut_to_grouping
from jaxhsi.dgc.merge_tree import MergeTree, cut_tree
from jaxhsi.dgc.stability import CutSuggestion
from jaxhsi.storage.checksums import write_checked_json
from jaxhsi.training.run_files import read_run_json
from jaxhsi.training.run_folder import GROUPS_FILE, TREE_FILE


def write_cluster_tree(folder: Path, cluster_tree: ClusterTree) -> None:
    """Write ``tree.json`` into the folder of a run.

    Args:
        folder: of the run.
        cluster_tree: to write; every cut of it is written as the group of each cluster.
    """
    tree, cut_stability = cluster_tree.tree, cluster_tree.cut_stability
    cuts = {
        str(num_groups): {
            "groups": cut_tree(tree, num_groups).tolist(),
            "stability": None if cut_stability is None else float(cut_stability[num_groups - 1]),
        }
        for num_groups in range(1, tree.num_clusters + 1)
    }
    content = {
        "clusters": tree.num_clusters,
        "pairs": tree.merged_nodes.tolist(),
        "heights": tree.heights.tolist(),
        "shares": cluster_tree.pixel_shares.tolist(),
        "names": list(cluster_tree.cluster_names),
        "cuts": cuts,
        "suggested": [suggestion._asdict() for suggestion in cluster_tree.suggested_cuts],
    }
    write_checked_json(folder / TREE_FILE, content)


def tree_identifier(tree: MergeTree) -> str:
    """Twelve characters that differ from run to run, by which files of groups name their tree.

    >>> tree_identifier(MergeTree(np.array([[0, 1]]), np.array([1.0])))
    '38881e3da0ec'
    """
    content = json.dumps([tree.merged_nodes.tolist(), tree.heights.tolist()])
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def read_cluster_tree(folder: Path) -> ClusterTree:
    """Read what :func:`write_cluster_tree` wrote.

    Args:
        folder: of the run.

    Raises:
        FileNotFoundError: the run has no tree.
        ValueError: the file is damaged.
    """
    path = folder / TREE_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} has no {TREE_FILE}, the tree of its clusters: it is no run of dgc, has not "
            f"come to its end, or was made by an earlier version; jaxhsi train dgc --out "
            f"{folder} --resume writes it"
        )
    content = read_run_json(path)
    merged_pairs = np.array(content["pairs"], np.int64).reshape(-1, 2)
    cut_stability = [each["stability"] for each in content["cuts"].values()]
    return ClusterTree(
        tree=MergeTree(merged_pairs, np.array(content["heights"], np.float64)),
        pixel_shares=np.array(content["shares"], np.float64),
        cluster_names=tuple(content["names"]),
        cut_stability=None if None in cut_stability else np.array(cut_stability, np.float64),
        suggested_cuts=tuple(CutSuggestion(**each) for each in content["suggested"]),
    )


def choose_grouping(
    folder: Path,
    num_clusters: int,
    *,
    groups: str | None = None,
    cut_groups: int | None = None,
    ignore_groups: bool = False,
) -> tuple[Grouping, str] | None:
    """The groups to use for the clusters of a run, and where they come from.

    The options have priority over the groups that are saved with the run (``groups.yaml``).

    Args:
        folder: of the run.
        num_clusters: number of clusters.
        groups: groups as text or a YAML file, see
            :func:`jaxhsi.config.grouping_files.read_grouping`.
        cut_groups: number of groups to cut the tree into.
        ignore_groups: use the clusters themselves, whatever groups are saved.

    Returns:
        The grouping and its source (an option or a file), or None for the clusters themselves.

    Raises:
        FileNotFoundError, ValueError: more than one of the options, or groups that cannot be used.
    """
    given = {
        "--groups": groups is not None,
        "--cut": cut_groups is not None,
        "--ignore_groups": ignore_groups,
    }
    if sum(given.values()) > 1:
        given_options = " and ".join(option for option, is_given in given.items() if is_given)
        raise ValueError(f"{given_options} name different groups; give one of them")
    if ignore_groups:
        return None
    if groups is not None:
        has_tree = (folder / TREE_FILE).is_file()
        tree_id = tree_identifier(read_cluster_tree(folder).tree) if has_tree else None
        return read_grouping(groups, num_clusters, tree_id), "--groups"
    if cut_groups is not None:
        return cut_to_grouping(read_cluster_tree(folder).tree, cut_groups), f"--cut {cut_groups}"
    if (folder / GROUPS_FILE).is_file():
        return read_grouping(str(folder / GROUPS_FILE), num_clusters), str(folder / GROUPS_FILE)
    return None
