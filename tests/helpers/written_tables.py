"""One small mixture, and ways to write it as text, for the tests of readers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxhsi.data.tables.stored_table import StoredTable

NUM_SAMPLES, NUM_BANDS = 12, 40
AXIS = np.linspace(400.0, 790.0, NUM_BANDS)
_RNG = np.random.default_rng(0)
_PURE = np.exp(-0.5 * ((AXIS - np.array([[480.0], [600], [700]])) / 30) ** 2)
VALUES = np.round(_RNG.dirichlet(np.ones(3) * 0.5, NUM_SAMPLES) @ _PURE + 0.01, 5)
NAMES = tuple(f"s{i + 1}" for i in range(NUM_SAMPLES))
BRIX = np.round(_RNG.uniform(9, 20, NUM_SAMPLES), 2)
TIMES = np.arange(NUM_SAMPLES) * 0.5


def number(value: float, decimal: str = ".") -> str:
    return f"{value:.10g}".replace(".", decimal)


def rows_text(header: Sequence, *side: Sequence, separator: str = ",", decimal: str = ".") -> str:
    """A spectrum a line, behind its cells of the side columns; no header where it is empty."""
    lines = [[cell if isinstance(cell, str) else number(cell, decimal) for cell in header]]
    for i, spectrum in enumerate(VALUES):
        cells = [column[i] for column in side]
        cells = [cell if isinstance(cell, str) else number(cell, decimal) for cell in cells]
        lines.append(cells + [number(value, decimal) for value in spectrum])
    return "\n".join(separator.join(line) for line in lines if line) + "\n"


def columns_text(header: Sequence, separator: str = ",", decimal: str = ".") -> str:
    """A band a line, behind its place on the axis; no header where it is empty."""
    lines = [[cell if isinstance(cell, str) else number(cell, decimal) for cell in header]]
    for place, band in zip(AXIS, VALUES.T, strict=True):
        lines.append([number(value, decimal) for value in (place, *band)])
    return "\n".join(separator.join(line) for line in lines if line) + "\n"


def write(path: Path, text: str, encoding: str = "utf-8", line_end: str = "\n") -> Path:
    path.write_bytes(text.replace("\n", line_end).encode(encoding))
    return path


def check(stored: StoredTable, has_axis: bool = True, names: Sequence[str] | None = None) -> None:
    """The mixture, with or without its axis."""
    np.testing.assert_allclose(stored.values, VALUES, atol=1e-9)
    if has_axis:
        np.testing.assert_allclose(stored.axis, AXIS)
    else:
        assert stored.axis is None
    if names is not None:
        assert stored.sample_names == tuple(names)
