"""Options of ``jaxhsi preview``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jaxhsi.config.files import check_at_least
from jaxhsi.data.axis_layout import Layout


@dataclass(frozen=True)
class PreviewConfig:
    """Show a cube under each normalisation, segmented in closed form, on one contact sheet.

    Attributes:
        cube: a file, a store or its URL.
        out: picture of the contact sheet; preview-NAME.png in this folder if not given.
        num_clusters: numbers of clusters to show.
        points: a few labelled pixels, lines cube,row,column,name; they rank the normalisations.
            Rows and columns are counted from 0.
        seed: of everything drawn at random.
        key: name of the cube inside a file, where there are several.
        layout: order of the axes; by evidence if not given.
        size: height and width of the image where the array is a table (C, H * W).
        raw: keep the stored values of files, whatever scale they state.
        no_data: value of a file that marks a missing measurement.
    """

    example: ClassVar[str] = "jaxhsi preview scene.hdr --points clicks.csv"

    cube: str
    out: Path | None = None
    num_clusters: tuple[int, ...] = (4, 8, 16)
    points: Path | None = None
    seed: int = 0
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    raw: bool = False
    no_data: float | None = None

    def __post_init__(self):
        """Refuse numbers of clusters that there cannot be."""
        for number in self.num_clusters:
            check_at_least("--num_clusters", number, 1)
        if not self.num_clusters:
            raise ValueError("--num_clusters [] asks for nothing; give numbers such as '[4,8]'")
