"""Results of the parts of a command, each under a name of its own, and what puts them together.

A part leaves a record when it is complete: its inputs, the options, and what the summary of all
needs. Nothing else is shared, so parts run at the same time, on one machine or many.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxhsi.config.files import command_text, differing_options, saved_options
from jaxhsi.config.parts import WHOLE, Part, choose_part, describe_parts
from jaxhsi.report.json_files import write_json
from jaxhsi.storage.checksums import read_checked_json
from jaxhsi.storage.file_lock import locked_output, removed_if_empty
from jaxhsi.storage.replacement import partial_path

PARTS_FOLDER = "parts"
"""Folder of the parts in that of the results."""

_OWN_OPTIONS = ("out", "part", "devices")  # in which parts and their merging may differ
_PART_NAME = re.compile(r"\.?(\d+)-of-(\d+)(\.json|\.lock)?")
_MAX_LISTED = 8  # inputs in a message


@dataclass(frozen=True, kw_only=True)
class DividedCommand:
    """A command whose inputs are divided over parts.

    Attributes:
        command: its name, such as "predict".
        config: its options.
        switches: those that are not part of the options, but for ``overwrite``.
        folder: of the parts.
        locations: where each input lies, by name, in the order of a run without parts.
        results_key: name of all else that results depend on, see `jaxhsi.data.cache.fingerprint`.
    """

    command: str
    config: Any
    switches: Mapping[str, bool]
    folder: Path
    locations: Mapping[str, str]
    results_key: str = ""

    def part_folder(self, part: Part) -> Path:
        """Where the results of a part are, for commands that write folders."""
        return self.folder / part.file_stem

    def record_path(self, part: Part) -> Path:
        """File that is there once a part is complete."""
        return self.folder / f"{part.file_stem}.json"

    def part_locations(self, part: Part) -> dict[str, str]:
        """The inputs of a part, in the order of a run without parts."""
        chosen = set(part.choose(self.locations))
        return {name: place for name, place in self.locations.items() if name in chosen}

    def command_line(self, part: Part) -> str:
        """The command that makes a part."""
        return command_text(self.command, self.config, self.switches, part=str(part))

    def remedy(self, part: Part) -> str:
        """How a damaged file of a part is made anew."""
        return f"{self.command_line(part)} --overwrite makes it anew"

    def options(self) -> dict[str, Any]:
        """Options that are the same for all parts."""
        options = saved_options(self.config) | dict(self.switches)
        return {name: value for name, value in options.items() if name not in _OWN_OPTIONS}


def part_to_do(config: Any, *, merge_parts: bool, overwrite: bool = False) -> tuple[Part, str]:
    """The part of a command that a process does, and who says so, for messages.

    Args:
        config: options of the command, which may name a part.
        merge_parts: the results of all parts are to be put together.
        overwrite: results that are there are to be deleted.

    Raises:
        ValueError: no part, or what cannot go with putting parts together.
    """
    if merge_parts and config.part is not None:
        raise ValueError(
            f"--part {config.part} does one part and --merge_parts puts all together; give one"
        )
    if merge_parts and overwrite:
        raise ValueError(
            "--merge_parts puts results together and --overwrite deletes them; give one. With "
            "--part, --overwrite makes a part anew"
        )
    return (WHOLE, "") if merge_parts else choose_part(config.part, os.environ)


def log_part(divided: DividedCommand, part: Part, source: str, input_word: str = "cubes") -> None:
    """Say what a part takes; a warning where it takes nothing and the user has not asked for it.

    Args:
        divided: the command.
        part: of it.
        source: who says so, see `part_to_do`.
        input_word: what inputs are called.
    """
    chosen, num_inputs = list(divided.part_locations(part)), len(divided.locations)
    level = logging.WARNING if source and not chosen else logging.INFO
    share = f"{len(chosen)} of {num_inputs} {input_word}"
    listed = _short_list(chosen) if chosen else "none is left for it"
    logging.getLogger(__name__).log(level, "part %s%s: %s: %s", part, source, share, listed)


@contextmanager
def locked_part(divided: DividedCommand, part: Part, *, overwrite: bool) -> Iterator[bool]:
    """Be the only process that does a part, during a block.

    Args:
        divided: the command.
        part: of it.
        overwrite: do it even if it is complete.

    Yields:
        Whether it is to be done; False where it is complete, with the same options.

    Raises:
        BlockingIOError: another process does it.
        FileExistsError: there are parts of another division, or with other options.
        ValueError: there are parts of other inputs.
    """
    lock_path = divided.folder / f".{part.file_stem}.lock"
    with (
        removed_if_empty(divided.folder),
        locked_output(lock_path, divided.part_folder(part)),
    ):
        if other_counts := {each.count for each in _begun_parts(divided)} - {part.count}:
            raise FileExistsError(
                f"{divided.folder} holds parts of {min(other_counts)}, and {part} would do some "
                f"inputs twice; give --part I/{min(other_counts)}, name another folder, or delete "
                f"{divided.folder}"
            )
        complete = _complete_parts(divided)
        is_complete = part in complete and not overwrite
        others = [each for each in complete if each != part]
        for each in [part] if is_complete else others[:1]:
            _read_record(divided, each)
        if is_complete:
            text = "part %s is complete, made with the same options, and is kept"
            logging.getLogger(__name__).info(text, part)
        else:
            divided.record_path(part).unlink(missing_ok=True)
        yield not is_complete


def complete_part(divided: DividedCommand, part: Part, content: Mapping[str, Any]) -> None:
    """Record that all results of a part are on disk.

    Args:
        divided: the command.
        part: of it.
        content: what the summary of all parts needs, as JSON.
    """
    record = {
        "part": str(part),
        "inputs": list(divided.part_locations(part)),
        "options": divided.options(),
        "results_key": divided.results_key,
        "content": content,
    }
    write_json(divided.record_path(part), record)


def read_parts(divided: DividedCommand) -> dict[Part, dict[str, Any]]:
    """What all parts of a command have recorded, in their order.

    Args:
        divided: the command.

    Raises:
        FileNotFoundError: parts are missing or not complete; names them and the command.
        ValueError: parts of several divisions, other options, another run or other inputs.
    """
    begun = _begun_parts(divided)
    if not begun:
        example = divided.command_line(Part(1, 4))
        reason = f"{divided.folder} holds no parts; make them first, such as by"
        raise FileNotFoundError(f"{reason} {example}")
    counts = sorted({part.count for part in begun})
    if len(counts) > 1:
        raise ValueError(
            f"{divided.folder} holds parts of {' and of '.join(map(str, counts))}; delete those of "
            "one division"
        )
    parts = [Part(number, counts[0]) for number in range(1, counts[0] + 1)]
    complete = _complete_parts(divided)
    missing = [part for part in parts if part.choose(divided.locations) and part not in complete]
    if missing:
        is_single, command = len(missing) == 1, divided.command_line(missing[0])
        others = f", and with the other numbers in the place of {missing[0].number}"
        raise FileNotFoundError(
            f"{'part' if is_single else 'parts'} {describe_parts(missing)} "
            f"{'is' if is_single else 'are'} missing or not complete; made by {command}"
            f"{'' if is_single else others}"
        )
    return {part: _read_record(divided, part)["content"] for part in complete}


def content_by_input(contents: Mapping[Part, Mapping[str, Any]], key: str) -> dict[str, Any]:
    """An item of the contents of all parts that is a mapping by inputs, in one mapping.

    >>> content_by_input({Part(1, 2): {"r2": {"a": 0.9}}, Part(2, 2): {"r2": {"b": 0.8}}}, "r2")
    {'a': 0.9, 'b': 0.8}
    """
    return {name: value for each in contents.values() for name, value in each[key].items()}


def check_no_parts(folder: Path) -> None:
    """Refuse a folder of results in which parts lie that are not put together.

    Args:
        folder: of the results.

    Raises:
        FileExistsError: there are parts.
    """
    if (folder / PARTS_FOLDER).is_dir():
        raise FileExistsError(
            f"{folder / PARTS_FOLDER} holds parts of results; the same command with --merge_parts "
            "puts them together; else name another folder with --out, or delete that one"
        )


def remove_parts(folder: Path) -> None:
    """Delete what parts have left, when all is put together.

    Args:
        folder: of the parts.
    """
    doomed = partial_path(folder)  # in one step: some parts alone would be taken for missing ones
    shutil.rmtree(doomed, ignore_errors=True)
    folder.replace(doomed)
    shutil.rmtree(doomed)


def _begun_parts(divided: DividedCommand) -> list[Part]:
    """Parts of which there is a lock, a folder of results or a record."""
    names = [path.name for path in divided.folder.iterdir()] if divided.folder.is_dir() else []
    matches = (_PART_NAME.fullmatch(name) for name in names)
    return sorted({Part(int(match[1]), int(match[2])) for match in matches if match})


def _complete_parts(divided: DividedCommand) -> list[Part]:
    return [part for part in _begun_parts(divided) if divided.record_path(part).is_file()]


def _read_record(divided: DividedCommand, part: Part) -> dict[str, Any]:
    """The record of a part, of the same options, run and inputs."""
    path, remedy = divided.record_path(part), f"delete {divided.folder} and make all parts anew"
    record = read_checked_json(path, remedy)
    differing = differing_options(divided.options(), record["options"])
    if not differing and record["results_key"] != divided.results_key:
        differing = ["the run, its groups or the classes have changed since"]
    if differing:
        raise FileExistsError(
            f"{path} is of a part that was made otherwise: {', '.join(differing)}; give the same "
            f"options, name another folder, or {remedy}"
        )
    if record["inputs"] != (inputs := list(divided.part_locations(part))):
        raise ValueError(
            f"part {part} was made of other inputs ({_short_list(record['inputs'])}) than it has "
            f"now ({_short_list(inputs)}): some were added, removed or renamed; bring them back, "
            f"or {remedy}"
        )
    return record


def _short_list(names: Sequence[str]) -> str:
    """The first names, and how many others there are."""
    num_more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {num_more} more" if num_more > 0 else "")
