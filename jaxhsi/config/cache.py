"""Options of ``jaxhsi cache``."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class CacheConfig:
    """Show what is in the cache folder, or delete it; nothing there cannot be made again."""

    example: ClassVar[str] = "jaxhsi cache --clear"
