"""Clusters put together into named groups."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer

from jaxhsi.plain_text import plain_name

GROUP_PATTERN = re.compile(
    r"\s*([^=,;\s](?:[^=,;]*[^=,;\s])?)\s*=\s*(\d+(?:\s*,\s*\d+)*)\s*(?:;|(?=\s)|$)"
)
"""One group in text, such as "healthy leaf=1,2": its name and its numbers."""


class Grouping(NamedTuple):
    """A group for every cluster.

    Attributes:
        group_indices: index of the group of each cluster, 0..g-1.
        group_names: names of the groups.
    """

    group_indices: Int[np.ndarray, " k"]
    group_names: tuple[str, ...]

    def apply(self, labels: Integer[np.ndarray, "..."]) -> Integer[np.ndarray, "..."]:
        """Replace clusters by their groups; the data type and the label -1 (not valid) stay.

        Args:
            labels: cluster of each pixel, or -1.

        >>> make_grouping({"leaf": [0, 2]}, 3).apply(np.array([0, 1, 2, -1])).tolist()
        [0, 1, 0, -1]
        """
        # Index -1 takes the last entry of the table, which is therefore -1 itself.
        lookup_table = np.append(self.group_indices, -1).astype(labels.dtype)
        return lookup_table[labels]

    def members_by_name(self) -> dict[str, list[int]]:
        """Name of each group -> its clusters; `make_grouping` makes the same grouping of it."""
        return {
            name: np.flatnonzero(self.group_indices == group).tolist()
            for group, name in enumerate(self.group_names)
        }


def parse_groups(text: str) -> dict[str, list[int]]:
    """Groups from text such as "background=0,3 healthy leaf=1,2"; `;` may separate them too.

    Args:
        text: groups, each as name=number,number.

    Returns:
        Name of each group -> its numbers.

    Raises:
        ValueError: the text is not of this form, or gives a name twice.

    >>> parse_groups("background=0,3 healthy leaf=1,2")
    {'background': [0, 3], 'healthy leaf': [1, 2]}
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
    """A grouping from the clusters of each group; clusters without a group are groups themselves.

    The named groups come first, in their order; the others follow as "cluster k", by number.

    Args:
        clusters_by_name: name of each group -> its clusters.
        num_clusters: number of clusters k.

    Raises:
        ValueError: a cluster that does not exist or is in two groups, or an empty group.

    >>> make_grouping({"leaf": [0, 2]}, 3)
    Grouping(group_indices=array([0, 1, 0]), group_names=('leaf', 'cluster 1'))
    """
    named_clusters = {plain_name(name): each for name, each in clusters_by_name.items()}
    if len(named_clusters) < len(clusters_by_name):
        raise ValueError(f"two groups have one name on the screen: {list(clusters_by_name)}")
    clusters_by_name = named_clusters
    group_of_cluster = _check_groups(clusters_by_name, num_clusters)
    ungrouped_names = {
        k: default_cluster_name(k) for k in range(num_clusters) if k not in group_of_cluster
    }
    if ambiguous_names := set(clusters_by_name) & set(ungrouped_names.values()):
        raise ValueError(
            f"group {min(ambiguous_names)!r} has the name of a cluster that is not in it; give it "
            "another"
        )
    group_names = (*clusters_by_name, *ungrouped_names.values())
    group_number = {name: i for i, name in enumerate(group_names)}
    group_of_cluster |= ungrouped_names
    group_indices = [group_number[group_of_cluster[k]] for k in range(num_clusters)]
    return Grouping(np.array(group_indices, np.int64), group_names)


def _check_groups(
    clusters_by_name: Mapping[str, Sequence[int]], num_clusters: int
) -> dict[int, str]:
    """Name of the group of each cluster that has one.

    Raises:
        ValueError: see :func:`make_grouping`.
    """
    group_of_cluster: dict[int, str] = {}
    for name, members in clusters_by_name.items():
        if not members:
            raise ValueError(f"group {name!r} has no clusters; name some, or leave it out")
        for cluster_index in members:
            if not 0 <= cluster_index < num_clusters:
                raise ValueError(
                    f"group {name!r} names cluster {cluster_index}; there are 0 to "
                    f"{num_clusters - 1}"
                )
            if cluster_index in group_of_cluster:
                raise ValueError(
                    f"cluster {cluster_index} is named twice, in "
                    f"{group_of_cluster[cluster_index]!r} and in {name!r}; "
                    "a cluster belongs to one group"
                )
            group_of_cluster[cluster_index] = name
    return group_of_cluster


def default_cluster_name(cluster_index: int) -> str:
    """Name of a cluster that the user has not named.

    Args:
        cluster_index: number of the cluster, from 0.

    >>> default_cluster_name(3)
    'cluster 3'
    """
    return f"cluster {cluster_index}"


def match_group_names(
    group_names: Sequence[str], class_names: Sequence[str]
) -> Int[np.ndarray, " k"]:
    """Index of the class with the same name as each group, ignoring case; -1 where there is none.

    Args:
        group_names: names of the groups.
        class_names: names of the classes.

    >>> match_group_names(["Leaf", "sky"], ["soil", "leaf"]).tolist()
    [1, -1]
    """
    class_index = {name.casefold(): i for i, name in enumerate(class_names)}
    return np.array([class_index.get(name.casefold(), -1) for name in group_names], np.int64)
