import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from jaxhsi.command_line import IncompleteResultError, run_command


@dataclass(frozen=True)
class Options:
    """Copy things.

    Attributes:
        sources: what to copy.
        target: where to.
        times: how often.
    """

    sources: tuple[str, ...]
    target: Path
    times: int = 1


def run(arguments: list[str], action=lambda *_, **__: None, **more) -> int:
    return run_command("copy", Options, action, arguments, **more)


def test_positional_options_flags_and_logs(capsys):
    seen = []

    def action(options: Options, *, quick: bool) -> None:
        logging.getLogger("jaxhsi.copy").info("copying")
        seen.append((options, quick))

    flags = {"quick": "hurry"}
    assert run(["a", "b", "c", "--times", "2", "--quick"], action, flags=flags) == 0
    assert run(["--times=3", "a", "c"], action, flags=flags) == 0
    assert seen == [
        (Options(("a", "b"), Path("c"), 2), True),
        (Options(("a",), Path("c"), 3), False),
    ]
    assert capsys.readouterr().err == "copying\n" * 2


def test_help_explains_positional_options(capsys):
    with pytest.raises(SystemExit, match="0"):
        run(["--help"])
    text = capsys.readouterr().out
    assert "copy SOURCES ... TARGET [--config FILE]" in text
    assert "--times N  " in text
    assert "what to copy" in text
    assert "where to" in text


def test_options_can_be_put_in_front(tmp_path):
    seen = []
    (tmp_path / "saved.yaml").write_text("times: 7\n")
    first = {"leading_arguments": lambda arguments: ["--config", str(tmp_path / "saved.yaml")]}
    assert run(["a", "c"], seen.append, **first) == 0
    assert run(["a", "c", "--times", "2"], seen.append, **first) == 0
    assert [options.times for options in seen] == [7, 2]


@pytest.mark.parametrize("kind", [ValueError, ConnectionError, ImportError, FloatingPointError])
def test_errors_that_can_be_mended_are_told_in_a_line(capsys, monkeypatch, kind):
    def action(options: Options) -> None:
        raise kind("the file is cut off")

    assert run(["a", "c"], action) == 1
    assert capsys.readouterr().err.splitlines()[0] == "error: the file is cut off"
    monkeypatch.setenv("JAXHSI_TRACEBACK", "1")
    with pytest.raises(kind):
        run(["a", "c"], action)


def test_other_errors_are_not_hidden():
    def action(options: Options) -> None:
        raise KeyError("a fault of the program")

    with pytest.raises(KeyError):
        run(["a", "c"], action)


@pytest.mark.parametrize(
    ("arguments", "words"), [(["a"], "required: target"), (["a", "b", "--time", "3"], "--times?")]
)
def test_missing_and_unknown_options_are_named(capsys, arguments, words):
    with pytest.raises(SystemExit, match="2"):
        run(arguments)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"), [({"resume": "go on"}, "--resume"), ({}, "interrupted\n")]
)
def test_an_interrupted_command_says_how_to_go_on(flags, told, capsys):
    def action(*_, **__):
        raise KeyboardInterrupt

    assert run(["a", "c"], action, flags=flags) == 130
    assert told in capsys.readouterr().err


def test_results_as_json_and_tables_apart(capsys):
    def action(options: Options) -> dict:
        print("a table")
        return {"times": options.times, "target": options.target, "error": float("nan")}

    assert run(["a", "c", "--json"], action) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"times": 1, "target": "c", "error": None}
    assert printed.err == "a table\n"
    assert run(["a", "c", "--json", "--quiet"], action) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["times"] == 1
    assert printed.err == ""


def test_a_result_beside_an_error_is_printed(capsys):
    def action(options: Options) -> None:
        raise IncompleteResultError("b cannot be read", [{"file": "a"}])

    assert run(["a", "c", "--json"], action) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [{"file": "a"}]
    assert "error: b cannot be read" in printed.err


def test_quiet_commands_print_warnings_and_errors_only(capsys):
    def action(options: Options) -> None:
        print("a table")
        logging.getLogger("jaxhsi.copy").info("copying")
        logging.getLogger("jaxhsi.copy").warning("the scale is a guess")

    assert run(["a", "c", "-q"], action) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "the scale is a guess\n")


def test_verbose_commands_print_times_and_where_an_error_arose(capsys):
    def action(options: Options) -> None:
        logging.getLogger("jaxhsi.copy").debug("detail")
        raise ValueError("the file is cut off")

    with pytest.raises(ValueError, match="cut off"):
        run(["a", "c", "--verbose"], action)
    assert re.match(r"\d{4}-.* jaxhsi.copy: detail", capsys.readouterr().err)
