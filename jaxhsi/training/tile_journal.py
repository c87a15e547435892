"""How far the maps of a command are on disk, so that the same command goes on where it stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxhsi.storage.checksums import DamagedFileError, read_checked_json, write_checked_json
from jaxhsi.storage.file_lock import clear_folder

JOURNAL_FILE = "progress.json"
"""Name of the journal in the folder of the results; it is there until they are complete."""


class TileJournal:
    """Number of the tiles of each cube that are on disk, in a file that is replaced with each.

    Attributes:
        tiles: number by the names of the cubes.
    """

    def __init__(self, path: Path, key: str, tiles: dict[str, int]):
        """Take up a journal; nothing is written yet.

        Args:
            path: of its file.
            key: name of all that the maps depend on.
            tiles: that are on disk, by cube.
        """
        self._path, self._key, self.tiles = path, key, dict(tiles)

    def num_written(self, cube_name: str) -> int:
        """Tiles of a cube that are on disk."""
        return self.tiles.get(cube_name, 0)

    def record(self, cube_name: str, num_tiles: int) -> None:
        """So many tiles of a cube are on disk now."""
        self.tiles[cube_name] = num_tiles
        self.write()

    def write(self) -> None:
        """Write the file, which is the old or the new one at any time."""
        content = {"key": self._key, "tiles": self.tiles}
        write_checked_json(self._path, content, sync=False)  # a lost one is begun anew

    def close(self) -> None:
        """All is complete: remove the file."""
        self._path.unlink()


def open_journal(
    folder: Path, marker_file: str, key: str, say: Callable[[str], Any]
) -> TileJournal:
    """The journal of the results in a folder; those of other data or options are deleted first.

    Args:
        folder: of the results, checked before; made if it is not there.
        marker_file: file that tells that what is in the folder may be deleted.
        key: name of all that the results depend on, see `jaxhsi.data.cache.fingerprint`.
        say: told what becomes of unfinished results that are there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     open_journal(Path(name), "m", "a", print).record("scene", 3)
    ...     again = open_journal(Path(name), "m", "a", lambda line: None).num_written("scene")
    ...     other = open_journal(Path(name), "m", "b", lambda line: None).num_written("scene")
    >>> again, other
    (3, 0)
    """
    path = folder / JOURNAL_FILE
    saved = _read_journal(path) if path.is_file() else None
    if saved is not None and saved.get("key") == key:
        num_tiles = sum(saved["tiles"].values())
        say(f"going on with the unfinished results in {folder}, after {num_tiles} tiles")
        return TileJournal(path, key, saved["tiles"])
    if path.is_file() and (folder / marker_file).is_file():
        reason = "the journal is damaged" if saved is None else "options or data were others"
        say(f"the unfinished results in {folder} are deleted and begun anew: {reason}")
        clear_folder(folder, marker_file)
    folder.mkdir(parents=True, exist_ok=True)
    journal = TileJournal(path, key, {})
    journal.write()
    return journal


def _read_journal(path: Path) -> dict[str, Any] | None:
    """What a journal holds; None if it is damaged."""
    try:
        return read_checked_json(path, "it is begun anew")
    except DamagedFileError:
        return None
