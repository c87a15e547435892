"""Options of ``jaxhsi inspect``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from jaxhsi.data.axis_layout import Layout
from jaxhsi.data.tables.table_options import TableOptions


@dataclass(frozen=True)
class InspectConfig:
    """Show what would be read of cubes and tables of spectra, before anything long begins.

    Attributes:
        paths: files, folders or stores to look at.
        key: name of the cube or table inside a file, where there are several.
        layout: order of the axes, such as hwc, chw or hcw.
        size: height and width, '[H,W]', of the image where the array is a table (C, H * W).
        no_data: value that marks a missing measurement, in place of the file's.
        scale: factor for all values, in place of the scale that the file states.
        spectra: what the spectra are in a table; told by the file if not given: rows, columns,
            pairs of columns of axis and values, or a long table with a row for each value.
        separator: between the cells of a text table: comma, semicolon, tab, blank, bar, or another
            character; told by the file if not given.
        decimal: decimal character of a text table, "." or ","; told by the file if not given.
        references: columns of a table that are no bands (rows where spectra are columns), by
            names or by numbers from 1 with commas between, or none; told by the file if not given.
        missing: for missing values of a table: mask, interpolate, drop_bands, drop_spectra.
    """

    example: ClassVar[str] = "jaxhsi inspect scene.hdr"
    main_options: ClassVar[tuple[str, ...]] = (
        "key",
        "layout",
        "size",
        "no_data",
        "scale",
        "spectra",
        "references",
        "missing",
    )
    paths: tuple[Path, ...]
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    no_data: float | None = None
    scale: float | None = None
    spectra: Literal["rows", "columns", "pairs", "long"] | None = None
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    references: str | None = None
    missing: Literal["mask", "interpolate", "drop_bands", "drop_spectra"] | None = None

    def __post_init__(self):
        """Refuse what cannot be said of a table."""
        TableOptions.from_choices(self)
