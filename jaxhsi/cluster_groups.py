"""Clusters put together into named groups."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer

GROUP_PATTERN = re.compile(
    r"\s*([^=,;\s](?:[^=,;]*[^=,;\s])?)\s*=\s*(\d+(?:\s*,\s*\d+)*)\s*(?:;|(?=\s)|$)"
)


class Grouping(NamedTuple):
    """A group for every cluster.

    Attributes:
        group_indices: number of the group of each cluster, 0..g-1.
        group_names: of the groups.
    """

    group_indices: Int[np.ndarray, " k"]
    group_names: tuple[str, ...]

    def apply(self, labels: Integer[np.ndarray, "..."]) -> Integer[np.ndarray, "..."]:
        """Groups in place of clusters, in the type of the labels; -1 stays."""
        table = np.append(self.group_indices, -1).astype(labels.dtype)  # -1 is its last entry
        return table[labels]

    def members_by_name(self) -> dict[str, list[int]]:
        """Name of each group -> its clusters, from which `make_grouping` makes the same merge."""
        return {
            name: np.flatnonzero(self.group_indices == group).tolist()
            for group, name in enumerate(self.group_names)
        }


def parse_groups(text: str) -> dict[str, list[int]]:
    """Groups from text such as "background=0,3 healthy leaf=1,2"; `;` may part them too.

    Raises:
        ValueError: it is not of this form, or gives a name twice.
    """
    clusters_by_name: dict[str, list[int]] = {}
    position = 0
    while position < len(text.rstrip()):
        match = GROUP_PATTERN.match(text, position)
        if match is None:
            raise ValueError(
                f"{text[position:].strip()!r} is not of the form name=number,number as in "
                '"background=0,3 tissue=1,2"'
            )
        name, position = match[1], match.end()
        if name in clusters_by_name:
            raise ValueError(f"{name!r} is given twice in {text!r}; name its numbers together")
        clusters_by_name[name] = [int(number) for number in match[2].split(",")]
    return clusters_by_name


def make_grouping(clusters_by_name: Mapping[str, Sequence[int]], num_clusters: int) -> Grouping:
    """The merge of groups by their names; each cluster that no group names is a group of its own.

    The named groups come first, in their order; the others follow as "cluster k", by number.

    Args:
        clusters_by_name: name -> clusters.
        num_clusters: number of clusters k.

    Raises:
        ValueError: a cluster that there is not, one in two groups, or a group without any.
    """
    group_of_cluster: dict[int, str] = {}
    for name, members in clusters_by_name.items():
        if not members:
            raise ValueError(f"group {name!r} has no clusters; name some, or leave it out")
        for cluster in members:
            if not 0 <= cluster < num_clusters:
                raise ValueError(
                    f"group {name!r} names cluster {cluster}; there are 0 to {num_clusters - 1}"
                )
            if cluster in group_of_cluster:
                raise ValueError(
                    f"cluster {cluster} is named twice, in {group_of_cluster[cluster]!r} and in {name!r}; "
                    "a cluster belongs to one group"
                )
            group_of_cluster[cluster] = name
    ungrouped_names = {
        k: default_cluster_name(k) for k in range(num_clusters) if k not in group_of_cluster
    }
    if twice := set(clusters_by_name) & set(ungrouped_names.values()):
        raise ValueError(
            f"group {min(twice)!r} has the name of a cluster that is not in it; give it another"
        )
    group_names = (*clusters_by_name, *ungrouped_names.values())
    group_number = {name: i for i, name in enumerate(group_names)}
    group_of_cluster |= ungrouped_names
    return Grouping(
        np.array([group_number[group_of_cluster[k]] for k in range(num_clusters)], np.int64),
        group_names,
    )


def default_cluster_name(cluster_index: int) -> str:
    """What a cluster is called that nobody has named."""
    return f"cluster {cluster_index}"


def match_group_names(
    group_names: Sequence[str], class_names: Sequence[str]
) -> Int[np.ndarray, " k"]:
    """Class of the same name for each group, whatever the case; -1 where there is none."""
    class_index = {name.casefold(): i for i, name in enumerate(class_names)}
    return np.array([class_index.get(name.casefold(), -1) for name in group_names], np.int64)
