"""Options of ``jaxhsi demo``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class DemoConfig:
    """Try both methods on small built-in data, in about a minute each.

    Attributes:
        out: folder of the two runs, dgc and gmcr; a new one under runs/ if not given.
        seed: of everything drawn at random.
    """

    example: ClassVar[str] = "jaxhsi demo --out runs/demo"

    out: Path | None = None
    seed: int = 0
