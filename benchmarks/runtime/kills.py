"""Commands killed at a change of the disk or at a random time, and given again."""

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.runtime.outcomes import Ended, Try, begin, last_words, run
from benchmarks.runtime.subjects import Subject, copy_inputs, read_result

_KILLED = -signal.SIGKILL


def kill_tries(
    subject: Subject, inputs: Path, work: Path, reference: dict[str, str], num_tries: int, seed: int
) -> Iterator[Try]:
    """Half of the kills before changes of the disk, spread over all of them; half at any time.

    Args:
        subject: the command.
        inputs: folder with what it reads.
        work: folder for its copies.
        reference: result of the undisturbed command.
        num_tries: kills.
        seed: of the random times.
    """
    rng = np.random.default_rng(seed)
    copy_inputs(inputs, work / "count", subject)
    count_file, began = work / "count.txt", time.perf_counter()
    _run_counted(subject, work / "count", 0, count_file)
    seconds = time.perf_counter() - began
    num_changes = int(count_file.read_text()) if count_file.is_file() else 0
    num_counted = min(num_changes, -(-num_tries // 2))
    places = np.linspace(1, max(num_changes, 1), max(num_counted, 1) + 2)[1:-1]
    numbers = np.unique(places.round().astype(int))
    for number in numbers:
        copy_inputs(inputs, work / "kill", subject)
        ended = _run_counted(subject, work / "kill", int(number), work / "none.txt")
        detail = f"before change {number} of {num_changes}"
        yield _after_kill(subject, work / "kill", inputs, reference, detail, ended)
    for _ in range(num_tries - len(numbers)):
        copy_inputs(inputs, work / "kill", subject)
        after = float(rng.uniform(0.2, 1.0) * seconds)
        process = begin(list(subject.arguments), folder=work / "kill")
        time.sleep(after)
        process.kill()
        text, _ = process.communicate()
        ended = Ended(process.returncode, text, after)
        yield _after_kill(subject, work / "kill", inputs, reference, f"after {after:.1f} s", ended)


def _run_counted(subject: Subject, folder: Path, number: int, count_file: Path) -> Ended:
    return run(
        [str(number), str(count_file), *subject.arguments],
        folder=folder,
        environment={"FAULT_FOLDER": str(folder)},
        module="benchmarks.runtime.killed_command",
    )


def _after_kill(
    subject: Subject,
    folder: Path,
    inputs: Path,
    reference: dict[str, str],
    detail: str,
    killed: Ended,
) -> Try:
    """Whether what was there before is there, and the same command comes to the same result."""
    is_killed = killed.code == _KILLED
    if is_killed and _is_lost(subject, folder, inputs, reference):
        return Try("kill", subject.name, detail, "lost", "what was there before is gone")
    ended = killed
    if is_killed:
        ways = [subject.way_on or subject.arguments, subject.arguments]
        for arguments in dict.fromkeys(ways):
            ended = run(list(arguments), folder=folder)
            if ended.code == 0:
                break
    result = read_result(subject, folder)
    if result == reference:
        return Try("kill", subject.name, detail, "right")
    outcome = "stuck" if ended.code else "wrong"
    if ended.code and subject.name == "ingest existing" and "exists" in ended.text:
        outcome = "refused"
    if outcome == "wrong" and result is not None:
        names = sorted(k for k in reference | result if reference.get(k) != result.get(k))
        return Try("kill", subject.name, detail, outcome, f"differ: {names}")
    return Try("kill", subject.name, detail, outcome, last_words(ended))


def _is_lost(subject: Subject, folder: Path, inputs: Path, reference: dict[str, str]) -> bool:
    """Whether something that was there before is neither the old nor the new one."""
    if not subject.keeps:
        return False
    now, before = read_result(subject, folder) or {}, read_result(subject, inputs) or {}
    return any(
        now.get(name) not in (before.get(name), reference.get(name)) for name in subject.keeps
    )


def two_at_once(
    subject: Subject, inputs: Path, work: Path, reference: dict[str, str], num_tries: int
) -> Iterator[Try]:
    """The same command twice at the same time, the second a little later each time."""
    for number in range(num_tries):
        copy_inputs(inputs, work / "both", subject)
        delay = 3.0 * number / max(num_tries - 1, 1)
        processes = [begin(list(subject.arguments), folder=work / "both")]
        time.sleep(delay)
        processes.append(begin(list(subject.arguments), folder=work / "both"))
        texts = [process.communicate(timeout=600)[0] for process in processes]
        both = [Ended(p.returncode, text, 0.0) for p, text in zip(processes, texts, strict=True)]
        result, detail = read_result(subject, work / "both"), f"{delay:.1f} s apart"
        is_clear = all(
            ended.code == 0 or ("error:" in ended.text and "Traceback" not in ended.text)
            for ended in both
        )
        if result != reference and subject.name != "ingest existing":
            outcome = "wrong" if any(ended.code == 0 for ended in both) else "lost"
        else:
            outcome = "right" if is_clear else "unclear"
        words = "" if outcome == "right" else " | ".join(map(last_words, both))
        yield Try("two at once", subject.name, detail, outcome, words)
    shutil.rmtree(work / "both", ignore_errors=True)
