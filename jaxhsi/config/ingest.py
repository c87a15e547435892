"""Options of ``jaxhsi ingest``."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Literal

from jaxhsi.config.files import check_at_least
from jaxhsi.config.lengths import length_in_metres
from jaxhsi.config.parts import check_part
from jaxhsi.data.axis_layout import Layout
from jaxhsi.data.ingest.options import IngestOptions

READING_FLAGS = {
    "keep_bands": "keep bands that the file marks as bad, and those without measurements",
    "orthorectify": "bring the pixels to a map by the geolocation table of the file (EMIT)",
    "raw": "keep stored values, whatever scale and offset the file states",
}
"""Switches of the commands that read files of any format."""


@dataclass(frozen=True)
class IngestConfig:
    """Copy cubes from files of any format into Zarr v3 stores, which are read by windows.

    Attributes:
        paths: files to read, and last the store to make (NAME.zarr), or a folder for stores.
        key: name of the cube inside a file, where there are several.
        layout: order of the axes, such as hwc, chw or hcw; by evidence if not given.
        size: height and width, '[H,W]', of the image where the array is a table (C, H * W).
        dtype: of the stored values; kept as in the file if not given, float32 where they are
            computed.
        white: the white reference, for reflectance (x - dark) / (white - dark).
        dark: the dark reference.
        wavelengths: lowest and highest wavelength to keep in nm, '[LOW,HIGH]'.
        bin: neighbouring bands whose mean becomes one band.
        bad_bands: bands to drop: indices from 0, ranges of them and of wavelengths, such as
            "0-3, 107, 1340-1460nm".
        scale: factor for all values; by default that of the file where they become floats.
        no_data: value that marks a missing measurement, in place of the file's.
        pixel_size: side of a pixel, in metres or such as 0.5mm, for images without a coordinate
            system.
        part: copy part I of N of the files; as a Slurm array says if not given, else all.
    """

    example: ClassVar[str] = "jaxhsi ingest scene.hdr cubes/ --white white.hdr --dark dark.hdr"
    main_options: ClassVar[tuple[str, ...]] = (
        "key",
        "layout",
        "size",
        "dtype",
        "white",
        "dark",
        "wavelengths",
        "bin",
        "bad_bands",
        "scale",
        "no_data",
        "pixel_size",
        "part",
    )
    paths: tuple[Path, ...]
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    dtype: Literal["float16", "float32"] | None = None
    white: Path | None = None
    dark: Path | None = None
    wavelengths: tuple[float, float] | None = None
    bin: int = 1
    bad_bands: str | None = None
    scale: float | None = None
    no_data: float | None = None
    pixel_size: float | str | None = None
    part: str | None = None

    def __post_init__(self):
        """Refuse values that cannot work before any file is opened."""
        check_at_least("--bin", self.bin, 1)
        check_part(self.part)
        if self.scale is not None and (not math.isfinite(self.scale) or self.scale == 0):
            raise ValueError(f"--scale {self.scale} is out of range; give a factor that is not 0")
        metres = length_in_metres("--pixel_size", self.pixel_size)
        object.__setattr__(self, "pixel_size", metres)
        if self.wavelengths is not None and not self.wavelengths[0] <= self.wavelengths[1]:
            raise ValueError(
                f"--wavelengths {list(self.wavelengths)} is no range; give '[LOW,HIGH]' in nm"
            )

    def ingest_options(self) -> IngestOptions:
        """What is done to the values."""
        common_names = {f.name for f in fields(IngestOptions)} & {f.name for f in fields(self)}
        return IngestOptions(**{name: getattr(self, name) for name in common_names})
