"""Tensors of PyTorch: the reference's files give their values, and no code in a file is run."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.labels.label_files import load_labels, open_labels
from jaxhsi.data.labels.torch_file import load_torch

GOLDEN = Path(__file__).parents[2] / "golden"
MAP = np.array([[0, 1, 10, 3], [14, 1, 0, 2], [5, 5, 7, 250]])  # as in golden/make_labels.py


def golden(name):
    return GOLDEN / f"labels_{name}.pth"


class Call:
    """Pickled as a call of any function."""

    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


def archive(path, content):
    """A file as torch.save lays it out, with any content."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
    return path


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("whole", "int64"),
        ("second_of_batch", "int64"),
        ("transposed", "int64"),
        ("every_other", "int64"),
        ("bytes", "uint8"),
        ("floats", "float32"),
        ("unsigned", "uint16"),
        ("dict", "int64"),
    ],
)
def test_files_of_the_reference(name, dtype):
    found = load_torch(golden(name))
    np.testing.assert_array_equal(found, MAP)
    assert found.dtype == dtype
    assert not found.flags.writeable


def test_masks():
    np.testing.assert_array_equal(load_torch(golden("mask")), MAP > 4)


def test_labels_of_a_cube():
    np.testing.assert_array_equal(load_labels(golden("whole"), (3, 4, 50)), MAP)
    opened = open_labels(golden("transposed"), (3, 4))
    assert opened.class_values == (0, 1, 2, 3, 5, 7, 10, 14, 250)
    np.testing.assert_array_equal(opened.read_labels(slice(1, 3), slice(2, 9)), MAP[1:, 2:])
    with pytest.raises(ValueError, match=r"whole\.pth has shape \(3, 4\), its cube has \(4, 3\)"):
        load_labels(golden("whole"), (4, 3))


def test_dicts_are_chosen_from_by_key():
    path = golden("dict")
    np.testing.assert_array_equal(load_torch(path, "batch")[0], MAP + 1)
    assert load_torch(path, "scores").dtype == np.float32
    with pytest.raises(ValueError, match=r"no tensor 'x'.*label int64 \(3, 4\), scores float32"):
        load_torch(path, "x")
    with pytest.raises(ValueError, match=r"no tensor 'x'; it holds one tensor without a name"):
        load_torch(golden("whole"), "x")


def test_choice_by_itself_must_be_clear(tmp_path):
    path = archive(tmp_path / "a.pth", {"epoch": 3})
    with pytest.raises(ValueError, match=r"0 2-D tensors of whole numbers.* tensors are: none"):
        load_torch(path)


def test_big_endian(tmp_path):
    source, path = golden("whole"), tmp_path / "big.pth"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            data = old.read(entry)
            if entry.endswith("/data/0"):
                data = np.frombuffer(data, "<i8").astype(">i8").tobytes()
            new.writestr(entry, b"big" if entry.endswith("/byteorder") else data)
    np.testing.assert_array_equal(load_labels(path, MAP.shape), MAP)


@pytest.mark.parametrize("wrap", [lambda call: call, lambda call: {"label": call}, OrderedDict])
def test_code_is_refused_and_not_run(tmp_path, wrap):
    witness = tmp_path / "was_run"
    call = Call(os.system, f"touch {witness}")
    path = archive(tmp_path / "a.pth", {"a": call} if wrap is OrderedDict else wrap(call))
    with pytest.raises(ValueError, match=r"a\.pth asks to load posix\.system.*nothing of it was"):
        load_labels(path, MAP.shape)
    assert not witness.exists()
    pickle.loads(zipfile.ZipFile(path).read("archive/data.pkl"))  # what any other reader would do
    assert witness.exists()


@pytest.mark.parametrize(
    "function", [eval, getattr, __import__, exec, open, np.load, pickle.loads, io.open, print]
)
def test_any_other_name_is_refused(tmp_path, function):
    path = archive(tmp_path / "a.pth", Call(function, "1"))
    with pytest.raises(ValueError, match="asks to load"):
        load_torch(path)


def test_numpy_arrays_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"asks to load numpy.*save them with torch\.save"):
        load_torch(archive(tmp_path / "a.pth", MAP))


def test_known_names_do_nothing_but_describe(tmp_path):
    """A rebuild of something else, and attributes set on what stands for the functions."""
    stream = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb."
    path = tmp_path / "a.pth"
    for _ in range(2):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/data.pkl", stream)
        with pytest.raises(ValueError, match="holds a function, not a tensor"):
            load_torch(path)
    rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x00K\x00))\x89NtR."
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", rebuild)
    with pytest.raises(ValueError, match=r"description of tensors is damaged"):
        load_torch(path)


def test_other_contents_are_named():
    with pytest.raises(ValueError, match="numbers of the type BFloat16"):
        load_torch(golden("bfloat"))
    with pytest.raises(ValueError, match="holds a list, not a tensor"):
        load_torch(golden("list"))
    with pytest.raises(ValueError, match=r"not a zip archive .* since PyTorch 1\.6"):
        load_torch(golden("legacy"))


def test_zip_files_of_something_else(tmp_path):
    np.savez(tmp_path / "a.npz", labels=MAP)
    with pytest.raises(ValueError, match=r"torch\.save did not write it"):
        load_torch(tmp_path / "a.npz")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(ValueError, match=r"empty\.pth is not a zip archive"):
        load_torch(tmp_path / "empty.pth")
    with zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"0" * 100)
    with pytest.raises(ValueError, match=r"torch\.save did not write it"):
        load_torch(tmp_path / "b.pth")


def test_values_that_are_not_there(tmp_path):
    with zipfile.ZipFile(golden("whole")) as file:
        description = file.read("labels_whole/data.pkl")
    for values, message in (
        (None, "values of a tensor are missing"),
        (bytes(95), "reaches beyond"),
    ):
        path = tmp_path / "a.pth"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/data.pkl", description)
            if values is not None:
                file.writestr("archive/data/0", values)
        with pytest.raises(ValueError, match=message):
            load_torch(path)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damage_gives_an_error_or_the_values(tmp_path_factory, data):
    content = bytearray(golden("second_of_batch").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("torch") / "a.pth"
    path.write_bytes(content)
    try:
        outcome = load_torch(path)
    except ValueError as error:
        outcome = str(error)
    if isinstance(outcome, str):
        assert "a.pth" in outcome
    else:
        np.asarray(outcome[:1], copy=True)  # what it points to is there
