"""Options of ``jaxhsi group``."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jaxhsi.config.files import check_at_least


@dataclass(frozen=True)
class GroupConfig:
    """Show the tree of a run's clusters, and save groups of them that predict and evaluate use.

    Attributes:
        run: folder of a run of dgc.
        cut: cut the tree into so many groups.
        groups: groups of clusters by name, such as "background=0,3 tissue=1,2", or a YAML file
            with lines such as "background: [0, 3]"; clusters that are not named stay as they are.
        labels: a few labelled pixels that name the clusters: drawn shapes, a label
            map, or a folder of files with the stems of the cubes.
        ignore_label: class in the label maps that means unlabelled, e.g. 0.
        label_key: name of the labels inside a file, where there are several.
        unlabelled_outside: pixels that no drawn shape covers have no class; false: they are
            background. By default background, unless shapes called background are drawn.
        class_names: names of the classes in the label maps, such as "background=0 tissue=1".
        points: labelled pixels in a CSV file with lines cube,row,column,name; rows and columns
            are counted from 0.
    """

    example: ClassVar[str] = "jaxhsi group runs/field --cut 4"
    main_options: ClassVar[tuple[str, ...]] = (
        "cut",
        "groups",
        "labels",
        "ignore_label",
        "label_key",
        "unlabelled_outside",
        "class_names",
        "points",
    )
    run: Path
    cut: int | None = None
    groups: str | None = None
    labels: Path | None = None
    ignore_label: int | None = None
    label_key: str | None = None
    unlabelled_outside: bool | None = None
    class_names: str | None = None
    points: Path | None = None

    def __post_init__(self):
        """Refuse values out of range, and several options that ask for groups."""
        if self.cut is not None:
            check_at_least("--cut", self.cut, 1)
        if len(self.given_options) > 1:
            raise ValueError(
                f"{' and '.join(self.given_options)} ask for different groups; give one"
            )

    @property
    def given_options(self) -> tuple[str, ...]:
        """Options that ask for groups and were given."""
        group_options = ("cut", "groups", "labels", "points")
        return tuple(f"--{name}" for name in group_options if getattr(self, name) is not None)
