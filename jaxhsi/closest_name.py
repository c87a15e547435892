"""The name that a user most likely meant."""

import difflib
import re
from collections.abc import Sequence


def closest_name(name: str, candidates: Sequence[str]) -> str | None:
    """The candidate that begins as the name does, else the most similar one, if any is.

    Case and separators do not count. Of candidates that the name begins with the longest is taken,
    of those that begin with it the shortest.

    Args:
        name: as it was given.
        candidates: names that there are.

    >>> closest_name("plot1_gt", ["plot10", "plot1"]), closest_name("scene_02", ["Scene-02"])
    ('plot1', 'Scene-02')
    """
    plain_names = {_plain_name(candidate): candidate for candidate in candidates}
    plain = _plain_name(name)
    starts = [each for each in plain_names if each and plain.startswith(each)]
    extended = [each for each in plain_names if plain and each.startswith(plain)]
    if starts or extended:
        return plain_names[max(starts, key=len) if starts else min(extended, key=len)]
    closest = difflib.get_close_matches(plain, plain_names, n=1)
    return plain_names[closest[0]] if closest else None


def _plain_name(name: str) -> str:
    """A name without what often differs between files of one scene: case and separators."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())
