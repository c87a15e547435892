"""Servers on this machine: one of files with byte ranges that can break off, and one of S3."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import tensorstore as ts

RETRIES = {"max_retries": 3, "initial_delay": "1ms", "max_delay": "2ms"}
QUICK = ts.Context({"http_request_retries": RETRIES, "s3_request_retries": RETRIES})
"""Of tests of faults: as many tries as by default, and hardly a wait between them."""


class Faults:
    """What goes wrong with the blocks of a store, the files below `c/`."""

    def __init__(self):
        self.drops = 0  # answers still to break off half-way
        self.stall = 0.0  # seconds of silence in the middle of each
        self.asked = 0  # requests for blocks


class _Files(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, faults: Faults, *args):
        self.folder, self.faults = folder, faults
        super().__init__(*args)

    def do_GET(self) -> None:
        if self.path.startswith("/away/"):  # to a file of the machine that asks
            self.send_response(302)
            target = (self.folder / self.path.removeprefix("/away/")).resolve()
            self.send_header("Location", target.as_uri())
            self.end_headers()
            return
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        body, status = path.read_bytes(), 200
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            first, last = asked.groups()
            start = int(first) if first else len(body) - int(last)
            stop = int(last) + 1 if first and last else len(body)
            self.range, status = f"bytes {start}-{stop - 1}/{len(body)}", 206
            body = body[start:stop]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", self.range)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if "/c/" in self.path:
            self.faults.asked += 1
            if self.faults.drops > 0:
                self.faults.drops -= 1
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            if self.faults.stall:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                time.sleep(self.faults.stall)
                return
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args) -> None:
        pass


@contextmanager
def file_server(folder: Path) -> Iterator[tuple[str, Faults]]:
    """Serve a folder; its URL, and what can be made to go wrong."""
    faults = Faults()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, folder, faults))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with file_server(Path(sys.argv[1])) as (served_url, _):
        print(served_url, flush=True)
        threading.Event().wait()
