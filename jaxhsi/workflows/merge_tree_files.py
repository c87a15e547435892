"""The merge tree of a run: grown from its state, kept in its folder, cut into named groups."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from jaxhsi import metrics
from jaxhsi.cluster_groups import Grouping, default_cluster_name, make_grouping
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.predict import read_grouping
from jaxhsi.dgc import gaussian_mixture as mixtures
from jaxhsi.dgc.algorithm import State
from jaxhsi.dgc.merge_tree import Relations, Tree, cut, merge_tree
from jaxhsi.dgc.pca_embedding import embed
from jaxhsi.dgc.stability import Suggestion, stability, suggest
from jaxhsi.report.areas import pixel_shares
from jaxhsi.training.run_folder import GROUPS, TREE

CUT_SCORES = ("mean_iou", "per_class_iou", "oa", "nmi")  # of the scores of a cut


class ClusterTree(NamedTuple):
    """What ``tree.json`` holds.

    Attributes:
        tree: over the clusters.
        pixel_shares: of the pixels that were labelled.
        cluster_names: of the clusters, with the class that most of their pixels have where it is known.
        cut_stability: for each number of groups from 1 on, how far two halves of the data agree, see
            :func:`jaxhsi.dgc.stability.stability`; None where that was not measured.
        suggested_cuts: cuts worth looking at.
    """

    tree: Tree
    pixel_shares: Float[np.ndarray, " k"]
    cluster_names: tuple[str, ...]
    cut_stability: Float[np.ndarray, " k"] | None
    suggested_cuts: tuple[Suggestion, ...]


def embed_sample(
    config: DGCConfig, initial_state: Any, spectra: Float[Array, "n c"]
) -> Float[Array, "n d"] | None:
    """A sample in the closed-form embedding of a run; None for a method that has none."""
    if not isinstance(initial_state, State):
        return None
    # As `teacher_student` calls it in `init`: compiled already.
    compiled = jax.jit(embed, static_argnums=1)
    return compiled(initial_state.stem, config.teacher_student.normalisations, spectra)


def build_cluster_tree(
    config: DGCConfig,
    trained_state: Any,
    sample_embedding: Float[Array, "n d"] | None,
    cluster_pixels: Integer[np.ndarray, " k"],
    majority_classes: Integer[np.ndarray, " k"] | None = None,
    class_names: tuple[str, ...] = (),
) -> ClusterTree:
    """The tree of a trained state, and how far its cuts can be trusted.

    Of upstream's method, which has neither noise deviations nor relations, the tree knows the
    distances of the centroids alone, and nothing is suggested.

    Args:
        config: of the run.
        trained_state: trained, on the host.
        sample_embedding: what :func:`embed_sample` gave.
        cluster_pixels: labelled as each cluster.
        majority_classes: majority class of each cluster, -1 where there is none; None where unknown.
        class_names: theirs.
    """
    shares, scores, suggestions = pixel_shares(cluster_pixels), None, ()
    if isinstance(trained_state, State):
        centres = np.asarray(mixtures.geometry(trained_state.mixture).centres)
        tree = merge_tree(centres, trained_state.relations)
    else:
        apart = Relations(shares, np.outer(shares, shares), np.diag(shares))
        tree = merge_tree(np.asarray(trained_state.params["centroids"]), apart)
    if sample_embedding is not None and len(sample_embedding) >= 2 * tree.clusters > 4:
        key = jax.random.key(config.seed)
        mixture = jax.tree.map(jnp.asarray, trained_state.mixture)
        scores = stability(
            key, sample_embedding, mixture, jnp.asarray(trained_state.relations.touch)
        ).mean(0)
        suggestions = suggest(tree, scores)
    majority = [-1] * tree.clusters if majority_classes is None else majority_classes.tolist()
    names = tuple(
        f"{default_cluster_name(k)} {class_names[c]}" if c >= 0 else default_cluster_name(k)
        for k, c in enumerate(majority)
    )
    return ClusterTree(tree, shares, names, scores, suggestions)


def score_cuts(tree: Tree, confusion: Integer[np.ndarray, "k c"]) -> dict[str, dict[str, Any]]:
    """Scores of every cut, by its number of groups; see `metrics.scores`."""
    found = {}
    for k in range(1, tree.clusters + 1):
        counts = np.zeros((k, confusion.shape[1]), np.int64)
        np.add.at(counts, cut(tree, k), confusion)
        scores = metrics.scores(counts)
        found[str(k)] = {name: scores[name] for name in CUT_SCORES}
    return found


def cut_to_grouping(tree: Tree, num_groups: int) -> Grouping:
    """The groups of a cut, as "group 0", "group 1", ...; a cluster by itself keeps its name."""
    groups = cut(tree, num_groups)
    members = [np.flatnonzero(groups == group).tolist() for group in range(num_groups)]
    named = {
        default_cluster_name(each[0]) if len(each) == 1 else f"group {i}": each
        for i, each in enumerate(members)
    }
    return make_grouping(named, tree.clusters)


# Files --------------------------------------------------------------------------------------------


def write_cluster_tree(folder: Path, cluster_tree: ClusterTree) -> None:
    """Write ``tree.json``."""
    content = {
        "clusters": cluster_tree.tree.clusters,
        "pairs": cluster_tree.tree.pairs.tolist(),
        "heights": cluster_tree.tree.heights.tolist(),
        "shares": cluster_tree.pixel_shares.tolist(),
        "names": list(cluster_tree.cluster_names),
        "cuts": {
            str(k): {
                "groups": cut(cluster_tree.tree, k).tolist(),
                "stability": None
                if cluster_tree.cut_stability is None
                else float(cluster_tree.cut_stability[k - 1]),
            }
            for k in range(1, cluster_tree.tree.clusters + 1)
        },
        "suggested": [each._asdict() for each in cluster_tree.suggested_cuts],
    }
    (folder / TREE).write_text(json.dumps(content, indent=1) + "\n")


def read_cluster_tree(folder: Path) -> ClusterTree:
    """Read what :func:`write_cluster_tree` wrote.

    Raises:
        FileNotFoundError: the run has no tree.
    """
    path = folder / TREE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} has no {TREE}, the tree of its clusters: it is no run of dgc, has not come "
            f"to its end, or was made by an earlier version; python -m jaxhsi.train dgc --out "
            f"{folder} --resume writes it"
        )
    content = json.loads(path.read_text())
    pairs = np.array(content["pairs"], np.int64).reshape(-1, 2)
    scores = [each["stability"] for each in content["cuts"].values()]
    return ClusterTree(
        Tree(pairs, np.array(content["heights"], np.float64)),
        np.array(content["shares"], np.float64),
        tuple(content["names"]),
        None if None in scores else np.array(scores, np.float64),
        tuple(Suggestion(**each) for each in content["suggested"]),
    )


def choose_grouping(
    folder: Path,
    num_clusters: int,
    *,
    groups: str | None = None,
    cut_groups: int | None = None,
    ignore_groups: bool = False,
) -> tuple[Grouping, str] | None:
    """The groups to use of a run's clusters, and where they are from; None for the clusters.

    What is asked for counts; else what was saved with the run (``groups.yaml``).

    Args:
        folder: of the run.
        num_clusters: number of clusters.
        groups: groups as text or a YAML file, see :func:`jaxhsi.config.predict.read_grouping`.
        cut_groups: groups of the tree.
        ignore_groups: the clusters themselves, whatever was saved.

    Raises:
        FileNotFoundError, ValueError: more than one of these, or groups that cannot be.
    """
    asked = {
        "--groups": groups is not None,
        "--cut": cut_groups is not None,
        "--ignore_groups": ignore_groups,
    }
    if sum(asked.values()) > 1:
        given = " and ".join(option for option, there in asked.items() if there)
        raise ValueError(f"{given} name different groups; give one of them")
    if ignore_groups:
        return None
    if groups is not None:
        return read_grouping(groups, num_clusters), "--groups"
    if cut_groups is not None:
        return cut_to_grouping(read_cluster_tree(folder).tree, cut_groups), f"--cut {cut_groups}"
    if (folder / GROUPS).is_file():
        return read_grouping(str(folder / GROUPS), num_clusters), str(folder / GROUPS)
    return None
