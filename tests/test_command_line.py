import json
import logging
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from jaxhsi.command_line import IncompleteResultError, run_command
from jaxhsi.training.stop_signals import deferred_stop, set_way_on


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


def test_faults_of_the_program_are_told_apart(capsys, monkeypatch):
    def action(options: Options) -> None:
        raise KeyError("confusion")

    assert run(["a", "c"], action) == 70
    text = capsys.readouterr().err
    assert text.startswith("error: jaxhsi failed where it should not: KeyError: 'confusion'")
    assert "Traceback" not in text
    monkeypatch.setenv("JAXHSI_TRACEBACK", "1")
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
    ("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl\\+C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_stopped_command_says_in_a_line_how_to_go_on(number, code, name, capsys):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def action(*_, **__):
        signal.raise_signal(number)

    assert run(["a", "c"], action, way_on="run it again") == code
    assert re.fullmatch(f"\nstopped by {name}; run it again\n", capsys.readouterr().err)
    assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]


def test_what_a_command_has_saved_is_told_with_the_way_on(capsys):
    def action(*_, **__):
        set_way_on("go on with: copy --resume")
        with deferred_stop() as deferral:
            signal.raise_signal(signal.SIGTERM)
            assert deferral.is_requested
            deferral.saved = "step 3 is saved"

    assert run(["a", "c"], action) == 143
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line == "stopped by SIGTERM; step 3 is saved; go on with: copy --resume"


def test_a_stop_that_a_library_turns_into_an_error_is_a_stop(capsys):
    def action(*_, **__):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    assert run(["a", "c"], action) == 143
    assert capsys.readouterr().err == "\nstopped by SIGTERM\n"
    assert run(["a", "c"]) == 0


def test_a_stop_in_a_place_that_no_error_can_leave_is_asked_again(capsys):
    class Interrupting:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def action(*_, **__):
        Interrupting()
        time.sleep(5)

    assert run(["a", "c"], action) == 143
    assert capsys.readouterr().err == "\nstopped by SIGTERM\n"


def test_a_second_signal_ends_at_once(capsys, monkeypatch):
    codes = []
    monkeypatch.setattr("os._exit", codes.append)

    def action(*_, **__):
        with deferred_stop():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    assert run(["a", "c"], action) == 130
    assert codes == [130]


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
