"""What is said of errors: the file, what is wrong with it, and what to do."""

import contextlib
import errno
import logging
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorstore as ts
import yaml

from jaxhsi.command_errors import error_sentence, is_lack_of_space, thread_errors_as_sentences
from jaxhsi.data.cube import zarr_array_spec
from jaxhsi.data.tiles import Tile
from jaxhsi.training.checkpoints import Checkpoints
from jaxhsi.training.plane_file import PlaneFile


@pytest.fixture
def small_files():
    """Files of at most 64 kB in this process: writing more fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_label_map_that_does_not_fit_is_an_error_that_names_it(tmp_path, small_files):
    with pytest.raises(OSError, match="large") as error:
        PlaneFile(tmp_path / "a.npy", (300, 300), np.int16)
    sentence = error_sentence(error.value)
    assert sentence.startswith(f"{tmp_path / 'a.npy'} cannot be written: the file is larger than")


def test_a_full_disk_names_the_file_its_space_and_the_remedy(small_disk):
    plane = PlaneFile(small_disk / "labels.npy", (1000, 1000), np.int16)
    with pytest.raises(OSError, match="space") as error, plane:
        plane.write(Tile(0, 0, 1000, 1000), np.ones((1000, 1000), np.int16))
    assert error_sentence(error.value) == (
        f"{small_disk / 'labels.npy'} cannot be written: the disk is full (0.0 MB are free in "
        f"{small_disk}); free some space or name another folder; then run the command again"
    )


def test_full_disks_are_recognised_in_the_words_of_libraries(small_disk):
    spec = zarr_array_spec(str(small_disk / "a.zarr"))
    spec["metadata"] = {"shape": [2000, 1000], "data_type": "float32"}
    store = ts.open(spec, create=True).result()
    values = np.random.default_rng(0).random((2000, 1000), np.float32)
    with pytest.raises(Exception, match="space") as error:
        store.write(values).result()
    assert is_lack_of_space(error.value)
    sentence = error_sentence(error.value)
    assert str(small_disk / "a.zarr") in sentence
    assert "the disk is full" in sentence


def test_checkpoints_on_a_full_disk_are_one_sentence(small_disk):
    (small_disk / "fill").write_bytes(bytes(900_000))
    with (
        pytest.raises(Exception, match=r"space|SPACE") as error,
        Checkpoints(small_disk / "c") as checkpoints,
    ):
        checkpoints.save(1, {"w": np.random.default_rng(0).random(10**6)})
    sentence = error_sentence(error.value, small_disk)
    assert str(small_disk) in sentence
    assert "the disk is full" in sentence


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory (Unable to allocate 9 TiB)"),
        (yaml.YAMLError("bad\nindent"), "a YAML file cannot be read: bad indent"),
        (OverflowError("too large"), "OverflowError: too large"),
        (Exception("Disk quota exceeded"), "out cannot be written: your quota"),
        (OSError(errno.EROFS, "Read-only file system", "a.csv"), "a.csv cannot be written: the"),
    ],
)
def test_other_errors_are_sentences(error, words):
    assert words in error_sentence(error, Path("out"))


def test_threads_that_fail_for_one_reason_say_it_once(caplog, tmp_path):
    def fail() -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded", str(tmp_path / "events"))

    with thread_errors_as_sentences(tmp_path), caplog.at_level(logging.WARNING):
        for _ in range(3):
            (thread := threading.Thread(target=fail)).start()
            thread.join()
    [message] = caplog.messages
    assert "events cannot be written: your quota" in message


def test_loops_that_a_full_disk_has_closed_are_silent(tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: messages.append(str(each.exc_value)))
    with pytest.raises(OSError, match="space"):
        _end_with_full_disk(tmp_path)
    for words in ("Event loop is closed", "another"):
        _say_unraisable(RuntimeError(words))
    assert messages == ["another"]


def _end_with_full_disk(folder):
    full_disk = OSError(errno.ENOSPC, "No space left on device")
    with thread_errors_as_sentences(folder):
        _say_unraisable(RuntimeError("Event loop is closed"))
        _say_unraisable(full_disk)
        raise full_disk


def test_reads_that_were_given_up_are_silent(monkeypatch):
    messages = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: messages.append(str(each.exc_value)))

    async def read():
        pass

    with contextlib.closing(read()) as coroutine:
        with contextlib.suppress(ValueError), thread_errors_as_sentences(None):
            _say_unraisable(RuntimeError("before"), coroutine)
            raise ValueError("the checkpoint does not fit")
        _say_unraisable(RuntimeError("after"), coroutine)
    assert messages == ["before"]


def _say_unraisable(error, source=None):
    sys.unraisablehook(SimpleNamespace(exc_value=error, object=source))
