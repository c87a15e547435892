"""jaxhsi inspect: what would be read, in words and as JSON."""

import json

import numpy as np

from jaxhsi.ingest import main as ingest_main
from jaxhsi.inspect import main
from tests.data.cases.scenes import counts, save_hdf5, scene, wavelengths

STORED = counts(scene())
STORED[:, :5] = -9999
MARKS = {"cube": {"_FillValue": -9999, "Scale_Factor": 10000.0}}


def save_frames(path):
    arrays = {"cube": STORED.transpose(0, 2, 1), "wavelength": wavelengths(12)}
    return save_hdf5(path, arrays, MARKS)


def test_properties_with_the_options_that_change_them(tmp_path, capsys):
    path = save_frames(tmp_path / "a.h5")
    assert main([str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path)
    for words in (
        ("axes", "(24, 12, 20) read as hcw", "12 wavelengths", "[--layout]"),
        ("size", "24 x 20 pixels, 12 bands"),
        ("wavelengths", "420..2450 nm"),
        ("missing value", "-9999", "[--no_data]"),
        ("scale", "times 0.0001", "[--raw or --scale]"),
        ("place", "not known", "[--pixel_size or --orthorectify]"),
        ("stored as", "float32"),
    ):
        [line] = [line for line in lines[1:] if line.strip().startswith(words[0])]
        assert all(word in line for word in words)


def test_json_agrees_with_the_store(tmp_path, capsys):
    path = save_frames(tmp_path / "a.h5")
    assert main([str(path), "--json"]) == 0
    [record] = json.loads(capsys.readouterr().out)
    assert record["shape"] == [24, 20, 12]
    assert (record["layout"], record["no_data"], record["scale_factor"]) == ("hcw", -9999, 1e-4)
    np.testing.assert_allclose(record["wavelengths_nm"], wavelengths(12))
    assert 0.5 < record["valid_share_of_sample"] < 1
    ingest_main([str(path), str(tmp_path / "a.zarr")])
    capsys.readouterr()
    assert main([str(tmp_path / "a.zarr"), "--json"]) == 0
    [stored] = json.loads(capsys.readouterr().out)
    assert (stored["shape"], stored["history"]) == (record["shape"], record["history"])


def test_files_that_cannot_be_read(tmp_path, capsys):
    np.save(tmp_path / "a.npy", scene(30, 24, 48).transpose(0, 2, 1))
    path = save_frames(tmp_path / "b.h5")
    assert main([str(tmp_path / "a.npy"), str(path)]) == 1
    printed = capsys.readouterr()
    assert "--layout hcw" in printed.err
    assert str(path) in printed.out  # the others are looked at
    assert main([str(tmp_path)]) == 0  # a folder may hold other files
    assert main([str(tmp_path / "a.npy"), "--layout", "hcw"]) == 0
