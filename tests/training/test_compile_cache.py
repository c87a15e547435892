"""Compiled programs are kept between commands, in a folder that a user can move or refuse."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, jax
from jaxhsi.training.compile_cache import keep_compiled_programs
keep_compiled_programs()
print(json.dumps(jax.config.jax_compilation_cache_dir))
"""


def folder_in_use(**environment: str) -> str | None:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=plain | environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_programs_are_kept_in_the_cache_folder(tmp_path):
    folder = folder_in_use(JAXHSI_CACHE=str(tmp_path))
    assert Path(folder).parent == tmp_path / "compiled"
    assert Path(folder).is_dir()


def test_a_folder_of_the_users_choice_stays(tmp_path):
    chosen = str(tmp_path / "own")
    assert folder_in_use(JAXHSI_CACHE=str(tmp_path), JAX_COMPILATION_CACHE_DIR=chosen) == chosen
    assert folder_in_use(JAXHSI_CACHE=str(tmp_path), JAXHSI_KEEP_COMPILED="0") is None


def test_a_cache_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert folder_in_use(JAXHSI_CACHE=str(tmp_path / "file")) is None
