"""Clusters put together into named groups."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer

GROUP = re.compile(r"\s*([^=,;\s](?:[^=,;]*[^=,;\s])?)\s*=\s*(\d+(?:\s*,\s*\d+)*)\s*(?:;|(?=\s)|$)")


class Merge(NamedTuple):
    """A group for every cluster.

    Attributes:
        groups: number of the group of each cluster, 0..g-1.
        names: of the groups.
    """

    groups: Int[np.ndarray, " k"]
    names: tuple[str, ...]

    def apply(self, labels: Integer[np.ndarray, "..."]) -> Integer[np.ndarray, "..."]:
        """Groups in place of clusters, in the type of the labels; -1 stays."""
        table = np.append(self.groups, -1).astype(labels.dtype)  # -1 is its last entry
        return table[labels]

    def members(self) -> dict[str, list[int]]:
        """Name of each group -> its clusters, from which `merge_of` makes the same merge."""
        return {
            name: np.flatnonzero(self.groups == group).tolist()
            for group, name in enumerate(self.names)
        }


def parse_groups(text: str) -> dict[str, list[int]]:
    """Groups from text such as "background=0,3 healthy leaf=1,2"; `;` may part them too.

    Raises:
        ValueError: it is not of this form, or gives a name twice.
    """
    found: dict[str, list[int]] = {}
    at = 0
    while at < len(text.rstrip()):
        match = GROUP.match(text, at)
        if match is None:
            raise ValueError(
                f"{text[at:].strip()!r} is not of the form name=number,number as in "
                '"background=0,3 tissue=1,2"'
            )
        name, at = match[1], match.end()
        if name in found:
            raise ValueError(f"{name!r} is given twice in {text!r}; name its numbers together")
        found[name] = [int(number) for number in match[2].split(",")]
    return found


def merge_of(groups: Mapping[str, Sequence[int]], clusters: int) -> Merge:
    """The merge of groups by their names; each cluster that no group names is a group of its own.

    The named groups come first, in their order; the others follow as "cluster k", by number.

    Args:
        groups: name -> clusters.
        clusters: number of clusters k.

    Raises:
        ValueError: a cluster that there is not, one in two groups, or a group without any.
    """
    owner: dict[int, str] = {}
    for name, members in groups.items():
        if not members:
            raise ValueError(f"group {name!r} has no clusters; name some, or leave it out")
        for cluster in members:
            if not 0 <= cluster < clusters:
                raise ValueError(
                    f"group {name!r} names cluster {cluster}; there are 0 to {clusters - 1}"
                )
            if cluster in owner:
                raise ValueError(
                    f"cluster {cluster} is named twice, in {owner[cluster]!r} and in {name!r}; "
                    "a cluster belongs to one group"
                )
            owner[cluster] = name
    alone = {k: cluster_name(k) for k in range(clusters) if k not in owner}
    if twice := set(groups) & set(alone.values()):
        raise ValueError(
            f"group {min(twice)!r} has the name of a cluster that is not in it; give it another"
        )
    names = (*groups, *alone.values())
    number = {name: i for i, name in enumerate(names)}
    owner |= alone
    return Merge(np.array([number[owner[k]] for k in range(clusters)], np.int64), names)


def cluster_name(cluster: int) -> str:
    """What a cluster is called that nobody has named."""
    return f"cluster {cluster}"


def matched_names(names: Sequence[str], classes: Sequence[str]) -> Int[np.ndarray, " k"]:
    """Class of the same name for each group, whatever the case; -1 where there is none."""
    known = {name.casefold(): i for i, name in enumerate(classes)}
    return np.array([known.get(name.casefold(), -1) for name in names], np.int64)
