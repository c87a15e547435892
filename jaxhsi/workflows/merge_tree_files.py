"""The merge tree of a run: grown from its state, kept in its folder, cut into named groups."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from jaxhsi import metrics
from jaxhsi.cluster_groups import Merge, cluster_name, merge_of
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.predict import read_merge
from jaxhsi.dgc import gaussian_mixture as mixtures
from jaxhsi.dgc.algorithm import State
from jaxhsi.dgc.merge_tree import Relations, Tree, cut, merge_tree
from jaxhsi.dgc.pca_embedding import embed
from jaxhsi.dgc.stability import Suggestion, stability, suggest
from jaxhsi.report.areas import share
from jaxhsi.training.run_folder import GROUPS, TREE

KEPT = ("mean_iou", "per_class_iou", "oa", "nmi")  # of the scores of a cut


class Hierarchy(NamedTuple):
    """What ``tree.json`` holds.

    Attributes:
        tree: over the clusters.
        shares: of the pixels that were labelled.
        names: of the clusters, with the class that most of their pixels have where it is known.
        stability: for each number of groups from 1 on, how far two halves of the data agree, see
            :func:`jaxhsi.dgc.stability.stability`; None where that was not measured.
        suggestions: cuts worth looking at.
    """

    tree: Tree
    shares: Float[np.ndarray, " k"]
    names: tuple[str, ...]
    stability: Float[np.ndarray, " k"] | None
    suggestions: tuple[Suggestion, ...]


def embedded(
    config: DGCConfig, start: Any, spectra: Float[Array, "n c"]
) -> Float[Array, "n d"] | None:
    """A sample in the closed-form embedding of a run; None for a method that has none."""
    if not isinstance(start, State):
        return None
    # As `teacher_student` calls it in `init`: compiled already.
    compiled = jax.jit(embed, static_argnums=1)
    return compiled(start.stem, config.teacher_student.normalisations, spectra)


def grow(
    config: DGCConfig,
    state: Any,
    v: Float[Array, "n d"] | None,
    pixels: Integer[np.ndarray, " k"],
    classes: Integer[np.ndarray, " k"] | None = None,
    class_names: tuple[str, ...] = (),
) -> Hierarchy:
    """The tree of a trained state, and how far its cuts can be trusted.

    Of upstream's method, which has neither noise deviations nor relations, the tree knows the
    distances of the centroids alone, and nothing is suggested.

    Args:
        config: of the run.
        state: trained, on the host.
        v: what :func:`embedded` gave.
        pixels: labelled as each cluster.
        classes: majority class of each cluster, -1 where there is none; None where unknown.
        class_names: theirs.
    """
    shares, scores, suggestions = share(pixels), None, ()
    if isinstance(state, State):
        centres = np.asarray(mixtures.geometry(state.mixture).centres)
        tree = merge_tree(centres, state.relations)
    else:
        apart = Relations(shares, np.outer(shares, shares), np.diag(shares))
        tree = merge_tree(np.asarray(state.params["centroids"]), apart)
    if v is not None and len(v) >= 2 * tree.clusters > 4:
        key = jax.random.key(config.seed)
        mixture = jax.tree.map(jnp.asarray, state.mixture)
        scores = stability(key, v, mixture, jnp.asarray(state.relations.touch)).mean(0)
        suggestions = suggest(tree, scores)
    majority = [-1] * tree.clusters if classes is None else classes.tolist()
    names = tuple(
        f"{cluster_name(k)} {class_names[c]}" if c >= 0 else cluster_name(k)
        for k, c in enumerate(majority)
    )
    return Hierarchy(tree, shares, names, scores, suggestions)


def cut_scores(tree: Tree, confusion: Integer[np.ndarray, "k c"]) -> dict[str, dict[str, Any]]:
    """Scores of every cut, by its number of groups; see `metrics.scores`."""
    found = {}
    for k in range(1, tree.clusters + 1):
        counts = np.zeros((k, confusion.shape[1]), np.int64)
        np.add.at(counts, cut(tree, k), confusion)
        scores = metrics.scores(counts)
        found[str(k)] = {name: scores[name] for name in KEPT}
    return found


def cut_merge(tree: Tree, k: int) -> Merge:
    """The groups of a cut, as "group 0", "group 1", ...; a cluster by itself keeps its name."""
    groups = cut(tree, k)
    members = [np.flatnonzero(groups == group).tolist() for group in range(k)]
    named = {
        cluster_name(each[0]) if len(each) == 1 else f"group {i}": each
        for i, each in enumerate(members)
    }
    return merge_of(named, tree.clusters)


# Files --------------------------------------------------------------------------------------------


def write_hierarchy(folder: Path, found: Hierarchy) -> None:
    """Write ``tree.json``."""
    content = {
        "clusters": found.tree.clusters,
        "pairs": found.tree.pairs.tolist(),
        "heights": found.tree.heights.tolist(),
        "shares": found.shares.tolist(),
        "names": list(found.names),
        "cuts": {
            str(k): {
                "groups": cut(found.tree, k).tolist(),
                "stability": None if found.stability is None else float(found.stability[k - 1]),
            }
            for k in range(1, found.tree.clusters + 1)
        },
        "suggested": [each._asdict() for each in found.suggestions],
    }
    (folder / TREE).write_text(json.dumps(content, indent=1) + "\n")


def read_hierarchy(folder: Path) -> Hierarchy:
    """Read what :func:`write_hierarchy` wrote.

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
    return Hierarchy(
        Tree(pairs, np.array(content["heights"], np.float64)),
        np.array(content["shares"], np.float64),
        tuple(content["names"]),
        None if None in scores else np.array(scores, np.float64),
        tuple(Suggestion(**each) for each in content["suggested"]),
    )


def chosen_groups(
    folder: Path,
    clusters: int,
    *,
    merge: str | None = None,
    k: int | None = None,
    bare: bool = False,
) -> tuple[Merge, str] | None:
    """The groups to use of a run's clusters, and where they are from; None for the clusters.

    What is asked for counts; else what was saved with the run (``groups.yaml``).

    Args:
        folder: of the run.
        clusters: number of clusters.
        merge: groups as text or a YAML file, see :func:`jaxhsi.config.predict.read_merge`.
        k: groups of the tree.
        bare: the clusters themselves, whatever was saved.

    Raises:
        FileNotFoundError, ValueError: more than one of these, or groups that cannot be.
    """
    asked = {"--merge": merge is not None, "--cut": k is not None, "--bare": bare}
    if sum(asked.values()) > 1:
        given = " and ".join(option for option, there in asked.items() if there)
        raise ValueError(f"{given} name different groups; give one of them")
    if bare:
        return None
    if merge is not None:
        return read_merge(merge, clusters), "--merge"
    if k is not None:
        return cut_merge(read_hierarchy(folder).tree, k), f"--cut {k}"
    if (folder / GROUPS).is_file():
        return read_merge(str(folder / GROUPS), clusters), str(folder / GROUPS)
    return None
