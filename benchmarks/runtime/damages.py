"""Kept files that are damaged or gone, and the commands that read them."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.runtime.outcomes import Try, judged, last_words
from benchmarks.runtime.subjects import read_result, subjects
from benchmarks.runtime.worker import Worker


class Reader(NamedTuple):
    """A command that reads files of a run or a store.

    Attributes:
        subject: name of the command, see `subjects.subjects`.
        folder: of the run or the store.
        patterns: of the files that are damaged: those that this command reads.
        resumes: the command is given as it goes on after an interruption, and mends the run.
    """

    subject: str
    folder: str
    patterns: tuple[str, ...]
    resumes: bool = False


_CHECKPOINTS = "checkpoints/**/*"
_PAGE_FILES = ("*.json", "*.npz", "*.csv", "metrics.jsonl", "SHA256SUMS", "config.yaml")
READERS = (
    Reader("predict", "a.zarr", ("**/*",)),
    Reader("predict", "dgc", ("config.yaml", "cubes.json", _CHECKPOINTS)),
    Reader("report", "dgc", (*_PAGE_FILES, "previews/*")),
    Reader("group", "dgc", ("tree.json", "spectra.npz", "config.yaml")),
    Reader("evaluate", "dgc", ("labels/**/*", "scores.json")),
    Reader("unmix", "gmcr", ("config.yaml", "solution.npz")),
    Reader("report gmcr", "gmcr", _PAGE_FILES),
    Reader("train dgc", "dgc", ("*", _CHECKPOINTS, "labels/**/*"), resumes=True),
    Reader("train gmcr", "gmcr", ("*", _CHECKPOINTS), resumes=True),
)
_KINDS = ("flip", "cut", "zeros", "gone")
_UNREAD = (".png", ".html", ".css")
"""Files for people: no command reads them."""


def damage_tries(
    inputs: Path,
    work: Path,
    references: dict[str, dict[str, str]],
    chosen: Sequence[str],
    num_tries: int,
    seed: int,
) -> Iterator[Try]:
    """Each reader with its kept files damaged at random places, ``num_tries`` a file.

    In turn a bit is flipped, the file is cut, a part of it is zeros as after a loss of power, and
    it is gone.

    Args:
        inputs: folder with undamaged files.
        work: folder for the damaged ones.
        references: results of the undisturbed commands, by subject.
        chosen: subjects that are tried.
        num_tries: damages of each file.
        seed: of the places.
    """
    rng, worker, commands = np.random.default_rng(seed), Worker(), subjects()
    try:
        for reader in (each for each in READERS if each.subject in chosen):
            subject = commands[reader.subject]
            arguments = (subject.way_on or ()) if reader.resumes else subject.arguments
            for index, path in enumerate(_files_of(inputs / reader.folder, reader.patterns)):
                for number in range(num_tries):
                    folder = work / "damaged"
                    _copy(inputs, folder, {*subject.needs, reader.folder})
                    name = str(path.relative_to(inputs))
                    detail = _damage(folder / name, rng, _KINDS[(number + index) % len(_KINDS)])
                    ended = worker.run(list(arguments), folder)
                    is_right = read_result(subject, folder) == references[reader.subject]
                    # An error may name the file, or the folder that it is a part of.
                    names = {name, path.name, *(str(p) for p in Path(name).parents if p.name)}
                    if detail == "gone":
                        # By its own name: the folder is named by whatever the command says.
                        own = (name, path.name, f"no maps of {path.stem}:")
                        outcome = judged(ended, own, is_right, may_lack=True)
                    else:
                        outcome = judged(ended, tuple(names), is_right)
                    words = "" if outcome == "right" else last_words(ended)
                    kind = f"damage of {reader.folder}"
                    verb = f"{reader.subject} --resume" if reader.resumes else reader.subject
                    yield Try(kind, verb, f"{name}: {detail}", outcome, words)
    finally:
        worker.close()


def _files_of(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files that are not empty and that commands read."""
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    files = [path for path in paths if path.is_file() and path.suffix not in _UNREAD]
    return [path for path in files if path.stat().st_size]


def _copy(inputs: Path, folder: Path, names: set[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names:
        source = inputs / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)


def _damage(path: Path, rng: np.random.Generator, kind: str) -> str:
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    if kind == "gone":
        path.unlink()
        return kind
    if kind == "cut":
        path.write_bytes(content[:place])
        return f"cut at {place}"
    if kind == "zeros":
        size = min(int(rng.integers(1, 4097)), len(content) - place)
        path.write_bytes(content[:place] + bytes(size) + content[place + size :])
        return f"{size} zeros at {place}"
    bit = int(rng.integers(8))
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place}"
