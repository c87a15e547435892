"""Commands in one process that stays: for faults in files, which need no process of their own.

The parent sends a line of JSON with a folder and arguments, and gets a line with the exit code and
what was said. A command that ends the process or does not come back takes the worker with it, and
the parent starts another.
"""

import io
import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from benchmarks.machine import module_environment
from benchmarks.runtime.outcomes import Ended


class Worker:
    """A process that runs commands one after the other."""

    def __init__(self, seconds: float = 150.0):
        """Start with the first command.

        Args:
            seconds: that a command may take.
        """
        self._seconds, self._process, self._lines = seconds, None, queue.Queue()

    def run(self, arguments: list[str], folder: Path) -> Ended:
        """Run a command and return how it ended."""
        if self._process is None or self._process.poll() is not None:
            self._begin()
        began = time.perf_counter()
        self._process.stdin.write(
            json.dumps({"folder": str(folder), "arguments": arguments}) + "\n"
        )
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=self._seconds)
        except queue.Empty:
            self.close()
            return Ended(-9, "", self._seconds, timed_out=True)
        seconds = time.perf_counter() - began
        if line is None:  # the process ended
            return Ended(self._process.wait(), "the process ended without a word", seconds)
        answer = json.loads(line)
        return Ended(answer["code"], answer["text"], seconds)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _begin(self) -> None:
        self._lines = lines = queue.Queue()
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.runtime.worker"],
            env=module_environment() | {"COLUMNS": "1000"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

        def read() -> None:
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()


def serve() -> None:
    """Run the commands that come in."""
    from jaxhsi.__main__ import main

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request, text = json.loads(line), io.StringIO()
        os.chdir(request["folder"])
        with redirect_stdout(text), redirect_stderr(text):
            try:
                code = main(request["arguments"])
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 2
            except BaseException:
                traceback.print_exc()
                code = 1
        answers.write(json.dumps({"code": code or 0, "text": text.getvalue()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
