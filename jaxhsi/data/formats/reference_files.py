"""Dark and white references that a camera leaves beside its cubes, by their names.

Specim IQ writes a folder a capture: capture/NAME.raw with DARKREF_NAME.raw, WHITEREF_NAME.raw and
WHITEDARKREF_NAME.raw, the dark signal at the exposure of the white one (Specim, "Specim IQ User
Manual"). Headwall writes darkReference and whiteReference beside its cubes.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

REFERENCE_WORD = re.compile(
    r"(?P<kind>white[-_ ]?dark|dark|white)[-_ ]?"
    r"(ref(erence)?s?|current|frame|cal(ibration)?)(?![a-z])",
    re.IGNORECASE,
)
DATA_SUFFIXES = ("", ".raw", ".img", ".dat", ".bil", ".bip", ".bsq", ".bin")


class ReferenceFiles(NamedTuple):
    """Data files of the references of a cube.

    Attributes:
        white: of the white panel, or None.
        dark: without light, or None.
        white_dark: without light at the exposure of the white one, or None.
    """

    white: Path | None = None
    dark: Path | None = None
    white_dark: Path | None = None


def reference_kind(path: Path) -> str | None:
    """What a file is by its name: "white", "dark", "white_dark", or None for a cube.

    >>> [reference_kind(Path(f"{name}.raw")) for name in ("DARKREF_042", "white", "dark_leaf")]
    ['dark', 'white', None]
    """
    match = REFERENCE_WORD.search(path.stem)
    if match is None:
        return path.stem.lower() if path.stem.lower() in ("dark", "white") else None
    kind = match["kind"].lower()
    return kind if kind in ("dark", "white") else "white_dark"


def find_references(cube_path: Path) -> tuple[ReferenceFiles, ReferenceFiles]:
    """References beside a cube.

    Args:
        cube_path: data file or header of the cube.

    Returns:
        Those that are surely of this cube, as their names are that of the cube with one of the
        words, or the word alone; and others, which a user may mean.
    """
    own: dict[str, Path] = {}
    other: dict[str, Path] = {}
    if reference_kind(cube_path) is not None:
        return ReferenceFiles(), ReferenceFiles()
    for entry in sorted(cube_path.parent.iterdir()):
        kind = reference_kind(entry)
        if kind is None or entry.suffix.lower() not in DATA_SUFFIXES or not entry.is_file():
            continue
        rest = REFERENCE_WORD.sub("", entry.stem).strip("-_. ").lower()
        is_own = rest in ("", kind, cube_path.stem.lower())
        (own if is_own else other).setdefault(kind, entry)
    return ReferenceFiles(**own), ReferenceFiles(**other)


def without_references(files: Iterable[Path]) -> list[Path]:
    """The files that are no references by their names; all where nothing else is there."""
    listed = list(files)
    return [file for file in listed if reference_kind(file) is None] or listed


def capture_cube(folder: Path) -> Path | None:
    """The cube in a folder of a Specim IQ capture, or None where it is no such folder."""
    capture = folder / "capture" if (folder / "capture").is_dir() else folder
    if not capture.is_dir():
        return None
    entries = list(capture.iterdir())
    if not any(entry.name.upper().startswith("DARKREF_") for entry in entries):
        return None
    cubes = [
        entry
        for entry in entries
        if entry.suffix.lower() == ".raw"
        and reference_kind(entry) is None
        and entry.with_suffix(".hdr") in entries
    ]
    return cubes[0] if len(cubes) == 1 else None
