"""Options of ``python -m jaxhsi.predict`` and ``python -m jaxhsi.evaluate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from jaxhsi.cluster_groups import Grouping, make_grouping, parse_groups
from jaxhsi.config.files import check_at_least, check_positive


@dataclass(frozen=True)
class PredictConfig:
    """Label cubes with a trained run of dgc: label maps, pictures and areas in a folder.

    Attributes:
        run: folder of the run; the state that is kept of it is used, see --keep_state of train dgc.
        cubes: files, folders of cubes, stores or their URLs.
        out: folder of the results; predictions/ in that of the run if not given.
        groups: groups of clusters by name, such as "background=0,3 tissue=1,2", or a YAML file
            with lines such as "background: [0, 3]"; clusters that are not named stay as they are.
            Those that `python -m jaxhsi.group` saved with the run if not given.
        cut: cut the tree of the clusters into so many groups instead.
        pixel_size: side of a pixel in metres, for areas; taken from the cube if not given.
        tile_size: side in pixels of the tiles that are labelled at once; that of the run if not given.
        tolerance: nm by which the wavelengths of a band may differ from those of the run; half of
            the smallest distance between two bands if not given.
        key: name of the cube inside a file, where there are several.
        layout: order of the axes of a .mat or .npy file; told from their lengths if not given.
        size: height and width of the image where the array is a table (C, H * W).
    """

    run: Path
    cubes: tuple[str, ...]
    out: Path | None = None
    groups: str | None = None
    cut: int | None = None
    pixel_size: float | None = None
    tile_size: int | None = None
    tolerance: float | None = None
    key: str | None = None
    layout: Literal["hwc", "chw"] | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self):
        """Refuse values that cannot work before anything long begins."""
        for name, value in (("--tile_size", self.tile_size), ("--cut", self.cut)):
            if value is not None:
                check_at_least(name, value, 1)
        check_positive("--pixel_size", self.pixel_size)
        check_positive("--tolerance", self.tolerance)


@dataclass(frozen=True)
class EvaluateConfig:
    """Score label maps against true classes.

    Attributes:
        folder: a run of dgc, or what predict wrote.
        labels: true classes: a file for one cube, or a folder of files with the stems of the cubes.
        ignore_label: class in the labels that means unlabelled, e.g. 0.
        label_key: name of the labels inside a file, where there are several.
        class_names: names of the classes, such as "background=0 tissue=1"; those in the files, or
            "class 1", if not given.
        groups: groups of clusters named as the classes are, to score one's own choice beside the
            best ones; as for predict. Without it the groups that `python -m jaxhsi.group` saved
            with a run are scored.
        out: file of the scores; evaluation.json in the folder if not given.
    """

    folder: Path
    labels: Path | None = None
    ignore_label: int | None = None
    label_key: str | None = None
    class_names: str | None = None
    groups: str | None = None
    out: Path | None = None

    def __post_init__(self):
        """Refuse what cannot be evaluated."""
        if self.labels is None:
            raise ValueError("--labels is missing: the true classes to score against")


def read_grouping(groups_option: str, num_clusters: int) -> Grouping:
    """The merge that an option names, in its text or in a YAML file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another form, or groups that `merging.merge_of` refuses.
    """
    if not groups_option.endswith((".yaml", ".yml")):
        return make_grouping(parse_groups(groups_option), num_clusters)
    path = Path(groups_option)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}; --groups takes text or a YAML file")
    try:
        groups = yaml.safe_load(path.read_text())
        named = {str(name): _members(members) for name, members in groups.items()}
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} does not hold groups, lines such as "background: [0, 3]" ({error})'
        ) from error
    try:
        return make_grouping(named, num_clusters)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _members(found: object) -> list[int]:
    """Clusters of a group; a single one needs no brackets."""
    members = found if isinstance(found, list) else [found]
    if any(isinstance(m, bool) or not isinstance(m, int) for m in members):
        raise ValueError(f"{found} is no list of whole numbers")
    return members


def write_grouping(grouping: Grouping, path: Path, note: str = "") -> None:
    """Write a merge so that ``--grouping`` reads it back, under a note in a comment."""
    comment = "".join(f"# {line}\n" for line in note.splitlines())
    path.write_text(
        comment
        + yaml.safe_dump(grouping.members_by_name(), sort_keys=False, default_flow_style=None)
    )


def read_class_names(names_option: str) -> dict[int, str]:
    """Class value -> name of text such as "background=0 tissue=1".

    Raises:
        ValueError: another form, or a name or value that is given twice.
    """
    found: dict[int, str] = {}
    for name, values in parse_groups(names_option).items():
        for value in values:
            if value in found or len(values) > 1:
                raise ValueError(
                    f"--class_names {names_option!r}: give each class value one name of its own"
                )
            found[value] = name
    return found
