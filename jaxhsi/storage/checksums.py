"""SHA-256 of files: inside of texts, JSON and .npz files, and in lists of a folder.

A file with its checksum inside changes in one step with it; nothing else has to be kept in step.
Tables and arrays for other programs, and the checkpoints, are listed in ``SHA256SUMS``, which
``sha256sum -c`` checks as well.
"""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

from jaxhsi.storage.replacement import is_partial, replace_file, replace_text

SUMS_FILE = "SHA256SUMS"
"""List of the checksums of files in a folder."""
JSON_KEY = "sha256"
"""Last key of a JSON file, which holds the checksum of all before it."""

TEXT_MARK = "# the last line is the checksum of all before it\n"
"""First line of a text with a checksum, by which one that was cut is told from one of an earlier
version."""
_LAST_LINE_START = b"# sha256: "
_LAST_LINE = re.compile(rb"# sha256: ([0-9a-f]{64})\n\Z")
_LAST_KEY = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n\}\n\Z')


class DamagedFileError(ValueError):
    """A file is not as it was written; the message names it and the way on."""

    def __init__(self, path: Path, reason: str, remedy: str):
        super().__init__(f"{path} is damaged: {reason}; {remedy}")


@cache
def tell_unchecked(folder: Path) -> None:
    """Log, once in a process, that what is read from a folder has no checksums.

    Args:
        folder: that an earlier version wrote.
    """
    logging.getLogger(__name__).warning(
        "%s was written by an earlier version, without checksums: it is not checked for damage",
        folder,
    )


# Texts --------------------------------------------------------------------------------------------


def text_with_checksum(text: str) -> str:
    r"""Text with a first line that announces a checksum, and a last one that holds it.

    Both are comments.

    >>> text_with_checksum("seed: 0\n").splitlines()[2][:22]
    '# sha256: e2cf2f0c393e'
    """
    body = f"{TEXT_MARK}{text}"
    return f"{body}# sha256: {hashlib.sha256(body.encode()).hexdigest()}\n"


def has_text_checksum(path: Path) -> bool:
    """Whether a text was written by `text_with_checksum`, whatever became of it since.

    Args:
        path: of the file.
    """
    content, mark = path.read_bytes(), TEXT_MARK.encode()
    return mark.startswith(content[: len(mark)]) or _LAST_LINE_START in content


def checked_text(path: Path, remedy: str, *, allow_unchecked: bool = False) -> str:
    """Text of a file that :func:`text_with_checksum` made, with the lines of the checksum.

    Args:
        path: of the file.
        remedy: what a user can do where it is damaged.
        allow_unchecked: the file may be of an earlier version, without a checksum; the log says so.

    Raises:
        DamagedFileError: it is cut, or was changed.
    """
    content = path.read_bytes()
    if allow_unchecked and not has_text_checksum(path):
        tell_unchecked(path.parent)
    else:
        _checked_body(path, content, _LAST_LINE, remedy)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DamagedFileError(path, str(error), remedy) from error


def _checked_body(path: Path, content: bytes, ending: re.Pattern[bytes], remedy: str) -> bytes:
    """What stands before the checksum that a file ends with, and agrees with it."""
    match = ending.search(content)
    if match is None:
        reason = "it does not end with its checksum: it is cut, or was changed"
        raise DamagedFileError(path, reason, remedy)
    body = content[: match.start()]
    if hashlib.sha256(body).hexdigest() != match[1].decode():
        raise DamagedFileError(path, "it is not as it was written", remedy)
    return body


# JSON ---------------------------------------------------------------------------------------------


def write_checked_json(path: Path, content: dict[str, Any], *, sync: bool = True) -> None:
    """Write a JSON file whose last key holds the checksum of all before it, in one step.

    Args:
        path: of the file.
        content: at least one item.
        sync: see `replace_text`.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "tree.json"
    >>> write_checked_json(path, {"clusters": 3})
    >>> read_checked_json(path, "write it anew")
    {'clusters': 3}
    """
    body = json.dumps(content, indent=1).removesuffix("\n}")
    digest = hashlib.sha256(body.encode()).hexdigest()
    replace_text(path, f'{body},\n "{JSON_KEY}": "{digest}"\n}}\n', sync=sync)


def read_checked_json(path: Path, remedy: str, *, allow_unchecked: bool = False) -> dict[str, Any]:
    """Content of a file that :func:`write_checked_json` wrote, without the checksum.

    Args:
        path: of the file.
        remedy: what a user can do where it is damaged.
        allow_unchecked: the file may be of an earlier version, without a checksum; the log says so.

    Raises:
        DamagedFileError: it is cut, or was changed.
    """
    content = path.read_bytes()
    if allow_unchecked and (unchecked := _unchecked_object(content)) is not None:
        tell_unchecked(path.parent)
        return unchecked
    return json.loads(_checked_body(path, content, _LAST_KEY, remedy) + b"}")


