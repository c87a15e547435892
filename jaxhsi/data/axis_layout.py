"""Orders of the axes of a cube, which options are given by; loads no reader of files."""

from typing import Literal, get_args

Layout = Literal["hwc", "chw", "hcw", "whc", "cwh", "wch"]
"""Order of the axes: h rows, w columns, c bands."""

LAYOUTS: tuple[str, ...] = get_args(Layout)
