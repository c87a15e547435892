"""Where copies of files and measured statistics are kept, and by which name.

Names are digests of all that the content depends on: what it is made of, the options, and the
source code that makes it. So nothing that an earlier version made, or of a file that has changed
since, is ever used.
"""

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

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


@cache
def source_digest(*names: str) -> str:
    """Digest of source files of this package, with the data that lie among them.

    Args:
        *names: files, or folders with all below them, relative to the package.

    >>> source_digest("data/cache.py") == source_digest("data/tiles.py")
    False
    """
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for name in names:
        path = package / name
        files = [path] if path.is_file() else sorted(path.rglob("*.*"))
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


class CacheKind(NamedTuple):
    """A kind of content of the cache.

    Attributes:
        name: of the kind.
        pattern: of the names of the folders that hold it.
        key: what its entries are named by.
    """

    name: str
    pattern: str
    key: str


KINDS = (
    CacheKind("compiled programs", "compiled", "program, compiler, processor"),
    CacheKind("statistics of stores", "statistics", "state of the store, source code"),
    CacheKind("built-in leaf scenes", "leaf-scenes-*", "size, seed, source code"),
    CacheKind(
        "copies of files", _FINGERPRINT_PATTERN, "path and state of the file, options, source code"
    ),
)
"""What is kept."""


def cached_entries(folder: Path) -> dict[CacheKind, list[Path]]:
    """Folders of a cache by what they hold; kinds that there are not are left out.

    Args:
        folder: of the cache.
    """
    entries = {
        kind: sorted(path for path in folder.glob(kind.pattern) if path.is_dir()) for kind in KINDS
    }
    return {kind: paths for kind, paths in entries.items() if paths}


def folder_bytes(folder: Path) -> int:
    """Sum of the lengths of all files below a folder.

    Args:
        folder: to measure.
    """
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
