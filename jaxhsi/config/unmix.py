"""Options of ``jaxhsi unmix``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from jaxhsi.config.files import check_at_least, check_positive
from jaxhsi.config.parts import check_part
from jaxhsi.data.axis_layout import Layout
from jaxhsi.data.tables.table_options import TableOptions


@dataclass(frozen=True)
class UnmixConfig:
    """Unmix new spectra with a finished run of gmcr: concentrations, pictures and scores.

    Attributes:
        run: folder of the run.
        data: tables of spectra, folders of files with a spectrum each, or cubes; of cubes (files,
            folders, stores or their URLs) the pixels are the spectra.
        out: folder of the results; unmixed/ in that of the run if not given.
        refine_steps: projected gradient steps that follow the networks, on the components that
            they found in a spectrum; 0 for none.
        tile: side in pixels of the tiles of a cube that are unmixed at once.
        spectra: what the spectra are in the table; told by the file if not given: rows, columns,
            pairs of columns of axis and values, or a long table with a row for each value.
        separator: between the cells of a text table: comma, semicolon, tab, blank, bar, or another
            character; told by the file if not given.
        decimal: decimal character of a text table, "." or ","; told by the file if not given.
        references: columns of the table that are no bands (rows where spectra are columns), by
            names or by numbers from 1 with commas between, or none; told by the file if not given.
        missing: for missing values: mask (they take no part), interpolate (along the axis),
            drop_bands, drop_spectra; those between others are refused if not given.
        devices: number of devices to compute on; all if not given.
        fractions: write also fractions.csv, concentrations divided by their sum in each spectrum.
        tolerance: by which the axis of the data may differ from that of the run, in its units (nm
            for cubes); half of the smallest distance between two bands if not given.
        key: name of the table or cube inside a file, where there are several.
        layout: order of the axes of a cube, such as hwc, chw or hcw, where the file leaves doubt.
        size: height and width of the image where a cube is kept as a table (C, H * W).
        raw: keep the stored values of files, whatever scale they state.
        no_data: value of a file that marks a missing measurement, in place of the file's own.
        part: unmix part I of N of the data; as a Slurm array says if not given, else all.
    """

    example: ClassVar[str] = "jaxhsi unmix runs/mixtures new.csv"
    main_options: ClassVar[tuple[str, ...]] = (
        "out",
        "refine_steps",
        "spectra",
        "missing",
        "devices",
        "fractions",
        "tolerance",
        "key",
        "layout",
        "size",
        "no_data",
        "part",
    )
    run: Path
    data: tuple[str, ...]
    out: Path | None = None
    refine_steps: int = 0
    tile: int = 64
    spectra: Literal["rows", "columns", "pairs", "long"] | None = None
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    references: str | None = None
    missing: Literal["mask", "interpolate", "drop_bands", "drop_spectra"] | None = None
    devices: int | None = None
    fractions: bool = False
    tolerance: float | None = None
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    raw: bool = False
    no_data: float | None = None
    part: str | None = None

    def __post_init__(self):
        """Refuse values that cannot work before anything long begins."""
        check_at_least("--refine_steps", self.refine_steps, 0)
        check_at_least("--tile", self.tile, 1)
        check_positive("--tolerance", self.tolerance)
        self.table_options()
        check_part(self.part)

    def table_options(self) -> TableOptions:
        """What is said of the tables."""
        return TableOptions.from_choices(self)
