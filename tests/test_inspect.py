"""jaxhsi inspect: what would be read, in words and as JSON."""

import json

import numpy as np
import pytest

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


def save_table(path, missing=""):
    """Five spectra of six bands in rows, with their names and a class."""
    values = np.arange(1, 31).reshape(5, 6) ** 0.5
    rows = [["sample", "class", *range(400, 460, 10)]]
    rows += [[f"s{i}", "AB"[i % 2], *row.round(4)] for i, row in enumerate(values)]
    if missing:
        rows[2][4] = missing
    path.write_text("".join(";".join(map(str, row)) + "\n" for row in rows))
    return path


def test_table_with_the_command_that_unmixes_it(tmp_path, capsys):
    path = save_table(tmp_path / "a.csv")
    assert main([str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path)
    for words in (
        ("spectra", "5 of 6 bands", "[--spectra]"),
        ("axis", "400..450"),
        ("samples", "s0, s1, s2, ..."),
        ("references", "class", "[--references]"),
        ("values", "1..5.4772"),
        ("- 5 spectra in rows", "headed 'sample'"),
        ("- set aside, not bands: class",),
    ):
        [line] = [line for line in lines[1:] if line.strip().startswith(words[0])]
        assert all(word in line for word in words)
    assert lines[-1].endswith(f": jaxhsi train gmcr --data {path}")


def test_table_as_json_as_its_options_say(tmp_path, capsys):
    path = save_table(tmp_path / "a b.csv", missing="nan")
    assert main([str(path)]) == 1
    assert "--missing mask" in capsys.readouterr().err
    options = ["--missing", "mask", "--references", "class"]
    assert main([str(path), *options, "--json"]) == 0
    [record] = json.loads(capsys.readouterr().out)
    assert (record["num_spectra"], record["num_bands"], record["num_missing"]) == (5, 6, 1)
    assert record["axis"] == [400, 410, 420, 430, 440, 450]
    assert (record["sample_names"][0], record["references"]) == ("s0", ["class"])
    assert record["command"] == (
        f"jaxhsi train gmcr --data '{path}' --references class --missing mask"
    )


def test_folder_of_spectra_is_one_table(tmp_path, capsys):
    for i in range(3):
        lines = [f"{x},{(i + 1) * x % 37}\n" for x in range(400, 520, 10)]
        (tmp_path / f"s{i}.csv").write_text("".join(lines))
    assert main([str(tmp_path), "--json"]) == 0
    [record] = json.loads(capsys.readouterr().out)
    assert (record["kind"], record["num_spectra"], record["num_bands"]) == ("table", 3, 12)


@pytest.mark.parametrize("option", [["--raw"], ["--scale", "2"]])
def test_options_of_cubes_beside_a_table(tmp_path, capsys, option):
    assert main([str(save_table(tmp_path / "a.csv")), *option]) == 1
    assert f"{option[0]} belongs to cubes" in capsys.readouterr().err


def test_options_of_tables_beside_a_cube(tmp_path, capsys):
    assert main([str(save_frames(tmp_path / "a.h5")), "--spectra", "rows"]) == 1
    assert "--spectra belongs to tables" in capsys.readouterr().err


def test_a_path_without_a_file(tmp_path, capsys):
    assert main([str(tmp_path / "no.csv")]) == 1
    assert "no.csv" in capsys.readouterr().err
