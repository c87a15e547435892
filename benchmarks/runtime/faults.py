"""What becomes of commands and files when something goes wrong.

    python -m benchmarks.runtime.faults --out faults.json [--kinds kill,damage] [--tries 50]

Kinds: `kill`, a command gets SIGKILL before a change of the disk or at a random time, and is given
again; `damage`, a kept file has a bit flipped, is cut, has zeros or is gone, and is read; `disk`,
the outputs are on a full or a read-only disk; `both`, a command runs twice at once; `cube` and
`table`, odd data; `harm`, files made to harm. Each try is right, refused in a sentence that names
the culprit, lost, stuck, wrong or unclear (see `outcomes.OUTCOMES`); all but the first two are
faults of jaxhsi. Every try is a line of the file beside ``--out``, written as it ends; ``--out``
holds their numbers. Rows that are there already, of other kinds or commands, stay.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.results_file import write_results
from benchmarks.runtime import damages, disks, kills, odd_inputs
from benchmarks.runtime.outcomes import Try, append_try, count_outcomes, run, table
from benchmarks.runtime.subjects import Subject, copy_inputs, make_inputs, read_result, subjects

KINDS = ("kill", "damage", "disk", "both", "cube", "table", "harm")
_GOOD = ("right", "refused")


def make_references(
    work: Path, commands: dict[str, Subject]
) -> tuple[Path, dict[str, dict[str, str]]]:
    """Run every command undisturbed, each on what those before it made.

    Args:
        work: folder for the inputs.
        commands: see `subjects.subjects`; those that later ones read come first.

    Returns:
        The folder with the inputs of all, and the results by command.
    """
    inputs, references = work / "inputs", {}
    inputs.mkdir(parents=True)
    make_inputs(inputs)
    for name, subject in commands.items():
        folder = work / "reference"
        copy_inputs(inputs, folder, subject)
        ended = run(list(subject.arguments), folder=folder, seconds=600)
        if ended.code and name != "ingest existing":
            raise RuntimeError(f"{name} fails undisturbed: {ended.text}")
        references[name] = read_result(subject, folder)
        if references[name] is None:
            raise RuntimeError(f"{name} leaves no result: {ended.text}")
        for output in subject.outputs:
            if not (inputs / output).exists():
                (folder / output).rename(inputs / output)
    return inputs, references


def tries(options: argparse.Namespace, work: Path) -> Iterator[Try]:
    """All tries that are asked for."""
    kinds, commands = options.kinds.split(","), subjects()
    chosen = options.commands.split(",") if options.commands else list(commands)
    if {"kill", "disk", "both", "damage"} & set(kinds):
        inputs, references = make_references(work, commands)
        for name in chosen:
            subject, reference = commands[name], references[name]
            if "kill" in kinds:
                yield from kills.kill_tries(
                    subject, inputs, work, reference, options.tries, options.seed
                )
            if "both" in kinds:
                yield from kills.two_at_once(subject, inputs, work, reference, options.tries)
            if "disk" in kinds and name != "ingest existing":
                yield from disks.disk_tries(subject, inputs, work, reference, options.tries)
        if "damage" in kinds:
            yield from damages.damage_tries(
                inputs, work, references, chosen, options.tries, options.seed
            )
    odd = {"cube": odd_inputs.cube_tries, "table": odd_inputs.table_tries}
    for kind, make_tries in (odd | {"harm": odd_inputs.harm_tries}).items():
        if kind in kinds:
            yield from make_tries(work)


def main() -> None:
    """Make the tries, print the table, write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the report")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of faults")
    parser.add_argument("--commands", default="", help="commands to disturb, all by default")
    parser.add_argument("--tries", type=int, default=50, help="of each command or file")
    parser.add_argument("--seed", type=int, default=0, help="of random times and places")
    options = parser.parse_args()
    log, made = options.out.with_suffix(".log.jsonl"), []
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for one in tries(options, Path(folder).resolve()):
            append_try(log, one)
            made.append(one)
            if one.outcome not in _GOOD:
                print(*one, flush=True)
    rows = count_outcomes(made)
    print(table(rows))
    faults = [one._asdict() for one in made if one.outcome not in _GOOD]
    former = json.loads(options.out.read_text()) if options.out.is_file() else {}
    report = {"machine": describe_machine(), "versions": describe_versions()} | {
        name: [*_of_others(former.get(name, []), rows), *new]
        for name, new in (("rows", rows), ("faults", faults))
    }
    write_results(options.out, report)


def _of_others(former: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Former entries of kinds and commands that were not tried now."""
    tried = {(row["kind"], row["subject"]) for row in rows}
    return [entry for entry in former if (entry["kind"], entry["subject"]) not in tried]


if __name__ == "__main__":
    main()
