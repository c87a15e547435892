"""A command of jaxhsi that kills itself before a given change of the disk.

    python -m benchmarks.runtime.killed_command N COUNT_FILE train dgc ...

Counted are renames, deletions, new folders and files opened for writing by Python, below the folder
named in the variable FAULT_FOLDER. Before the N-th of them the process gets SIGKILL, as from the
kernel; with N = 0 none, and their number is left in COUNT_FILE. What TensorStore and Orbax write
from their own threads is met by kills at random times.
"""

import os
import signal
import sys
from pathlib import Path

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link"}


class ChangeCounter:
    """An audit hook that counts changes of a folder and ends the process before one of them."""

    def __init__(self, folder: str, deadly_number: int):
        self.number, self._folder, self._deadly_number = 0, folder, deadly_number

    def __call__(self, event: str, arguments: tuple) -> None:
        """Count an event of Python, or end the process before it."""
        is_change = event in _CHANGES or (event == "open" and _is_for_writing(arguments))
        if not is_change or isinstance(arguments[0], int):
            return
        if not os.path.abspath(os.fsdecode(arguments[0])).startswith(self._folder):
            return
        self.number += 1
        if self.number == self._deadly_number:
            os.kill(os.getpid(), signal.SIGKILL)


def _is_for_writing(arguments: tuple) -> bool:
    _, mode, flags = arguments
    if mode is not None:
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR))


def main() -> int:
    """Run the command of the process's arguments."""
    deadly_number, count_file, *arguments = sys.argv[1:]
    counter = ChangeCounter(os.environ["FAULT_FOLDER"], int(deadly_number))
    from jaxhsi.__main__ import main as jaxhsi

    sys.addaudithook(counter)
    code = jaxhsi(arguments)
    Path(count_file).write_text(str(counter.number))
    return code


if __name__ == "__main__":
    sys.exit(main())
