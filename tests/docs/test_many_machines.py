"""The scripts for many machines do as written: each part once, each step after the one before.

Small scripts take the place of ``sbatch``, which runs tasks at once, and of ``jaxhsi``, which notes
its arguments.
"""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from jaxhsi.__main__ import main
from jaxhsi.config.parts import Part

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "many_machines.md"
SCRIPTS = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.M | re.S)

JAXHSI = '#!/bin/bash\necho "$*" >> calls.txt\n'
SBATCH = """#!/bin/bash
# Runs the first and the last task of an array, whose number the script says, and gives a job id.
while [[ $1 == --* ]]; do echo "sbatch $1" >> calls.txt; shift; done
script=$1; shift
if grep -q -- --array= "$script"; then tasks="1 1000"; else tasks="none"; fi
for task in $tasks; do
    if [[ $task == none ]]; then bash "$script" "$@"
    else SLURM_ARRAY_TASK_ID=$task bash "$script" "$@"; fi
done
wc -l < calls.txt
"""


def script_with(*words: str) -> str:
    [script] = [text for text in SCRIPTS if all(word in text for word in words)]
    return script


def calls_of(script: str, folder: Path) -> list[str]:
    """What a script calls, in a folder in which it runs."""
    (folder / "bin").mkdir()
    for name, text in (("jaxhsi", JAXHSI), ("sbatch", SBATCH)):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "activate").touch()
    (folder / "calls.txt").touch()
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=True)
    return (folder / "calls.txt").read_text().splitlines()


def test_the_chain_of_slurm_jobs_does_all_parts_and_then_merges(tmp_path, monkeypatch):
    (tmp_path / "part.sbatch").write_text(script_with("--array=1-1000%50"))
    (tmp_path / "merge.sbatch").write_text(script_with("exec jaxhsi", "--merge_parts"))
    calls = calls_of(script_with("--dependency=afterok"), tmp_path)
    commands = [line for line in calls if not line.startswith("sbatch")]
    ingest, predict = "ingest raw/ cubes/", "predict runs/field cubes/ --out maps"
    assert commands == [
        f"{command} {options}"
        for command in (ingest, predict)
        for options in ("--part 1/1000", "--part 1000/1000", "--merge_parts")
    ]
    dependencies = [line for line in calls if "--dependency=afterok:" in line]
    assert len(dependencies) == 3  # each job but the first
    assert all(re.search(r":\d+$", line) for line in dependencies)
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([*command.split(), "--print_config"])
        assert ended.value.code == 0


def test_the_loop_of_a_shell_makes_all_stores(tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    for name in "abcde":
        np.save(tmp_path / "raw" / f"{name}.npy", np.arange(2 * 3 * 20).reshape(2, 3, 20))
    *parts, merge = calls_of(script_with("for part in", "wait"), tmp_path)
    assert sorted(parts) == [f"ingest raw/ cubes/ --part {Part(i, 4)}" for i in range(1, 5)]
    monkeypatch.chdir(tmp_path)
    for command in (*parts, merge):
        assert main(command.split()) == 0
    assert sorted(path.name for path in Path("cubes").iterdir()) == [f"{n}.zarr" for n in "abcde"]
