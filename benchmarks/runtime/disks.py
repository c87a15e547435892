"""Outputs on a disk that is full or that cannot be written to."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.runtime.outcomes import Try, judged, last_words, run
from benchmarks.runtime.subjects import Subject, copy_inputs, read_result

FREE_KIB = (0, 16, 64, 256, 1024)
"""Room that is left for the outputs of a command; the tiny ones need some 100 KiB."""


def disk_tries(
    subject: Subject, inputs: Path, work: Path, reference: dict[str, str], num_tries: int
) -> Iterator[Try]:
    """The command on a disk of its own with little room, and on one that is read-only.

    A disk is mounted in memory, which takes the rights of the superuser; without them nothing is
    tried. With more room afterwards the same command must come to its result.
    """
    disk = work / "disk"
    disk.mkdir(parents=True, exist_ok=True)
    for free in FREE_KIB[:num_tries]:
        if not _mount(disk):
            return
        try:
            copy_inputs(inputs, disk / "run", subject)
            filler = disk / "filler"
            filler.write_bytes(b"\0" * max(0, _free_bytes(disk) - free * 1024 - 4096))
            ended = run(list(subject.arguments), folder=disk / "run")
            filler.unlink()
            yield _with_room(subject, disk / "run", reference, f"{free} KiB free", ended)
        finally:
            _unmount(disk)
    if num_tries and _mount(disk):
        try:
            copy_inputs(inputs, disk / "run", subject)
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            ended = run(list(subject.arguments), folder=disk / "run")
            outcome = judged(ended, (*subject.outputs, "Read-only"), is_right=False)
            yield Try("read-only disk", subject.name, "", outcome, last_words(ended))
        finally:
            _unmount(disk)


def _with_room(subject: Subject, folder: Path, reference: dict, detail: str, ended) -> Try:
    if ended.code == 0:
        is_right = read_result(subject, folder) == reference
        outcome = judged(ended, (), is_right)
        return Try("full disk", subject.name, detail, outcome, last_words(ended))
    outcome = judged(ended, (*subject.outputs, "No space left"), is_right=False)
    if outcome != "refused":
        return Try("full disk", subject.name, detail, outcome, last_words(ended))
    for arguments in dict.fromkeys((subject.way_on or subject.arguments, subject.arguments)):
        again = run(list(arguments), folder=folder)
        if again.code == 0:
            break
    if read_result(subject, folder) == reference:
        return Try("full disk", subject.name, detail, "refused", last_words(ended))
    return Try("full disk", subject.name, detail, "stuck", last_words(again))


def _mount(disk: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    return subprocess.run(command, capture_output=True).returncode == 0


def _unmount(disk: Path) -> None:
    subprocess.run(["umount", "-l", str(disk)], check=True)


def _free_bytes(disk: Path) -> int:
    return shutil.disk_usage(disk).free
