"""Sentences for users of dgc runs: what the commands print between their tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxhsi.dgc.cluster_naming import MIN_CLASS_SHARE, MIN_CLUSTER_SHARE
from jaxhsi.dgc.stability import CutSuggestion
from jaxhsi.metrics import ACTIVE_SHARE

MAX_LISTED_CUBES = 6
"""Names of cubes in one line, so that a line stays readable; set by hand."""

SUGGESTIONS_TITLE = "numbers of groups to look at, none of them applied:"
PRESENCE_TITLE = "in some cubes alone:"
VOTES_TITLE = "names by labelled pixels:"
NO_GROUPS = "no groups are saved; --cut, --groups, --labels or --points makes some"


def print_lines(console: Console, title: str, lines: Sequence[str]) -> None:
    """Print a title and indented lines under it; nothing if there are no lines.

    Args:
        console: to print on.
        title: first line.
        lines: printed as they are, without the markup of rich.
    """
    for line in [title, *(f"  {line}" for line in lines)] if lines else []:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


# Training -----------------------------------------------------------------------------------------


def describe_inputs(num_cubes: int, shape: tuple[int, ...], num_devices: int) -> str:
    """What a run trains on.

    >>> describe_inputs(2, (64, 64, 12), 1)
    '2 cube(s) of (64, 64, 12), 1 device(s)'
    """
    return f"{num_cubes} cube(s) of {shape}, {num_devices} device(s)"


def describe_idle_devices(num_devices: int, batch_size: int) -> str | None:
    """That some devices have no view of a step, and what gives them one; None where all have.

    Args:
        num_devices: of the run.
        batch_size: windows of a step, of two views each.

    >>> describe_idle_devices(16, 4)
    'a step has 8 views for 16 devices: 8 are idle; --stream.batch_size 8 occupies all'
    >>> describe_idle_devices(8, 4)
    """
    num_views = 2 * batch_size
    if num_devices <= num_views:
        return None
    return (
        f"a step has {num_views} views for {num_devices} devices: {num_devices - num_views} are "
        f"idle; --stream.batch_size {-(-num_devices // 2)} occupies all"
    )


def describe_invalid_pixels(num_invalid: int, num_read: int) -> str:
    """How many of the sampled pixels are not valid, and what is done with them.

    >>> describe_invalid_pixels(1, 2304)[:41]
    '1 of 2,304 pixels read are not valid (NaN'
    """
    return (
        f"{num_invalid:,} of {num_read:,} pixels read are not valid (NaN, infinite or "
        "no data); they are left out of training, clusters and scores"
    )


def describe_kept_state(kept_step: int, num_steps: int) -> str:
    """Which state labels the cubes.

    >>> describe_kept_state(25, 300)
    'the state of step 25 of 300 is kept'
    """
    return f"the state of step {kept_step} of {num_steps} is kept"


def describe_results(folder: Path, num_active: int | None = None) -> str:
    """Where the results are, after the number of active clusters if it is given.

    >>> describe_results(Path("runs/dgc-1"), 12)
    '12 active clusters; results are in runs/dgc-1'
    """
    active = "" if num_active is None else f"{num_active} active clusters; "
    return f"{active}results are in {folder}"


def describe_prediction(folder: Path) -> str:
    """Where a prediction is, and how to look at it.

    >>> describe_prediction(Path("new"))
    'results are in new; jaxhsi report new makes one page of them'
    """
    return f"{describe_results(folder)}; jaxhsi report {folder} makes one page of them"


def suggestion_lines(suggested_cuts: Sequence[CutSuggestion]) -> list[str]:
    """A line for each suggested cut of the tree.

    >>> suggestion_lines([CutSuggestion(4, "the stable cut with the largest gap")])
    ['4: the stable cut with the largest gap']
    """
    return [f"{suggestion.num_groups}: {suggestion.reason}" for suggestion in suggested_cuts]


def describe_first_cut(folder: Path, suggested_cuts: Sequence[CutSuggestion]) -> str:
    """The command that makes groups of the first suggested cut.

    >>> cut = CutSuggestion(4, "the stable cut with the largest gap")
    >>> describe_first_cut(Path("runs/dgc-1"), [cut])
    'groups are made by jaxhsi group runs/dgc-1 --cut 4, or by hand in the report'
    """
    command = f"jaxhsi group {folder} --cut {suggested_cuts[0].num_groups}"
    return f"groups are made by {command}, or by hand in the report"


def partial_presence_lines(presence_record: Mapping[str, Any]) -> list[str]:
    """A line for each cluster that is present in some cubes but not in all, the rarest first.

    Args:
        presence_record: see :func:`jaxhsi.report.cluster_presence.cluster_presence`.
    """
    cubes, lines = presence_record["cubes"], []
    for cluster_index, name in enumerate(presence_record["names"]):
        present_in = [cube for cube, each in cubes.items() if cluster_index in each["present"]]
        if not 0 < len(present_in) < len(cubes):
            continue
        largest_share = max(each["shares"][cluster_index] for each in cubes.values())
        absent = [cube for cube in cubes if cube not in present_in]
        pixels = {cube: cubes[cube]["pixels"][cluster_index] for cube in absent}
        in_few = 2 * len(present_in) <= len(cubes)  # the shorter of the two lists is printed
        without = [cube for cube in absent if not pixels[cube]]
        parts = [_short_list(present_in)] if in_few else []
        if without and not in_few:
            parts.append(f"not in {_short_list(without)}")
        parts += [
            f"{cube}: {pixels[cube]:,} pixel{'s' * (pixels[cube] != 1)}, under {ACTIVE_SHARE:.1%}"
            for cube in [cube for cube in absent if pixels[cube]][:MAX_LISTED_CUBES]
        ]
        line = f"{name}: in {len(present_in)} of {len(cubes)} cubes, up to {largest_share:.1%} "
        lines.append((len(present_in), f"{line}({'; '.join(parts)})"))
    return [line for _, line in sorted(lines, key=lambda each: each[0])]


def _short_list(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_LISTED_CUBES]) + ", ..." * (len(names) > MAX_LISTED_CUBES)


# Groups, prediction and evaluation ----------------------------------------------------------------


def describe_groups(num_groups: int, source: str | Path) -> str:
    """How many groups are used and where they come from.

    >>> describe_groups(3, "--cut 3")
    '3 groups of --cut 3'
    """
    return f"{num_groups} groups of {source}"


def describe_saved_groups(path: Path) -> str:
    """Where groups are saved and what uses them."""
    return f"groups are in {path}; predict and evaluate use them"


def describe_group_spectra(path: Path) -> str:
    """Where the spectra of groups are."""
    return f"spectra of the groups are in {path}"


def describe_shape_spectra(path: Path) -> str:
    """Where the spectra of drawn shapes are."""
    return f"spectra of the drawn shapes are in {path}"


def describe_missing_spectra(path: Path) -> str:
    """Why no spectra of groups are written."""
    return (
        f"no spectra of the groups are written: there is no {path.name} in {path.parent}, which "
        "was made by an earlier version; predict --groups gives them"
    )


def describe_labelled_cube(name: str, height: int, width: int) -> str:
    """A cube that has been labelled.

    >>> describe_labelled_cube("field", 48, 60)
    'field: 48 x 60 pixels labelled'
    """
    return f"{name}: {height} x {width} pixels labelled"


def describe_scored_maps(num_scored: int, num_maps: int, path: Path) -> str:
    """How many label maps were scored, and the file of the scores."""
    return f"{num_scored} of {num_maps} map(s) scored; {path}"


def vote_lines(
    num_votes: int,
    num_voted: int,
    num_clusters: int,
    num_inherited: int,
    num_unnamed: int,
    num_invalid: int,
    unused_names: Sequence[str],
) -> list[str]:
    """How clusters came by their names from labelled pixels.

    Args:
        num_votes: labelled pixels that lie in a cluster.
        num_voted: clusters with a labelled pixel.
        num_clusters: all clusters.
        num_inherited: clusters that are named like their nearest relatives in the tree.
        num_unnamed: clusters that no label speaks for.
        num_invalid: labelled pixels that are not valid.
        unused_names: classes that no cluster is named after.
    """
    lines = [f"{num_votes:,} labelled pixels in {num_voted} of {num_clusters} clusters"]
    if num_inherited:
        lines.append(
            f"{num_inherited} cluster(s) without a majority of labels are named like their nearest "
            "relatives in the tree"
        )
    if num_unnamed:
        lines.append(
            f"{num_unnamed} cluster(s) are unnamed: a name needs more than half of a cluster's "
            f"labelled pixels, and these {MIN_CLUSTER_SHARE:.0%} of the cluster or "
            f"{MIN_CLASS_SHARE:.0%} of the class, or named relatives that are nearer than two "
            "classes are, labelled as well"
        )
    if num_invalid:
        lines.append(f"{num_invalid:,} labelled pixels are not valid and count for nothing")
    if unused_names:
        lines.append(
            f"no cluster is called {', '.join(unused_names)}: others have more pixels in each of "
            "theirs; train with more clusters, or name them by --groups"
        )
    return lines


def describe_deciding_votes(relatives: Sequence[int], distance: float, *, is_tie: bool) -> str:
    """Why a cluster is named like its relatives in the tree.

    Args:
        relatives: clusters whose labelled pixels decided.
        distance: height of the merge that joins the cluster with them.
        is_tie: the cluster has labelled pixels of its own, as many of two classes.

    >>> describe_deciding_votes([1, 3], 2.5, is_tie=True)
    'a tie, then 1, 3 at distance 2.50'
    """
    tie = "a tie, then " if is_tie else ""
    return f"{tie}{', '.join(map(str, relatives))} at distance {distance:.2f}"


def describe_missing_evidence(votes: Sequence[int], num_pixels: int | None) -> str:
    """Why a cluster is unnamed.

    Args:
        votes: its labelled pixels of each class.
        num_pixels: its pixels in the labelled cubes, None where single pixels were clicked.

    >>> describe_missing_evidence([1, 0], 17124)
    '1 of 17,124 pixels labelled'
    """
    if 2 * max(votes, default=0) <= sum(votes) and any(votes):
        return "no majority"
    if num_pixels is None or not any(votes):
        return "no labels, no near relatives"
    return f"{sum(votes):,} of {num_pixels:,} pixels labelled"


def describe_unnamed_groups(group_names: Sequence[str], class_names: Sequence[str]) -> str:
    """No group has the name of a class."""
    return (
        f"no group ({', '.join(group_names)}) has the name of a class ({', '.join(class_names)}); "
        'name them alike, or the classes by --class_names "background=0 tissue=1"'
    )
