"""Where the pixels of a cube lie on the ground."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Georeference:
    """Coordinate reference system and the affine map from pixels to it.

    Attributes:
        crs: WKT or an authority code such as "EPSG:32633"; None where only the size is known.
        transform: (a, b, c, d, e, f) with x = a column + b row + c and y = d column + e row + f,
            both of the upper left corner of a pixel: rasterio's order.
        metres_per_unit: length of one unit of the system in metres; None where it is an angle or
            unknown.
    """

    crs: str | None
    transform: tuple[float, float, float, float, float, float]
    metres_per_unit: float | None = None

    @property
    def pixel_area(self) -> float | None:
        """Area of a pixel in square metres, |a e - b d| metres^2, or None where unknown.

        >>> Georeference(None, (0.5, 0.0, 0.0, 0.0, -0.5, 0.0), 1.0).pixel_area
        0.25
        """
        if self.metres_per_unit is None:
            return None
        a, b, _, d, e, _ = self.transform
        return abs(a * e - b * d) * self.metres_per_unit**2

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel in metres, or None where unknown.

        >>> Georeference(None, (0.5, 0.0, 0.0, 0.0, -0.25, 0.0), 1.0).pixel_size
        (0.25, 0.5)
        """
        if self.metres_per_unit is None:
            return None
        a, b, _, d, e, _ = self.transform
        return math.hypot(b, e) * self.metres_per_unit, math.hypot(a, d) * self.metres_per_unit

    def to_json(self) -> dict[str, Any]:
        """For a store's attributes; its keys are part of the format of stores."""
        return {"crs": self.crs, "transform": self.transform, "metres": self.metres_per_unit}

    @staticmethod
    def from_json(stored: dict[str, Any] | None) -> "Georeference | None":
        """From a store's attributes; None stays None."""
        if stored is None:
            return None
        transform = tuple(float(value) for value in stored["transform"])
        return Georeference(stored["crs"], transform, stored["metres"])
