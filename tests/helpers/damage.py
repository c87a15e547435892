"""Files that commands read back, and what may happen to each of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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


def strip_checksums(run: Path) -> None:
    """Make a run, or results, look as an earlier version wrote it."""
    (run / "checkpoints" / "config.yaml").unlink(missing_ok=True)
    for path in (path for path in run.rglob("*") if path.is_file()):
        if path.name in ("SHA256SUMS", "checksums.json"):
            path.unlink()
        elif path.suffix == ".yaml":
            path.write_text("".join(path.read_text().splitlines(keepends=True)[1:-1]))
        elif path.suffix == ".json" and "checkpoints" not in path.parts:
            path.write_text(json.dumps(_without_digests(json.loads(path.read_text()))))
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                content = dict(arrays)
            np.savez(path, **content)


def _without_digests(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not k.endswith("sha256")}
        return {name: _without_digests(each) for name, each in kept.items()}
    return value
