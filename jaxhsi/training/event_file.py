"""Scalars for TensorBoard, written by the thread that has them.

tensorboardX's `SummaryWriter` writes by a thread of its own: where the disk is full that thread
ends, and who adds to its queue waits for ever.
"""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.summary import scalar

from jaxhsi.storage.replacement import write_errors_named

FILE_VERSION = "brain.Event:2"


class EventFile:
    """One file of events; errors of writing name its folder."""

    def __init__(self, folder: Path, first_step: int):
        """Begin a file in a folder, made if it is not there.

        Args:
            folder: of all event files of a run.
            first_step: the first to come; of later steps, earlier files count no more.

        Raises:
            OSError: the disk is full, or cannot be written to.
        """
        self._folder = folder
        with write_errors_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = EventsWriter(str(folder / "events"))
            self._writer.write_event(Event(step=first_step, file_version=FILE_VERSION))
            restart = SessionLog(status=SessionLog.START)
            self._writer.write_event(Event(step=first_step, session_log=restart))
            self._writer.flush()

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Append numbers of a step by their names, on disk when this returns.

        Raises:
            OSError: the disk is full, or cannot be written to.
        """
        with write_errors_named(self._folder):
            for name, value in scalars.items():
                event = Event(wall_time=time.time(), step=step, summary=scalar(name, value))
                self._writer.write_event(event)
            self._writer.flush()

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: the disk is full, or cannot be written to.
        """
        with write_errors_named(self._folder):
            self._writer.close()