def _unchecked_object(content: bytes) -> dict[str, Any] | None:
    """A whole JSON object without a checksum; None for all else, such as one that was cut."""
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) and JSON_KEY not in value else None


# Lists of a folder --------------------------------------------------------------------------------


@contextmanager
def replace_listed_file(path: Path, mode: str = "w", **open_options: Any) -> Iterator[IO]:
    """`replace_file` for tables and arrays; the new file is listed in ``SHA256SUMS`` beside it.

    Args:
        path: of the file.
        mode: as of `replace_file`.
        **open_options: as of `replace_file`.
    """
    unlist_file(path)
    with replace_file(path, mode, **open_options) as file:
        yield file
    list_file(path)


def list_file(path: Path) -> None:
    """Write the checksum of a file into the list beside it."""
    sums = _read_sums(path.parent) | {path.name: file_digest(path)}
    _write_sums(path.parent, sums)


def unlist_file(path: Path) -> None:
    """Take a file that is about to change out of the list beside it."""
    sums = _read_sums(path.parent)
    if sums.pop(path.name, None) is not None:
        _write_sums(path.parent, sums)


def move_entries(source: Path, target: Path, names: Iterable[str] | None = None) -> None:
    """Move files and folders from one folder to another on the same disk, with their checksums.

    A call that was interrupted can be made again.

    Args:
        source: folder to take from; nothing is done where there is none.
        target: folder to move to, made if needed; what has the same name there is replaced.
        names: of what is moved, as far as it is there; all that is whole if not given.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replace_listed_file(folder / "part" / "a.csv") as file:
    ...     _ = file.write("1,2")
    >>> move_entries(folder / "part", folder / "whole")
    >>> check_listed_file(folder / "whole" / "a.csv", "write it anew")
    """
    if not source.is_dir():
        return
    if names is None:
        entries = (path for path in source.iterdir() if not is_partial(path))
        names = [path.name for path in entries if path.name != SUMS_FILE]
    names, sums = set(names), _read_sums(source)
    target.mkdir(parents=True, exist_ok=True)
    if moved_sums := {name: digest for name, digest in sums.items() if name in names}:
        _write_sums(target, _read_sums(target) | moved_sums)
    for name in sorted(names):
        if (source / name).exists():
            if (target / name).is_dir():
                shutil.rmtree(target / name)
            (source / name).replace(target / name)


def check_listed_file(path: Path, remedy: str, *, allow_unchecked: bool = True) -> None:
    """Refuse a file that is not as the list beside it says.

    Args:
        path: of the file.
        remedy: what a user can do where it is damaged.
        allow_unchecked: one that is not listed passes.

    Raises:
        DamagedFileError: it is cut, or was changed.
    """
    digest = _read_sums(path.parent).get(path.name)
    if digest is None and not allow_unchecked:
        raise DamagedFileError(path, f"{SUMS_FILE} beside it does not list it", remedy)
    if digest is not None and file_digest(path) != digest:
        raise DamagedFileError(path, f"it is not as {SUMS_FILE} beside it says", remedy)


def list_folder(folder: Path) -> None:
    """Write the list of all files in and below a folder.

    Args:
        folder: whose files do not change any more.
    """
    _write_sums(folder, {name: file_digest(folder / name) for name in _file_names(folder)})


def folder_damage(folder: Path) -> str | None:
    """What in a folder is not as its list says, in words; None where all is.

    Args:
        folder: that :func:`list_folder` listed.
    """
    if not (folder / SUMS_FILE).is_file():
        return f"{SUMS_FILE} is missing"
    sums, names = _read_sums(folder), set(_file_names(folder))
    if not sums:
        return f"{SUMS_FILE} cannot be read"
    for name in sorted(sums.keys() | names):
        if name not in names:
            return f"{name} is missing"
        if name not in sums or file_digest(folder / name) != sums[name]:
            return f"{name} is not as it was written"
    return None


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_names(folder: Path) -> Iterable[str]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not is_partial(path))
    return [name for path in paths if (name := path.relative_to(folder).as_posix()) != SUMS_FILE]


def _read_sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS_FILE
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.split("  ", 1) for line in lines)
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def _write_sums(folder: Path, sums: dict[str, str]) -> None:
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    if lines:
        replace_text(folder / SUMS_FILE, "".join(lines))
    else:
        (folder / SUMS_FILE).unlink(missing_ok=True)
