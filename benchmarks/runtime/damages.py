"""Kept files with a bit flipped, or cut, and the commands that read them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.runtime.outcomes import Try, judged, last_words
from benchmarks.runtime.subjects import read_result, subjects
from benchmarks.runtime.worker import Worker

_UNREAD = (".png", ".html", ".css")
"""Files for people: no command reads them."""


class Reader(NamedTuple):
    """A command that reads kept files.

    Attributes:
        subject: name of the command, see `subjects.subjects`.
        kept: folder or store whose files are damaged.
    """

    subject: str
    kept: str


READERS = (Reader("predict", "dgc"), Reader("unmix", "gmcr"), Reader("predict", "a.zarr"))


def damage_tries(
    inputs: Path, work: Path, references: dict[str, dict[str, str]], num_tries: int, seed: int
) -> Iterator[Try]:
    """Each reader with its kept files flipped and cut at random places, ``num_tries`` a file.

    Args:
        inputs: folder with undamaged files.
        work: folder for the damaged ones.
        references: results of the undisturbed commands, by subject.
        num_tries: damages of each file.
        seed: of the places.
    """
    rng, worker, commands = np.random.default_rng(seed), Worker(), subjects()
    try:
        for reader in READERS:
            subject = commands[reader.subject]
            files = [path for path in sorted((inputs / reader.kept).rglob("*")) if path.is_file()]
            for index, path in enumerate(files):
                if path.suffix in _UNREAD or path.stat().st_size == 0:
                    continue
                for number in range(num_tries):
                    folder = work / "damaged"
                    _copy(inputs, folder, subject.needs)
                    name = str(path.relative_to(inputs))
                    detail = _damage(folder / name, rng, is_cut=(number + index) % 2 == 1)
                    ended = worker.run(list(subject.arguments), folder)
                    is_right = read_result(subject, folder) == references[reader.subject]
                    # An error may name the file, or the folder that it is a part of.
                    names = {name, path.name, *(str(p) for p in Path(name).parents if p.name)}
                    outcome = judged(ended, tuple(names), is_right)
                    words = "" if outcome == "right" else last_words(ended)
                    kind = f"damage of {reader.kept}"
                    yield Try(kind, reader.subject, f"{name}: {detail}", outcome, words)
    finally:
        worker.close()


def _copy(inputs: Path, folder: Path, names: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names:
        shutil.copytree(inputs / name, folder / name)


def _damage(path: Path, rng: np.random.Generator, *, is_cut: bool) -> str:
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    if is_cut:
        path.write_bytes(content[:place])
        return f"cut at {place}"
    bit = int(rng.integers(8))
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place}"
