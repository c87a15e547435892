"""Configurations in files: of a run, of a user; whether a run may go on under other options."""

import json
import logging
import shlex
from argparse import ArgumentError
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from jaxhsi.config.parser import chosen_method, config_parser, method_fields, parsed_config
from jaxhsi.config.plain_yaml import load_yaml
from jaxhsi.storage.checksums import DamagedFileError, checked_text, text_with_checksum
from jaxhsi.storage.replacement import replace_text
from jaxhsi.training.checkpoint_sums import list_new_steps
from jaxhsi.training.run_folder import (
    CONFIG_COPY,
    CONFIG_FILE,
    may_lack_checksums,
    repair_hint,
)

Config = TypeVar("Config")


def read_config(config_class: type[Config], path: Path) -> Config:
    """The configuration in a file that :func:`write_config` wrote.

    Raises:
        ValueError: it is damaged, or holds other options, or values out of range.
    """
    read_options(path)
    arguments = ["--config", str(path)]
    method = chosen_method(config_class, arguments)
    parser = config_parser(config_class, method=method, exit_on_error=False)
    try:
        return parsed_config(config_class, parser, parser.parse_args(arguments))
    except ArgumentError as error:
        raise ValueError(f"{path} cannot be read as options of this version: {error}") from error


def write_config(config: Any, path: Path) -> None:
    """Write a configuration so that ``--config`` reads it back, with its checksum at the end.

    Args:
        config: a dataclass; where its class has a ``command``, that comes first in the file, and
            options of other methods than the one that it names are left out.
        path: of the file.
    """
    text = yaml.safe_dump(saved_options(config), sort_keys=False)
    replace_text(path, text_with_checksum(text))


def write_run_config(config: Any, folder: Path) -> None:
    """Write the configuration of a run into its folder, and a copy beside the checkpoints.

    Checkpoints of an earlier version that are there get checksums: the run is of this one then.

    Args:
        config: a dataclass.
        folder: of the run.
    """
    if may_lack_checksums(folder):
        list_new_steps(folder / "checkpoints")
    write_config(config, folder / CONFIG_FILE)
    write_config(config, folder / CONFIG_COPY)


def whole_config_file(folder: Path) -> Path:
    """The configuration of a run: its file, or the copy where the file is damaged.

    Args:
        folder: of the run.

    Raises:
        ValueError: both are damaged.
    """
    path, copy = folder / CONFIG_FILE, folder / CONFIG_COPY
    try:
        _read_text(path)
    except DamagedFileError as error:
        remedy = "copy it back, or begin anew with --overwrite"
        if not copy.is_file():
            raise DamagedFileError(path, f"so is {copy}", remedy) from error
        checked_text(copy, remedy)
        logging.getLogger(__name__).warning("%s is damaged; %s takes its place", path, copy)
        return copy
    return path


def read_options(path: Path) -> dict[str, Any]:
    """Options in a file that :func:`write_config` wrote, as plain values.

    Args:
        path: of the file.

    Raises:
        ValueError: it is damaged.
    """
    remedy = repair_hint(path.parent)
    text = _read_text(path)
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        reason = f"it cannot be read as YAML ({' '.join(str(error).split())})"
        raise DamagedFileError(path, reason, remedy) from error


def options_text(path: Path) -> str:
    """Options in a file that :func:`write_config` wrote, as people read them.

    Args:
        path: of the file.

    Raises:
        ValueError: it is damaged.
    """
    lines = _read_text(path).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))  # but its checksum


def _read_text(path: Path) -> str:
    """The text of a configuration, checked unless an earlier version wrote it."""
    folder = path.parent
    return checked_text(path, repair_hint(folder), allow_unchecked=may_lack_checksums(folder))


def saved_command(path: Path) -> str:
    """The command whose run or result a configuration file belongs to, such as ``dgc``.

    Raises:
        ValueError: the file is damaged, or does not say, as those of earlier versions.
    """
    options = read_options(path)
    if "command" not in options:
        raise ValueError(f"{path} does not say which command wrote it; make the run anew")
    return options["command"]


def check_same_run(config: Any, path: Path, may_differ: Collection[str]) -> None:
    """Refuse to go on with a run under options that would not have led to its checkpoint.

    Args:
        config: of now.
        path: the file that :func:`write_config` wrote when the run began.
        may_differ: options, or groups of them, whose values may differ.

    Raises:
        ValueError: names each option that differs, with both values.
    """
    differing = differing_options(saved_options(config), read_options(path), may_differ)
    if differing:
        raise ValueError(
            f"--resume goes on with the run of {path}, but other options were given: "
            f"{', '.join(differing)}; drop them, or start a new run"
        )


def differing_options(
    now: dict[str, Any], then: dict[str, Any], may_differ: Collection[str] = ()
) -> list[str]:
    """Options whose values differ, with both, in words.

    Args:
        now: options of now, see `saved_options`.
        then: options of before.
        may_differ: options, or groups of them, that are not compared.

    >>> differing_options({"cut": 4, "stream": {"seed": 1}}, {"cut": None, "stream": {"seed": 1}})
    ['--cut 4 (was None)']
    """
    now, then = dict(_leaves(now)), dict(_leaves(then))
    if "precision" in now:  # runs of earlier versions have none, and are float32 unless they say so
        former_types = (then.get(f"{name}.dtype") for name in ("encoder", "upstream_encoder"))
        then.setdefault("precision", next(filter(None, former_types), "float32"))
    return [
        f"--{name} {now.get(name)} (was {then.get(name)})"
        for name in now | then
        if now.get(name) != then.get(name) and not {name, name.split(".")[0]} & set(may_differ)
    ]


def command_text(command: str, config: Any, switches: Mapping[str, bool], **options: Any) -> str:
    """The line that calls a command with these options, to be copied into a shell.

    Args:
        command: name after ``jaxhsi``.
        config: a dataclass of options; those at their defaults are left out.
        switches: of the command beside them.
        **options: values that take the place of those in the configuration.

    >>> from jaxhsi.config.predict import EvaluateConfig
    >>> config = EvaluateConfig(Path("my maps"), labels=Path("truth"))
    >>> command_text("evaluate", config, {"ignore_groups": True}, part="1/4")
    "jaxhsi evaluate 'my maps' --labels truth --part 1/4 --ignore_groups"
    """
    defaults = {f.name: f.default for f in fields(config)}
    words = ["jaxhsi", command]
    for name, value in (saved_options(config) | options).items():
        if defaults[name] is MISSING:
            words += map(str, value) if isinstance(value, list) else [str(value)]
        elif value != _plain(defaults[name]):
            words += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    words += [f"--{name}" for name, is_set in switches.items() if is_set]
    return shlex.join(words)


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


def saved_options(config: Any) -> dict[str, Any]:
    """Options as they stand in a file: plain values, without those of other methods.

    Args:
        config: a dataclass of options.
    """
    kept = {f.name for f in method_fields(type(config), getattr(config, "method", None))}
    options = {name: value for name, value in asdict(config).items() if name in kept}
    command = getattr(config, "command", None)
    return ({} if command is None else {"command": command}) | _plain(options)


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


def number_list(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers from 1 with commas between.

    Args:
        option: that gives them, for messages.
        text: such as "51,51".

    Raises:
        ValueError: anything else.

    >>> number_list("--runs", "51, 49")
    (51, 49)
    """
    parts = text.replace(" ", ",").split(",")
    if not all(part.isdigit() and int(part) for part in parts if part) or not any(parts):
        raise ValueError(f"{option} {text} is no list of whole numbers; give such as 51,51")
    return tuple(int(part) for part in parts if part)
