"""Random cubes with what a file may tell of them: missing pixels, scale, wavelengths, axes."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

NO_DATA = -99.0
INTEGER_TYPES, FLOAT_TYPES = ("<i2", ">i2", "<i4", "u1", "<u2", ">u2"), ("<f4", ">f4", "<f8")


class Example(NamedTuple):
    """A cube and what is known of it.

    Attributes:
        stored: (H, W, C), values as they are written.
        missing: (H, W), pixels that have no measurement.
        scale: stored times this, plus `offset`, are the values; None where nothing is stated.
        offset: see there.
        waves: wavelength of each band in nm, rising or falling.
        order: of the axes in the file, where the format leaves it open: position of H, W and C.
        variant: a number by which a writer chooses among its ways to write.
    """

    stored: np.ndarray
    missing: np.ndarray
    scale: float | None
    offset: float | None
    waves: np.ndarray
    order: tuple[int, int, int]
    variant: int

    @property
    def is_float(self) -> bool:
        return self.stored.dtype.kind == "f"

    @property
    def no_data(self) -> float | None:
        """The mark that a file states; floats have NaN."""
        return NO_DATA if self.missing.any() and not self.is_float else None

    @property
    def native_type(self) -> np.dtype:
        """Type of the values in the byte order of this machine, which some writers insist on."""
        return self.stored.dtype.newbyteorder("=")

    @property
    def marks(self) -> dict[str, float]:
        """No-data value, factor and offset by their names in CF, those that are stated."""
        marks = {"_FillValue": self.no_data, "scale_factor": self.scale, "add_offset": self.offset}
        return {name: value for name, value in marks.items() if value is not None}

    def marked(self) -> np.ndarray:
        """What is written where missing values have a mark of their own."""
        if not self.missing.any():
            return self.stored
        stored = self.stored.copy()
        stored[self.missing] = np.nan if self.is_float else NO_DATA
        return stored

    def marked_in_order(self) -> np.ndarray:
        """`marked` with its axes in the order of the file."""
        return self.marked().transpose(self.order)

    def axis_names(self, *names: str) -> list[str]:
        """Names of rows, columns and bands, in the order of the file."""
        return [names[axis] for axis in self.order]

    @property
    def values(self) -> np.ndarray:
        return self.stored.astype(np.float64) * (self.scale or 1.0) + (self.offset or 0.0)


@st.composite
def examples(draw, dtypes=(*INTEGER_TYPES, *FLOAT_TYPES)) -> Example:
    """Cubes whose three sides differ, so that a vector of wavelengths fits one of them."""
    sides = draw(st.lists(st.integers(2, 33), min_size=3, max_size=3, unique=True))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    is_marked = draw(st.booleans()) and dtype.kind != "u"
    missing = (rng.random(sides[:2]) < 0.2) & is_marked
    missing[0, 0] = False
    waves = np.sort(rng.choice(np.arange(3500, 25000), sides[2], replace=False)) / 10
    return Example(
        stored=rng.integers(1, 120, sides).astype(dtype),
        missing=missing,
        scale=draw(st.sampled_from([None, 0.01, 0.0001])),
        offset=draw(st.sampled_from([None, -0.25])),
        waves=waves if draw(st.booleans()) else waves[::-1],
        order=draw(st.permutations((0, 1, 2)).map(tuple)),
        variant=draw(st.integers(0, 11)),
    )
