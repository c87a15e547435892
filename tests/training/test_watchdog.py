import threading
import time
from pathlib import Path

import pytest

from jaxhsi.training.progress import ProgressBars
from jaxhsi.training.watchdog import (
    DEFAULT_STALL_SECONDS,
    STALL_VARIABLE,
    stall_seconds,
    stall_watchdog,
)


def test_a_process_that_waits_is_told_with_where_and_what_to_report(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    messages: list[str] = []
    event = threading.Event()
    with stall_watchdog(0.3, messages.append):
        event.wait(1.0)
    assert messages
    assert "outside of jaxhsi" in messages[0]
    (report,) = tmp_path.iterdir()
    assert str(report) in messages[0]
    text = report.read_text()
    assert "jaxlib" in text
    assert Path(__file__).name in text


def test_where_it_waits_is_the_innermost_function_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    messages: list[str] = []
    bars = ProgressBars()
    monkeypatch.setattr(bars._progress, "start", lambda: time.sleep(0.8))
    with stall_watchdog(0.3, messages.append):
        bars.__enter__()
    assert "in __enter__, jaxhsi" in messages[0]


def test_a_process_that_works_is_left_alone():
    messages: list[str] = []
    with stall_watchdog(0.4, messages.append):
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            pass
    assert not messages


def test_it_can_be_turned_off():
    messages: list[str] = []
    with stall_watchdog(0, messages.append):
        time.sleep(0.1)
    assert not messages


def test_the_time_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv(STALL_VARIABLE, raising=False)
    assert stall_seconds() == DEFAULT_STALL_SECONDS
    monkeypatch.setenv(STALL_VARIABLE, "7.5")
    assert stall_seconds() == 7.5
    for wrong in ("soon", "-1", "nan"):
        monkeypatch.setenv(STALL_VARIABLE, wrong)
        with pytest.raises(ValueError, match="is no time"):
            stall_seconds()
