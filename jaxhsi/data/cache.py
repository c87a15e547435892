"""Where copies of files and measured statistics are kept, and by which name."""

import hashlib
import os
from pathlib import Path

import platformdirs

_FINGERPRINT_PATTERN = "[0-9a-f]" * 16
"""Names that `fingerprint` gives, for `Path.glob`."""


def default_cache_folder() -> Path:
    """Folder for what is made once: $JAXHSI_CACHE, or the user's cache folder."""
    environment_folder = os.environ.get("JAXHSI_CACHE")
    return (
        Path(environment_folder) if environment_folder else platformdirs.user_cache_path("jaxhsi")
    )


def fingerprint(values: object) -> str:
    """Short name of facts that have an exact `repr`: numbers, strings, tuples of them.

    >>> len(fingerprint(("scene.npy", 1024)))
    16
    """
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


KINDS = {
    "compiled programs": ("compiled",),
    "statistics of stores": ("statistics",),
    "built-in leaf scenes": ("leaf-scenes-v*",),
    "copies of files, by their state": (_FINGERPRINT_PATTERN,),
}
"""What is kept, and the names of the folders that hold it."""


def cached_entries(folder: Path) -> dict[str, list[Path]]:
    """Folders of a cache by what they hold; kinds that there are not are left out.

    Args:
        folder: of the cache.
    """
    entries = {
        kind: sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_dir())
        for kind, patterns in KINDS.items()
    }
    return {kind: paths for kind, paths in entries.items() if paths}


def folder_bytes(folder: Path) -> int:
    """Sum of the lengths of all files below a folder.

    Args:
        folder: to measure.
    """
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
