"""What a user may ask for of an ingest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class IngestOptions:
    """What is done to the values on the way into a store; nothing by default.

    Attributes:
        dtype: of the store, that of the file if None.
        white: file with the white reference.
        dark: file with the dark reference.
        wavelengths: lowest and highest kept, in nm.
        bin: neighbouring bands that become one, their mean.
        bad_bands: bands to drop, see `band_selection.parse_band_list`.
        matching_wavelengths: in nm; only the bands at these are kept, each of which must be there.
        keep_bands: keep bands that the file marks as bad, and those that are empty.
        orthorectify: bring the pixels to a map by the table that the file has for it.
        raw: keep the stored values; scale and offset of the file are not applied.
        scale: factor, in place of scale and offset of the file.
        no_data: value that marks a missing measurement, in place of the file's.
        pixel_size: side of a pixel in metres, for images without a place on the ground.
    """

    dtype: Literal["float16", "float32"] | None = None
    white: Path | None = None
    dark: Path | None = None
    wavelengths: tuple[float, float] | None = None
    bin: int = 1
    bad_bands: str | None = None
    matching_wavelengths: tuple[float, ...] | None = None
    keep_bands: bool = False
    orthorectify: bool = False
    raw: bool = False
    scale: float | None = None
    no_data: float | None = None
    pixel_size: float | None = None
