"""Files that commands read back, and what may happen to each of them."""

from collections.abc import Iterator
from pathlib import Path

UNREAD_SUFFIXES = (".png", ".html", ".qml")
UNREAD_FOLDERS = ("events", "pictures")
"""For people and other programs: no command reads them."""


def files_read_back(folder: Path) -> list[Path]:
    """Files of a run or a store that commands read again."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in UNREAD_SUFFIXES
        if path.relative_to(folder).parts[0] not in UNREAD_FOLDERS
    ]


def damages(content: bytes, number: int) -> Iterator[bytes]:
    """So many times a file with one bit flipped, and cut, at places that are spread over it."""
    for i in range(number):
        place = (2 * i + 1) * len(content) // (2 * number)
        flipped = bytes([content[place] ^ 1 << i % 8])
        yield content[:place] + flipped + content[place + 1 :]
        yield content[:place]
    if content:
        yield content[:-1]
