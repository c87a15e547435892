"""Options of a command line and of YAML files, parsed into a frozen dataclass.

A field of a configuration class may say in its metadata which method it belongs to,
``field(..., metadata={"method": "upstream"})``. The parser then has the options of one method
alone, and so have its help and the file that a run writes.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

import yaml
from docstring_parser import parse
from jsonargparse import ArgumentParser, Namespace

from jaxhsi.closest_name import closest_name
from jaxhsi.config.help_text import brief_help
from jaxhsi.config.plain_yaml import check_yaml_file, load_yaml

Config = TypeVar("Config")


class CommonOption(NamedTuple):
    """An option of a command that is not part of its configuration.

    Attributes:
        type: of its value.
        default: of its value.
        metavar: what stands for the value in the help.
        help: what it is for.
    """

    type: type
    default: Any
    metavar: str
    help: str


_UNKNOWN_NAMES = (
    r"Group '([\w.]+)' does not accept option '([\w.]+)'",
    r"Option '([\w.]+)' is not accepted",
    r"unrecognized arguments:.*?--([\w.]+)",
)
"""Complaints of jsonargparse about an unknown option or key of a file; the parts of its name."""
_STRAY_VALUE = r"unrecognized arguments: ([^-\s]\S*)"


class CommandParser(ArgumentParser):
    """A parser with a brief help, which names the nearest option where one is unknown.

    Attributes:
        brief: text of ``--help``.
        other_options: option or group -> the method that it belongs to, where that is not the one
            that the parser is for.
    """

    brief: str = ""
    other_options: dict[str, str] = {}  # noqa: RUF012 (replaced, never changed)

    def format_help(self) -> str:
        """The brief help."""
        return self.brief or super().format_help()

    def error(self, message: str, *args: Any, **kwargs: Any) -> None:
        """Add the nearest name to a complaint about an unknown one."""
        matches = [re.search(pattern, message) for pattern in _UNKNOWN_NAMES]
        names = [".".join(match.groups()) for match in matches if match]
        stray_value = re.search(_STRAY_VALUE, message)
        if names and (method := self.other_options.get(names[0].split(".")[0])):
            message = f"--{names[0]} belongs to --method {method}"
        elif names:
            closest = self._closest_option(names[0])
            hint = f"did you mean --{closest}?" if closest else "--help_all lists all options"
            message = f"{message}\n{hint}"
        elif stray_value and "data" in self.get_defaults(skip_validation=True):
            message = f"{message}\ndid you mean --data {stray_value[1]}?"
        super().error(message, *args, **kwargs)

    def _closest_option(self, name: str) -> str | None:
        """The option that a name is most like, or that ends with it after a dot."""
        positional = {action.dest for action in self._actions if not action.option_strings}
        options = set(self.get_defaults(skip_validation=True).keys()) - positional - {"command"}
        by_last_part = {option.rsplit(".")[-1]: option for option in sorted(options, reverse=True)}
        closest_part = closest_name(name, list(by_last_part))
        closest = closest_name(name, sorted(options))
        return closest or (by_last_part[closest_part] if closest_part else None)


class _FullHelp(argparse.Action):
    """Prints all options with their types and whole descriptions."""

    def __call__(self, parser: Any, *_: Any) -> None:
        parser.brief = ""
        parser.print_help()
        parser.exit()


def method_fields(config_class: type, method: str | None) -> list[Field]:
    """Fields of a configuration class but for those of other methods; all where it has none."""
    return [
        f
        for f in fields(config_class)
        if method is None or f.metadata.get("method", method) == method
    ]


def default_method(config_class: type) -> str | None:
    """The default of the field ``method``, None for a class without one."""
    return next((f.default for f in fields(config_class) if f.name == "method"), None)


def chosen_method(config_class: type, arguments: Sequence[str]) -> str | None:
    """The method that arguments ask for: the last ``--method``, or that of a ``--config`` file.

    Args:
        config_class: its default method is taken where nothing asks for one.
        arguments: of a command line.

    Raises:
        ValueError: a file holds the options of another command.

    >>> from jaxhsi.config.dgc import DGCConfig
    >>> chosen_method(DGCConfig, ["--steps", "3", "--method", "upstream"])
    'upstream'
    """
    method = default_method(config_class)
    if method is None:
        return None
    for option, value in _option_values(arguments, ("--method", "--config")):
        if option == "--method":
            method = value
        elif isinstance(options := _read_yaml(Path(value)), dict):
            method = options.get("method", method)
            _check_command(config_class, Path(value), options)
    [field_] = [f for f in fields(config_class) if f.name == "method"]
    # An unknown method is refused by the parser, which lists those that there are.
    return method if method in get_args(field_.type) else default_method(config_class)


def check_config_files(arguments: Sequence[str]) -> None:
    """Refuse files of ``--config`` that are not plain YAML, before the parser reads them.

    Args:
        arguments: of a command line.

    Raises:
        ValueError: names the file.
    """
    for _, text in _option_values(arguments, ("--config",)):
        check_yaml_file(Path(text))


def option_value(arguments: Sequence[str], name: str) -> str | None:
    """Value of an option on a command line, else in the files that it names by ``--config``."""
    value = None
    for option, text in _option_values(arguments, (f"--{name}", "--config")):
        if option == f"--{name}":
            value = text
        elif isinstance(options := _read_yaml(Path(text)), dict):
            value = options.get(name, value)
    return value


def config_parser(
    config_class: type,
    *,
    method: str | None = None,
    flags: Mapping[str, str] | None = None,
    common_flags: Mapping[tuple[str, ...], str] | None = None,
    common_options: Mapping[str, CommonOption] | None = None,
    **kwargs: Any,
) -> CommandParser:
    """Parser of the options and files of a configuration class.

    Fields without a default are positional, in their order; of one that is `tuple[X, ...]` the
    command line takes one or more. Their descriptions are in the class's docstring.

    Args:
        config_class: frozen dataclass of the options.
        method: whose options the parser has; the default one if not given.
        flags: name -> help of switches that are not part of the configuration.
        common_flags: spellings -> help of switches that every command has.
        common_options: name -> option that is not part of the configuration.
        **kwargs: of `ArgumentParser`.
    """
    method = method or default_method(config_class)
    chosen = {f.name for f in method_fields(config_class, method)}
    positional = [f for f in fields(config_class) if f.default is f.default_factory is MISSING]
    shown = "".join(f" {f.name.upper()}{' ...' * _is_several(f)}" for f in positional)
    parser = CommandParser(
        usage=f"%(prog)s{shown} [--config FILE] [--option VALUE ...]",
        description=(config_class.__doc__ or "").splitlines()[0],
        allow_abbrev=False,
        **kwargs,
    )
    helps = {p.arg_name: p.description for p in parse(config_class.__doc__ or "").params}
    for f in positional:
        several = {"nargs": "+"} if _is_several(f) else {}
        type_ = get_args(f.type)[0] if several else f.type
        parser.add_argument(f.name, type=type_, help=helps.get(f.name), **several)
    parser.add_argument("--config", action="config", help="a YAML file with any of these options")
    parser.add_argument("--help_all", nargs=0, action=_FullHelp, help="show all options in full")
    for name, text in (flags or {}).items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    for spellings, text in (common_flags or {}).items():
        parser.add_argument(*spellings, action="store_true", help=text)
    for name, option in (common_options or {}).items():
        parser.add_argument(f"--{name}", type=option.type, default=option.default, help=option.help)
    if hasattr(config_class, "command"):
        parser.add_argument("--command", default=config_class.command, help=argparse.SUPPRESS)
    hidden = {f.name: f.metadata["method"] for f in fields(config_class) if f.name not in chosen}
    parser.add_class_arguments(config_class, skip={f.name for f in positional} | set(hidden))
    parser.other_options = hidden
    if method is not None:
        parser.set_defaults(method=method)
    parser.brief = brief_help(
        parser.format_usage(),
        config_class,
        method_fields(config_class, method),
        flags or {},
        (common_flags or {})
        | {
            (f"--{name} {each.metavar}",): each.help
            for name, each in (common_options or {}).items()
        },
    )
    return parser


def with_bare_switches(config_class: type, arguments: Sequence[str]) -> list[str]:
    """Arguments in which ``--raw`` alone stands for ``--raw true``, for every field that is a bool.

    >>> from jaxhsi.config.dgc import DGCConfig
    >>> with_bare_switches(DGCConfig, ["--raw", "--steps", "3"])
    ['--raw=true', '--steps', '3']
    >>> with_bare_switches(DGCConfig, [])
    []
    """
    switches = {f"--{f.name}" for f in fields(config_class) if f.type in (bool, bool | None)}
    following = [*arguments[1:], ""][: len(arguments)]
    return [
        f"{argument}=true"
        if argument in switches and value.lower() not in ("true", "false", "yes", "no")
        else argument
        for argument, value in zip(arguments, following, strict=True)
    ]


def with_several_values(config_class: type, arguments: Sequence[str]) -> list[str]:
    """Arguments in which ``--data a b`` stands for a list, for every option that takes several.

    >>> from jaxhsi.config.gmcr import GMCRConfig
    >>> with_several_values(GMCRConfig, ["--data", "a.csv", "b.csv", "--seed", "3"])
    ['--data=["a.csv", "b.csv"]', '--seed', '3']
    """
    options = {
        f"--{f.name}"
        for f in fields(config_class)
        if any(get_args(part)[-1:] == (Ellipsis,) for part in get_args(f.type))
    }
    joined, i = [], 0
    while i < len(arguments):
        end = i + 1
        while arguments[i] in options and end < len(arguments) and arguments[end][:1] != "-":
            end += 1
        values = arguments[i + 1 : end]
        is_list = len(values) > 1
        joined += [f"{arguments[i]}={json.dumps(values)}"] if is_list else arguments[i:end]
        i = end
    return joined


def parsed_config(config_class: type[Config], parser: ArgumentParser, parsed: Namespace) -> Config:
    """The configuration in the result of ``parser.parse_args``.

    Raises:
        ValueError: a value is out of range.
    """
    values = vars(parser.instantiate(parsed))
    given = {f.name: values[f.name] for f in fields(config_class) if f.name in values}
    return config_class(**{n: tuple(v) if isinstance(v, list) else v for n, v in given.items()})


def _check_command(config_class: type, path: Path, options: dict[str, Any]) -> None:
    command = getattr(config_class, "command", None)
    if options.get("command", command) != command:
        raise ValueError(
            f"{path} holds options of the command {options['command']}, not of {command}"
        )


def _is_several(f: Field) -> bool:
    return get_origin(f.type) is tuple and get_args(f.type)[-1] is Ellipsis


def _option_values(arguments: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    """Options of these names with their values, in their order; ``--a b`` or ``--a=b``."""
    pairs = []
    for i, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names and (equals or i + 1 < len(arguments)):
            pairs.append((name, value if equals else arguments[i + 1]))
    return pairs


def _read_yaml(path: Path) -> Any:
    """Contents of a file; None where it cannot be read, which the parser then says."""
    try:
        return load_yaml(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
