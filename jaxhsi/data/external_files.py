"""HDF5 files whose values lie in other files: refused, unless that is allowed.

Such a file names others by their paths, and whoever opens it would read them into a cube: any file
of the machine. MATLAB's .mat 7.3 and NetCDF 4 are HDF5 as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THIS_FILE = "."
"""Name by which virtual datasets say that their source is in the same file."""


@dataclass
class _Permission:
    """Whether values of other files may be read, in this process."""

    is_given: bool = False


_permission = _Permission()


@contextmanager
def external_files_allowed(is_allowed: bool = True) -> Iterator[None]:
    """Read values that lie in other files during the block.

    Args:
        is_allowed: False refuses them.

    >>> with external_files_allowed():
    ...     pass  # open files that you trust
    """
    before, _permission.is_given = _permission.is_given, is_allowed
    try:
        yield
    finally:
        _permission.is_given = before


def check_external_files(file: Any, path: Path) -> None:
    """Refuse a file of h5py that takes values from other files.

    Args:
        file: open file.
        path: of it.

    Raises:
        ValueError: an external link, external storage, or a virtual dataset; names the other file.
    """
    if _permission.is_given:
        return
    for name, kind, other in _external_parts(file):
        raise ValueError(
            f"{path}: {name!r} is {kind} and takes its values from another file, {other}. Files of "
            "others could read any file of this machine that way; if you trust it, give "
            "allow_external"
        )


def _external_parts(file: Any) -> Iterator[tuple[str, str, str]]:
    """Name, kind and source of everything that lies in other files."""
    import h5py

    pending = [file]
    visited = set()
    while pending:
        group = pending.pop()
        for name in group:
            link = group.get(name, getlink=True)
            full_name = f"{group.name.rstrip('/')}/{name}".lstrip("/")
            if isinstance(link, h5py.ExternalLink):
                yield full_name, "an external link", link.filename
            elif isinstance(link, h5py.HardLink):
                item = group[name]
                if isinstance(item, h5py.Dataset):
                    yield from ((full_name, *each) for each in _sources_of(item))
                # A group that is linked into itself is looked into once.
                elif isinstance(item, h5py.Group) and item.id not in visited:
                    visited.add(item.id)
                    pending.append(item)


def _sources_of(dataset: Any) -> Iterator[tuple[str, str]]:
    """Kind and file of what a dataset is made of, as far as it lies in other files."""
    if dataset.external:
        yield "stored externally", dataset.external[0][0]
    if dataset.is_virtual:
        others = (source.file_name for source in dataset.virtual_sources())
        yield from (("a virtual dataset", other) for other in others if other != THIS_FILE)
