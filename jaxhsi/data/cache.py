"""Where copies of files and measured statistics are kept, and by which name."""

import hashlib
import os
from pathlib import Path

import platformdirs


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
