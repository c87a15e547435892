"""Options from the command line and YAML files into a dataclass, and back into a file."""

import difflib
import re
from argparse import ArgumentError
from collections.abc import Collection, Iterator
from dataclasses import MISSING, Field, asdict, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from docstring_parser import parse
from jsonargparse import ArgumentParser, Namespace

Config = TypeVar("Config")


class Parser(ArgumentParser):
    """A parser that names what it would have accepted."""

    def error(self, message: str, *args: Any, **kwargs: Any) -> None:
        """Add the valid names to a complaint about an unknown one."""
        if re.search("not accept|unrecognized", message):
            names = sorted(self.get_defaults(skip_validation=True).keys())
            unknown = re.findall(r"[\w.]+", message.replace("--", ""))
            close = [c for word in unknown for c in difflib.get_close_matches(word, names, 1)]
            hint = f"did you mean --{close[-1]}? " if close else ""
            message = f"{message}\n{hint}Valid options: {', '.join(names)}"
        super().error(message, *args, **kwargs)


def config_parser(kind: type, **kwargs: Any) -> ArgumentParser:
    """Parser of the options and files of a configuration class.

    Fields without a default are positional, in their order; of one that is `tuple[X, ...]` the
    command line takes one or more. Their docstrings are in the class's own.
    """
    positional = [f for f in fields(kind) if f.default is f.default_factory is MISSING]
    shown = "".join(f" {f.name.upper()}{' ...' * _is_several(f)}" for f in positional)
    parser = Parser(
        usage=f"%(prog)s{shown} [--config FILE] [--option VALUE ...]",
        description=(kind.__doc__ or "").splitlines()[0],
        allow_abbrev=False,
        **kwargs,
    )
    helps = {p.arg_name: p.description for p in parse(kind.__doc__ or "").params}
    for f in positional:
        several = {"nargs": "+"} if _is_several(f) else {}
        type_ = get_args(f.type)[0] if several else f.type
        parser.add_argument(f.name, type=type_, help=helps.get(f.name), **several)
    parser.add_argument("--config", action="config", help="a YAML file with any of these options")
    parser.add_class_arguments(kind, skip={f.name for f in positional})
    return parser


def _is_several(f: Field) -> bool:
    return get_origin(f.type) is tuple and get_args(f.type)[-1] is Ellipsis


def parsed_config(kind: type[Config], parser: ArgumentParser, parsed: Namespace) -> Config:
    """The configuration in the result of ``parser.parse_args``.

    Raises:
        ValueError: a value is out of range.
    """
    values = vars(parser.instantiate(parsed))
    chosen = {f.name: values[f.name] for f in fields(kind)}
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in chosen.items()})


def read_config(kind: type[Config], path: Path) -> Config:
    """The configuration in a file that :func:`write_config` wrote.

    Raises:
        ValueError: it holds other options, or values out of range.
    """
    parser = config_parser(kind, exit_on_error=False)
    try:
        return parsed_config(kind, parser, parser.parse_args(["--config", str(path)]))
    except ArgumentError as error:
        raise ValueError(f"{path} cannot be read as options of this version: {error}") from error


def write_config(config: Any, path: Path) -> None:
    """Write a configuration so that ``--config`` reads it back."""
    path.write_text(yaml.safe_dump(_plain(asdict(config)), sort_keys=False))


def check_same_run(config: Any, path: Path, free: Collection[str]) -> None:
    """Refuse to go on with a run under options that would not have led to its checkpoint.

    Args:
        config: of now.
        path: the file that :func:`write_config` wrote when the run began.
        free: options, or groups of them, whose values may differ.

    Raises:
        ValueError: names each option that differs, with both values.
    """
    then = dict(_leaves(yaml.safe_load(path.read_text())))
    now = dict(_leaves(_plain(asdict(config))))
    differing = [
        f"--{name} {now.get(name)} (was {then.get(name)})"
        for name in now | then
        if now.get(name) != then.get(name) and not {name, name.split(".")[0]} & set(free)
    ]
    if differing:
        raise ValueError(
            f"--resume goes on with the run of {path}, but other options were given: "
            f"{', '.join(differing)}; drop them, or start a new run"
        )


def check_positive(option: str, value: float | None) -> None:
    """Refuse a number that is given and is not positive.

    Raises:
        ValueError: names the option.
    """
    if value is not None and not value > 0:
        raise ValueError(f"{option} {value} is out of range; give a positive number")


def check_at_least(name: str, value: int | float, least: int) -> None:
    """Refuse an option that is too small."""
    if value < least:
        raise ValueError(f"{name} {value} is out of range; give {least} or more")


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
