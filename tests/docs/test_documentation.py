"""README and docs: their Python blocks run, their commands parse, their links and tables hold.

Commands of jaxhsi are checked down to the last option without being run: training takes minutes and
is covered by the tests of the commands. Blocks marked ``text`` are not commands.
"""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks import documentation_page
from jaxhsi.__main__ import main

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


PYTHON = [
    pytest.param(code, id=f"{page.relative_to(REPOSITORY)}-{index}")
    for page in PAGES
    for index, code in enumerate(blocks(page, "python"))
]
LINES = [
    pytest.param(line.split("#")[0].strip(), id=line[:70])
    for page in PAGES
    for code in blocks(page, "bash")
    for line in code.splitlines()
    if line.startswith("jaxhsi ")
]


def test_there_are_blocks():
    assert len(PYTHON) >= 2
    assert len(LINES) >= 10


@pytest.mark.parametrize("code", PYTHON)
def test_python_blocks_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "block", "exec"), {"__name__": "block"})


@pytest.mark.parametrize("line", LINES)
def test_commands_have_options_that_exist(line, monkeypatch, capsys):
    """``--print_config`` validates every option and its type, prints them, and ends with 0."""
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(line)[1:], "--print_config"])
    assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_bytes()) <= 8192


def test_benchmark_tables_are_those_of_the_results():
    page = (REPOSITORY / "docs" / "benchmarks.md").read_text()
    assert page == documentation_page.page(), "run: python -m benchmarks.documentation_page"
