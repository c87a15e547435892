"""What is in the cache folder: shown by kind, or deleted."""

import shutil
from typing import Any

from rich.table import Table

from jaxhsi.config.cache import CacheConfig
from jaxhsi.data.cache import cached_entries, default_cache_folder, folder_bytes
from jaxhsi.training.console import PlainConsole

_MAX_NAMES = 6
"""Names of copied files that are listed; set by hand."""


def show_cache(config: CacheConfig, *, clear: bool = False) -> dict[str, Any]:
    """Print the kinds of things in the cache with their sizes; delete them if asked.

    Args:
        config: the options; none so far.
        clear: delete what is shown. Other files in the folder stay.

    Returns:
        The folder, and of each kind the number and bytes of its entries, what they are named by,
        and the names of the copied files.

    Raises:
        OSError: something cannot be deleted.
    """
    console, folder = PlainConsole(), default_cache_folder()
    table = Table("what", "number", "MB", "named by", title=str(folder))
    record: dict[str, Any] = {"folder": str(folder), "kinds": {}, "cleared": clear}
    for kind, paths in cached_entries(folder).items():
        sizes = [folder_bytes(path) for path in paths]
        names = sorted(store.name for path in paths for store in path.glob("*.zarr"))
        record["kinds"][kind.name] = {
            **{"number": len(paths), "bytes": sum(sizes)},
            **{"named_by": kind.key, "stores": names},
        }
        shown_names = f": {', '.join(names[:_MAX_NAMES])}{', ...' * (len(names) > _MAX_NAMES)}"
        what = kind.name + shown_names * bool(names)
        table.add_row(what, str(len(paths)), f"{sum(sizes) / 1e6:,.1f}", kind.key)
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
