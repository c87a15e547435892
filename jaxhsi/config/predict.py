"""Options of ``jaxhsi predict`` and ``jaxhsi evaluate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from jaxhsi.config.files import check_at_least, check_positive
from jaxhsi.config.lengths import length_in_metres
from jaxhsi.config.parts import check_part
from jaxhsi.data.axis_layout import Layout


@dataclass(frozen=True)
class PredictConfig:
    """Label cubes with a trained run of dgc: label maps, pictures and areas in a folder.

    Attributes:
        run: folder of the run; the state that is kept of it is used, see --keep_state of train dgc.
        cubes: files, folders of cubes, stores or their URLs.
        out: folder of the results; predictions/ in that of the run if not given.
        groups: groups of clusters by name, such as "background=0,3 tissue=1,2", or a YAML file
            with lines such as "background: [0, 3]"; clusters that are not named stay as they are.
            The groups that `jaxhsi group` saved with the run if not given.
        cut: cut the tree of the clusters into so many groups instead.
        pixel_size: side of a pixel, in metres or such as 0.5mm, for areas and the scale of exported
            maps; taken from the cube if not given.
        polygons: file of polygons, of cubes with a coordinate system: gpkg, in that system, or
            geojson, in longitude and latitude.
        share_of: names of groups, such as "leaf,lesion", whose shares of each other are given too.
        tile_size: side in pixels of the tiles that are labelled at once; that of the run if not
            given.
        devices: number of devices, each of which labels tiles of its own; all if not given.
        tolerance: nm by which the wavelengths of a band may differ from those of the run; half of
            the smallest distance between two bands if not given.
        key: name of the cube inside a file, where there are several.
        layout: order of the axes, such as hwc, chw or hcw; by evidence if not given.
        size: height and width of the image where the array is a table (C, H * W).
        raw: keep the stored values of files, whatever scale they state; as the run did if not
            given.
        no_data: value of a file that marks a missing measurement; that of the run if not given.
        scale: factor for the values of files, in place of the scale that they state.
        part: label part I of N of the cubes; as a Slurm array says if not given, else all.
    """

    example: ClassVar[str] = "jaxhsi predict runs/field new.hdr --cut 4"
    main_options: ClassVar[tuple[str, ...]] = (
        "out",
        "groups",
        "cut",
        "pixel_size",
        "polygons",
        "share_of",
        "tolerance",
        "key",
        "layout",
        "size",
        "no_data",
        "part",
    )
    run: Path
    cubes: tuple[str, ...]
    out: Path | None = None
    groups: str | None = None
    cut: int | None = None
    pixel_size: float | str | None = None
    polygons: Literal["gpkg", "geojson"] = "gpkg"
    share_of: str | None = None
    tile_size: int | None = None
    devices: int | None = None
    tolerance: float | None = None
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    raw: bool = False
    no_data: float | None = None
    scale: float | None = None
    part: str | None = None

    def __post_init__(self):
        """Refuse values out of range before anything long begins."""
        for option, value in (("--tile_size", self.tile_size), ("--cut", self.cut)):
            if value is not None:
                check_at_least(option, value, 1)
        metres = length_in_metres("--pixel_size", self.pixel_size)
        object.__setattr__(self, "pixel_size", metres)
        check_positive("--tolerance", self.tolerance)
        check_part(self.part)


@dataclass(frozen=True)
class EvaluateConfig:
    """Score label maps against true classes.

    Attributes:
        folder: a run of dgc, or what predict wrote.
        labels: true classes: a file for one cube, or a folder of files with the stems of the cubes.
        ignore_label: class in the labels that means unlabelled, e.g. 0.
        label_key: name of the labels inside a file, where there are several.
        unlabelled_outside: pixels that no drawn shape covers have no class; false: they are
            background. By default background, unless shapes called background are drawn.
        class_names: names of the classes, such as "background=0 tissue=1"; those in the files, or
            "class 1", if not given.
        groups: groups of clusters with the names of the classes, as for predict; they are scored
            beside the best groups. Without it the groups that `jaxhsi group` saved with
            a run are scored.
        out: file of the scores; evaluation.json in the folder if not given.
        part: score part I of N of the maps; as a Slurm array says if not given, else all.
    """

    example: ClassVar[str] = "jaxhsi evaluate runs/field --labels truth/"
    main_options: ClassVar[tuple[str, ...]] = (
        "labels",
        "ignore_label",
        "label_key",
        "unlabelled_outside",
        "class_names",
        "groups",
        "out",
        "part",
    )
    folder: Path
    labels: Path | None = None
    ignore_label: int | None = None
    label_key: str | None = None
    unlabelled_outside: bool | None = None
    class_names: str | None = None
    groups: str | None = None
    out: Path | None = None
    part: str | None = None

    def __post_init__(self):
        """Refuse an evaluation without labels."""
        check_part(self.part)
        if self.labels is None:
            raise ValueError("--labels is missing: the true classes to score against")
