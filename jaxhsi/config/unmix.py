"""Options of ``python -m jaxhsi.unmix``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxhsi.config.files import check_at_least, check_positive
from jaxhsi.data.formats.axis_order import Layout


@dataclass(frozen=True)
class UnmixConfig:
    """Unmix new spectra with a finished run of gmcr: concentrations, pictures and scores.

    Attributes:
        run: folder of the run.
        data: tables of spectra (.csv, .npy, .npz, .mat), or files, folders of cubes, stores or
            their URLs, whose pixels are the spectra.
        out: folder of the results; unmixed/ in that of the run if not given.
        refine_steps: projected gradient steps that follow the networks, on the components that
            they found in a spectrum; 0 for none.
        tile: side in pixels of the tiles of a cube that are unmixed at once.
        spectra: whether the spectra are rows or columns of a table; read from the file if not
            given.
        tolerance: by which the axis of the data may differ from that of the run, in its units (nm
            for cubes); half of the smallest distance between two bands if not given.
        key: name of the table or cube inside a file, where there are several.
        layout: order of the axes of a cube, such as hwc, chw or hcw, where the file leaves doubt.
        size: height and width of the image where a cube is kept as a table (C, H * W).
        raw: keep the stored values of files, whatever scale they state.
        no_data: value of a file that marks a missing measurement, in place of the file's own.
    """

    run: Path
    data: tuple[str, ...]
    out: Path | None = None
    refine_steps: int = 0
    tile: int = 64
    spectra: Literal["rows", "columns"] | None = None
    tolerance: float | None = None
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    raw: bool = False
    no_data: float | None = None

    def __post_init__(self):
        """Refuse values that cannot work before anything long begins."""
        check_at_least("--refine_steps", self.refine_steps, 0)
        check_at_least("--tile", self.tile, 1)
        check_positive("--tolerance", self.tolerance)
