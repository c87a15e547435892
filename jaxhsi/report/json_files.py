"""JSON files that every reader of JSON accepts."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxhsi.storage.checksums import write_checked_json


def write_json(path: Path, content: Any) -> None:
    """Write numbers, text, lists and mappings; what is not finite becomes null, which JSON knows.

    The last key, ``sha256``, is the checksum of all before it.

    >>> import tempfile
    >>> from jaxhsi.storage.checksums import read_checked_json
    >>> path = Path(tempfile.mkdtemp()) / "scores.json"
    >>> write_json(path, {"r2": float("-inf"), "count": 3})
    >>> read_checked_json(path, "write it anew")
    {'r2': None, 'count': 3}
    """
    write_checked_json(path, finite_content(content))


def json_text(content: Any) -> str:
    """Numbers, text, lists, mappings and paths as JSON; what is not finite becomes null.

    >>> json_text({"r2": float("nan")}).split()
    ['{', '"r2":', 'null', '}']
    """
    return json.dumps(finite_content(content), indent=1, allow_nan=False)


def finite_content(content: Any) -> Any:
    """The same with None in the place of numbers that are not finite, and paths as text.

    >>> finite_content([1.0, float("nan")])
    [1.0, None]
    """
    if isinstance(content, Mapping):
        return {key: finite_content(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite_content(value) for value in content]
    if isinstance(content, Path):
        return str(content)
    return None if isinstance(content, float) and not math.isfinite(content) else content
