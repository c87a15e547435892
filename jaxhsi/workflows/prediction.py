"""What labels cubes: a trained run, its state, and the groups that its labels stand for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxhsi.closest_name import closest_name
from jaxhsi.cluster_groups import Grouping, make_grouping
from jaxhsi.config.predict import PredictConfig
from jaxhsi.data.cache import fingerprint
from jaxhsi.training.state_digest import state_digest
from jaxhsi.workflows.merge_tree_files import choose_grouping
from jaxhsi.workflows.segmentation_model import SegmentationModel, open_segmentation_model


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """A trained run, and the groups that its labels are to stand for.

    Attributes:
        config: the options.
        model: the run.
        state: that labels.
        num_steps: that it was trained for.
        grouping: groups of the clusters; each is its own where there are none.
        groups_source: where the groups come from, or None.
    """

    config: PredictConfig
    model: SegmentationModel
    state: Any
    num_steps: int
    grouping: Grouping
    groups_source: str | None

    @property
    def kind(self) -> str:
        """What the labels are, "cluster" or "group"."""
        return "cluster" if self.groups_source is None else "group"

    @property
    def num_labels(self) -> int:
        """Number of groups."""
        return len(self.grouping.group_names)

    @property
    def share_names(self) -> list[str]:
        """The groups whose shares of each other are wanted too."""
        return _share_names(self.config.share_of, self.grouping.group_names)

    @property
    def tile_size(self) -> int:
        """Side of the tiles in pixels."""
        return self.config.tile_size or self.model.config.stream.tile_size

    @property
    def results_key(self) -> str:
        """Name of all that label maps depend on but for options and cubes."""
        groups = self.grouping.members_by_name()
        return fingerprint((state_digest(self.state), groups, self.tile_size))


def open_prediction(config: PredictConfig, *, ignore_groups: bool) -> Prediction:
    """Open the run that options name, its state, and its groups.

    Args:
        config: the options.
        ignore_groups: label by clusters, whatever groups are saved with the run.

    Raises:
        FileNotFoundError, ValueError: a run or groups that cannot be used.
    """
    model = open_segmentation_model(config.run)
    grouping, source = _choose_groups(config, model, ignore_groups=ignore_groups)
    _share_names(config.share_of, grouping.group_names)
    state, num_steps = model.restore_state()
    return Prediction(
        config=config,
        model=model,
        state=state,
        num_steps=num_steps,
        grouping=grouping,
        groups_source=source,
    )


def _choose_groups(
    config: PredictConfig, model: SegmentationModel, *, ignore_groups: bool
) -> tuple[Grouping, str | None]:
    """Groups of the clusters and their source; without groups each cluster is its own group."""
    num_clusters = model.config.num_clusters
    chosen = choose_grouping(
        config.run,
        num_clusters,
        groups=config.groups,
        cut_groups=config.cut,
        ignore_groups=ignore_groups,
    )
    return (make_grouping({}, num_clusters), None) if chosen is None else chosen


def _share_names(share_of: str | None, group_names: Sequence[str]) -> list[str]:
    """The groups that an option names, whose shares of each other are wanted.

    Raises:
        ValueError: a name that no group has.
    """
    names = [name.strip() for name in (share_of or "").split(",") if name.strip()]
    by_plain_name = {name.casefold(): name for name in group_names}
    for name in names:
        if name.casefold() not in by_plain_name:
            closest = closest_name(name, group_names)
            hint = f"did you mean {closest}? " if closest else ""
            raise ValueError(
                f"--share_of {share_of}: there is no group {name!r}; {hint}There are: "
                f"{', '.join(group_names)}"
            )
    return [by_plain_name[name.casefold()] for name in names]
