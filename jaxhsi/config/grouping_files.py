"""Groups of clusters and names of classes, as options and YAML files give them."""

import hashlib
import logging
import re
from pathlib import Path

import yaml

from jaxhsi.cluster_groups import Grouping, make_grouping, parse_groups
from jaxhsi.config.plain_yaml import load_yaml
from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.storage.replacement import replace_text

_HEADER = "written by jaxhsi; edit the groups, and leave the last line"
"""Comment at the top of a file that was written here, by which one that was cut is recognised."""
_LAST_LINE = re.compile(r"^# end of the groups, sha256: ([0-9a-f]{64})\s*$", re.MULTILINE)
"""Last line of such a file. A person may have edited what stands above."""
_TREE_LINE = re.compile(r"^# tree: ([0-9a-f]{12})\s*$", re.MULTILINE)
"""Comment by which a file names the merge tree whose clusters it groups."""


def read_grouping(groups_option: str, num_clusters: int, tree_id: str | None = None) -> Grouping:
    """The grouping that an option gives, as text or as a YAML file.

    Args:
        groups_option: text such as "background=0,3 tissue=1,2", or the path of a YAML file.
        num_clusters: number of clusters k.
        tree_id: of the tree of these clusters, with which a file that names one must agree.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another form, or groups that :func:`jaxhsi.cluster_groups.make_grouping`
            refuses.

    >>> read_grouping("tissue=0,2", 3).group_names
    ('tissue', 'cluster 1')
    """
    if not groups_option.endswith((".yaml", ".yml")):
        return make_grouping(parse_groups(groups_option), num_clusters)
    path = Path(groups_option)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}; --groups takes text or a YAML file")
    clusters_by_name = read_groups(path)
    _check_tree(path, path.read_text(encoding="utf-8"), tree_id)
    try:
        return make_grouping(clusters_by_name, num_clusters)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_groups(path: Path) -> dict[str, list[int]]:
    """Clusters of each group in a YAML file, which a person may have written or edited.

    Args:
        path: of the file.

    Raises:
        ValueError: another form, or a file of jaxhsi that was cut.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = load_yaml(text)
        _check_names(text)
        clusters_by_name = {str(name): _read_members(each) for name, each in content.items()}
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f'{path} does not hold groups, lines such as "background: [0, 3]" ({error})'
        ) from error
    _check_end(path, text)
    return clusters_by_name


def _check_end(path: Path, text: str) -> None:
    """Refuse a file of jaxhsi without its end; the log says where one was edited."""
    match = _LAST_LINE.search(text)
    if match is not None:
        if hashlib.sha256(text[: match.start()].encode()).hexdigest() != match[1]:
            message = "%s was edited since jaxhsi wrote it; its groups are used as they stand"
            logging.getLogger(__name__).info(message, path)
    elif _HEADER in text:
        remedy = (
            f"jaxhsi group {path.parent} --overwrite with the groups writes it anew; if the groups "
            f'are whole, delete the line "# {_HEADER}"'
        )
        raise DamagedFileError(path, "it has no last line, as if it were cut", remedy)


def _check_names(text: str) -> None:
    """Refuse a name that is given twice, of which YAML would take the last."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    names: set[str] = set()
    for name_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if name_node.value in names:
            raise ValueError(f"{name_node.value!r} is given twice; name its clusters together")
        names.add(name_node.value)


def _check_tree(path: Path, text: str, tree_id: str | None) -> None:
    """Refuse groups of the clusters of another run."""
    match = _TREE_LINE.search(text)
    if match is not None and tree_id is not None and match[1] != tree_id:
        raise ValueError(
            f"{path} groups the clusters of another run: it names the tree {match[1]}, this run "
            f"has the tree {tree_id}; make groups in the report of this run, or delete the line "
            f'"# tree: {match[1]}" if the clusters are the same'
        )


def _read_members(yaml_value: object) -> list[int]:
    """Clusters of a group; a single one needs no brackets."""
    members = yaml_value if isinstance(yaml_value, list) else [yaml_value]
    if any(isinstance(member, bool) or not isinstance(member, int) for member in members):
        raise ValueError(f"{yaml_value} is no list of whole numbers")
    return members


def write_grouping(grouping: Grouping, path: Path, note: str = "") -> None:
    """Write a grouping so that ``--groups`` reads it back.

    Args:
        grouping: to write.
        path: of the YAML file.
        note: comment at its top.
    """
    comment = "".join(f"# {line}\n" for line in (_HEADER, *note.splitlines()))
    members = yaml.safe_dump(grouping.members_by_name(), sort_keys=False, default_flow_style=None)
    text = comment + members
    digest = hashlib.sha256(text.encode()).hexdigest()
    replace_text(path, f"{text}# end of the groups, sha256: {digest}\n")


def read_class_names(names_option: str) -> dict[int, str]:
    """Class value -> name, from text such as "background=0 tissue=1".

    Args:
        names_option: the text.

    Raises:
        ValueError: another form, or a name or value that is given twice.

    >>> read_class_names("background=0 tissue=1")
    {0: 'background', 1: 'tissue'}
    """
    name_of_value: dict[int, str] = {}
    for name, values in parse_groups(names_option).items():
        for value in values:
            if value in name_of_value or len(values) > 1:
                raise ValueError(
                    f"--class_names {names_option!r}: give each class value one name of its own"
                )
            name_of_value[value] = name
    return name_of_value
