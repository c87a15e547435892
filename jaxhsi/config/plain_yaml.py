"""YAML files that are read as data of a bounded size.

Tags that make objects are refused by PyYAML's safe loader. Aliases are refused here: a file of a
kilobyte whose aliases name each other stands for more text than there is memory.
"""

from pathlib import Path
from typing import Any

import yaml

MAX_CHARACTERS = 2**20
"""Length of a file of options or groups, which take a few kilobytes. Set by hand."""


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(
                None, None, f"the alias *{event.anchor} is not read; write its value out", None
            )
        return super().compose_node(parent, index)


def load_yaml(text: str) -> Any:
    """Plain values from YAML.

    Args:
        text: of a file.

    Raises:
        yaml.YAMLError: other text, an alias, a tag, or more than a file of options holds.

    >>> load_yaml("background: [0, 3]")
    {'background': [0, 3]}
    """
    if len(text) > MAX_CHARACTERS:
        raise yaml.YAMLError(f"it has more than {MAX_CHARACTERS:,} characters")
    try:
        return yaml.load(text, Loader=_PlainLoader)  # a safe loader by its class
    except (RecursionError, ValueError) as error:
        raise yaml.YAMLError(f"its values are not plain ones ({error})") from error


def check_yaml_file(path: Path) -> None:
    """Refuse a file that `load_yaml` does not read; one that cannot be opened is left to others.

    Args:
        path: of the file.

    Raises:
        ValueError: names the file.
    """
    try:
        load_yaml(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(
            f"{path} cannot be read as YAML: {' '.join(str(error).split())}"
        ) from error
    except (OSError, UnicodeDecodeError):
        return
