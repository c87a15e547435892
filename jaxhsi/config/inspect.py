"""Options of ``jaxhsi inspect``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jaxhsi.data.axis_layout import Layout


@dataclass(frozen=True)
class InspectConfig:
    """Show what would be read of cubes, before anything long begins.

    Attributes:
        paths: files, folders or stores to look at.
        key: name of the cube inside a file, where there are several.
        layout: order of the axes, such as hwc, chw or hcw.
        size: height and width, '[H,W]', of the image where the array is a table (C, H * W).
        no_data: value that marks a missing measurement, in place of the file's.
        scale: factor for all values, in place of the scale that the file states.
    """

    example: ClassVar[str] = "jaxhsi inspect scene.hdr"
    main_options: ClassVar[tuple[str, ...]] = (
        "key",
        "layout",
        "size",
        "no_data",
        "scale",
    )
    paths: tuple[Path, ...]
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    no_data: float | None = None
    scale: float | None = None
