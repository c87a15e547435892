"""The text of ``--help``: one option a line, groups that few need in a line each."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from docstring_parser import parse

WIDTH = 100
"""Columns of the text, as of the code; set by hand."""
_NAME_WIDTH = 34  # columns of the names; longer ones push their description to the right


def brief_help(
    usage: str, config_class: type, shown: Sequence[Field], flags: Mapping[str, str]
) -> str:
    """Help of a configuration class.

    Args:
        usage: first lines.
        config_class: whose docstring explains the fields.
        shown: fields that are explained. A group with ``brief`` in its metadata gets one line.
        flags: switches beside the fields, name -> help.
    """
    texts = _descriptions(config_class)
    lines = [usage.rstrip(), "", (config_class.__doc__ or "").splitlines()[0], ""]
    groups = [f for f in shown if is_dataclass(f.type)]
    for f in shown:
        if f not in groups:
            required = f.default is f.default_factory is MISSING
            name = f.name.upper() if required else f"--{f.name}"
            lines += _option(name, _default(f), texts.get(f.name, "") + _choices(f), 2)
    lines += _option("--config", "", "a YAML file with any of these options")
    lines += _option("--help_all", "", "all options with types and whole descriptions")
    for name, text in flags.items():
        lines += _option(f"--{name}", "", text)
    for f in groups:
        nested = fields(f.type)
        if f.metadata.get("brief"):
            text = f"{texts.get(f.name, '').rstrip('.')} ({len(nested)} options, see --help_all)"
            lines += ["", *_option(f"--{f.name}.OPTION", "", text, 2)]
            continue
        lines += ["", f"--{f.name}: {texts.get(f.name, '').rstrip('.')}"]
        nested_texts = _descriptions(f.type)
        for part in nested:
            lines += _option(
                f"--{f.name}.{part.name}", _default(part), nested_texts.get(part.name, "")
            )
    return "\n".join(lines) + "\n"


def _descriptions(config_class: type) -> dict[str, str]:
    """Attribute -> what a docstring says of it, on one line."""
    params = parse(config_class.__doc__ or "").params
    return {p.arg_name: " ".join((p.description or "").split()) for p in params}


def _default(f: Field) -> str:
    value: Any = f.default if f.default is not MISSING else None
    if value is None or isinstance(value, tuple | Path):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choices(f: Field) -> str:
    """The values of a Literal, for the end of a description; none where the text names them."""
    literals = [f.type, *get_args(f.type)]
    values = [v for part in literals if get_origin(part) is Literal for v in get_args(part)]
    return f" ({', '.join(map(str, values))})" if values else ""


def _option(name: str, default: str, text: str, max_lines: int = 1) -> list[str]:
    """An option with its default and as much of its description as there is room for."""
    head = f"  {name} {f'[{default}]' if default else ''}".rstrip()
    head = f"{head:<{_NAME_WIDTH}}  "
    room = WIDTH - len(head)
    wrapped = textwrap.wrap(text, room, max_lines=max_lines, placeholder=" ...") or [""]
    rest = [" " * len(head) + line for line in wrapped[1:]]
    return [(head + wrapped[0]).rstrip(), *rest]
