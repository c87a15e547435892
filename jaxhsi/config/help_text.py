"""The text of ``--help``: what most people need, on one screen; ``--help_all`` has the rest.

A configuration class says with class variables what is shown: ``main_options``, the options of
the brief help (all without it), and ``example``, a command that works.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from docstring_parser import parse

WIDTH = 100
"""Columns of the text, as of the code; set by hand."""
_NAME_WIDTH = 30  # columns of the names; longer ones push their description to the right

METAVARS = {
    **dict.fromkeys(("data", "cube", "cubes", "run", "folder", "out", "paths", "files"), "PATH"),
    **dict.fromkeys(("key", "label_key", "truth_key"), "NAME"),
    "layout": "{hwc,chw,hcw}",
    "size": "'[H,W]'",
    "wavelengths": "'[LOW,HIGH]'",
    "pixel_size": "LENGTH",
    "tolerance": "NM",
    "groups": "TEXT|FILE",
    "bad_bands": "RANGES",
    "share_of": "NAMES",
    "class_names": "TEXT",
    "pretreatment": "STEPS",
    "normalisation": "NAMES",
    "missing": "WORD",
    "mixing": "MODEL",
    "part": "I/N",
}
"""What stands for the value of an option; by its type where nothing is said here."""


def brief_help(
    usage: str,
    config_class: type,
    options: Sequence[Field],
    flags: Mapping[str, str],
    common_flags: Mapping[tuple[str, ...], str],
) -> str:
    """Help of a configuration class.

    Args:
        usage: first lines.
        config_class: whose docstring explains the fields.
        options: fields of the method that is chosen.
        flags: switches beside the fields, name -> help.
        common_flags: switches of every command, spellings -> help.
    """
    texts = _descriptions(config_class)
    lines = [usage.rstrip(), "", (config_class.__doc__ or "").splitlines()[0], ""]
    if example := getattr(config_class, "example", None):
        lines += [f"  example: {example}", ""]
    groups = [f for f in options if is_dataclass(f.type)]
    single = [f for f in options if f not in groups]
    main_names = getattr(config_class, "main_options", None)
    shown = [f for f in single if main_names is None or f.name in main_names or _is_required(f)]
    for f in shown:
        lines += _option(_head(f), _default(f), texts.get(f.name, ""))
    lines += [line for name, text in flags.items() for line in _option(f"--{name}", "", text)]
    lines += _option("--config FILE", "", "a YAML file with any of these options")
    for spellings, text in common_flags.items():
        lines += _option(", ".join(spellings), "", text)
    num_others = len(single) - len(shown) + sum(len(fields(f.type)) for f in groups)
    group_names = f": --{'.*, --'.join(f.name for f in groups)}.*" if groups else ""
    text = f"{num_others} more options{group_names}" if num_others else "types of all options"
    lines += _option("--help_all", "", text, max_lines=3)
    return "\n".join(lines) + "\n"


def metavar(f: Field) -> str | None:
    """What stands for the value of an option in the help; None for a switch.

    >>> from jaxhsi.config.dgc import DGCConfig
    >>> [metavar(f) for f in fields(DGCConfig) if f.name in ("steps", "layout", "raw")]
    ['N', '{hwc,chw,hcw}', None]
    """
    types = get_args(f.type) if get_origin(f.type) in (Union, UnionType) else (f.type,)
    if bool in types:
        return "{true,false}" if f.default is True else None
    if f.name in METAVARS:
        return METAVARS[f.name]
    literals = [value for part in types if get_origin(part) is Literal for value in get_args(part)]
    if literals:
        return f"{{{','.join(map(str, literals))}}}"
    return next((word for kind, word in _TYPE_WORDS.items() if kind in types), "TEXT")


_TYPE_WORDS = {Path: "PATH", int: "N", float: "X"}


def _descriptions(config_class: type) -> dict[str, str]:
    """Attribute -> what a docstring says of it, on one line."""
    params = parse(config_class.__doc__ or "").params
    return {p.arg_name: " ".join((p.description or "").split()) for p in params}


def _is_required(f: Field) -> bool:
    return f.default is f.default_factory is MISSING


def _head(f: Field) -> str:
    if _is_required(f):
        return f.name.upper()
    value = metavar(f)
    return f"--{f.name}" if value is None else f"--{f.name} {value}"


def _default(f: Field) -> str:
    value: Any = f.default if f.default is not MISSING else None
    if value is None or value is False or isinstance(value, tuple | Path):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _option(head: str, default: str, text: str, max_lines: int = 2) -> list[str]:
    """An option with its default and its description: as many clauses as fit into a line.

    Where already the first is longer than a line it goes on in the next ones.
    """
    indent = " " * (_NAME_WIDTH + 2)
    begin = f"  {head:<{_NAME_WIDTH - 2}}  "
    suffix, room = f" [{default}]" if default else "", WIDTH - len(indent)
    clauses = re.split(r"(?<=;) |(?<=\.) ", text.rstrip("."))
    while len(clauses) > 1 and len(" ".join(clauses)) + len(suffix) > room:
        clauses.pop()
    shown_text = " ".join(clauses).rstrip(";.") + suffix
    wrapped = textwrap.wrap(shown_text, room, max_lines=max_lines, placeholder=" ...") or [""]
    if len(begin) > len(indent):
        return [begin.rstrip(), *(indent + line for line in wrapped)]
    return [(begin + wrapped[0]).rstrip(), *(indent + line for line in wrapped[1:])]
