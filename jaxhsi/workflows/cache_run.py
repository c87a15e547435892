"""What is in the cache folder: shown by kind, or deleted."""

import shutil
from typing import Any

from rich.table import Table

from jaxhsi.config.cache import CacheConfig
from jaxhsi.data.cache import cached_entries, default_cache_folder, folder_bytes
from jaxhsi.training.console import PlainConsole


def show_cache(config: CacheConfig, *, clear: bool = False) -> dict[str, Any]:
    """Print the kinds of things in the cache with their sizes; delete them if asked.

    Args:
        config: the options; none so far.
        clear: delete what is shown. Other files in the folder stay.

    Returns:
        The folder, and the number and bytes of each kind.

    Raises:
        OSError: something cannot be deleted.
    """
    console, folder = PlainConsole(), default_cache_folder()
    table = Table("what", "number", "MB", title=str(folder))
    record: dict[str, Any] = {"folder": str(folder), "kinds": {}, "cleared": clear}
    for kind, paths in cached_entries(folder).items():
        sizes = [folder_bytes(path) for path in paths]
        record["kinds"][kind] = {"number": len(paths), "bytes": sum(sizes)}
        table.add_row(kind, str(len(paths)), f"{sum(sizes) / 1e6:,.1f}")
        for path in paths if clear else ():
            shutil.rmtree(path)
    if not record["kinds"]:
        console.print(f"{folder} holds nothing of jaxhsi", soft_wrap=True)
        return record
    console.print(table)
    note = (
        "deleted" if clear else "jaxhsi cache --clear deletes it; all of it is made again if needed"
    )
    console.print(note)
    return record
