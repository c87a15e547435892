"""Scalars for TensorBoard."""

import errno
import struct
from pathlib import Path

import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event

from jaxhsi.training.event_file import EventFile


def events_of(folder: Path) -> list[Event]:
    """Events of the one file in a folder: length, check, event, check."""
    (path,) = folder.iterdir()
    content, events = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return events


def test_scalars_are_on_disk_at_once(tmp_path):
    file = EventFile(tmp_path / "events", 6)
    file.write(7, {"loss": 0.5, "shares/0": 0.25})
    first, version, start, *events = events_of(tmp_path / "events")
    assert first.file_version == version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (6, start.session_log.START)
    values = [(event.step, event.summary.value[0]) for event in events]
    assert [(step, value.tag, value.simple_value) for step, value in values] == [
        (7, "loss", 0.5),
        (7, "shares/0", 0.25),
    ]
    file.close()


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path, monkeypatch):
    def full(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    file = EventFile(tmp_path / "events", 1)
    monkeypatch.setattr(EventsWriter, "flush", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        file.write(1, {"loss": 1.0})
    assert caught.value.filename == str(tmp_path / "events")
