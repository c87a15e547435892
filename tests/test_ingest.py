"""The command, end to end, and what a user can get wrong."""

import json

import numpy as np
import pytest

from jaxhsi.data.cube import open_cube
from jaxhsi.ingest import main

VALUES = np.random.default_rng(0).integers(0, 4000, (9, 8, 30)).astype(np.uint16)


@pytest.fixture
def scene(tmp_path):
    np.save(tmp_path / "scene.npy", VALUES)
    return tmp_path / "scene.npy"


def fails(capsys, *arguments) -> str:
    """Message of a command that must fail, in lines of its own."""
    assert main([str(argument) for argument in arguments]) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message.split("error: ")[1]


def test_one_file_into_a_store(scene, tmp_path, capsys):
    assert main([str(scene), str(tmp_path / "a.zarr"), "--dtype", "float32", "--bin", "3"]) == 0
    assert "9 x 8 x 10 float32" in capsys.readouterr().out
    found = open_cube(tmp_path / "a.zarr").array.read().result()
    np.testing.assert_allclose(found, VALUES.reshape(9, 8, 10, 3).mean(-1), rtol=1e-6)


def test_several_files_into_a_folder(scene, tmp_path):
    np.save(tmp_path / "other.npy", VALUES + 1)
    assert main([str(scene), str(tmp_path / "other.npy"), str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["other.zarr", "scene.zarr"]
    assert main([str(scene), str(tmp_path / "one")]) == 0
    np.testing.assert_array_equal(
        open_cube(tmp_path / "one" / "scene.zarr").array.read().result(), VALUES
    )


def test_overwrite(scene, tmp_path, capsys):
    target = tmp_path / "a.zarr"
    assert main([str(scene), str(target)]) == 0
    assert "a.zarr exists" in fails(capsys, scene, target, "--bad_bands", "0")
    assert main([str(scene), str(target), "--bad_bands", "0", "--overwrite"]) == 0
    assert open_cube(target).shape == (9, 8, 29)


def test_options_from_a_file(scene, tmp_path):
    (tmp_path / "options.yaml").write_text("bin: 30\nscale: 2.0\npixel_size: 0.5\n")
    arguments = [str(scene), str(tmp_path / "a.zarr"), "--config", str(tmp_path / "options.yaml")]
    assert main(arguments) == 0
    cube = open_cube(tmp_path / "a.zarr")
    assert (cube.shape, cube.georeference.pixel_area) == ((9, 8, 1), 0.25)


def test_every_source_is_checked_before_the_first_is_written(scene, tmp_path, capsys):
    (tmp_path / "bad.npy").write_bytes(b"no array")
    assert "bad.npy" in fails(capsys, scene, tmp_path / "bad.npy", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_user_can_get_wrong(scene, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    assert "give SRC... and then DST" in fails(capsys, scene)
    assert "no file at" in fails(capsys, tmp_path / "none.npy", out)
    assert "do not fit into one store" in fails(capsys, scene, scene, out)
    assert "2 sources are named scene" in fails(capsys, scene, scene, tmp_path / "out")
    assert "is a file" in fails(capsys, scene, scene)
    assert "--bin 0 is out of range" in fails(capsys, scene, out, "--bin", "0")
    assert "--scale 0" in fails(capsys, scene, out, "--scale", "0")
    assert "--pixel_size -1" in fails(capsys, scene, out, "--pixel_size", "-1")
    assert "no range" in fails(capsys, scene, out, "--wavelengths", "[900,400]")
    assert "no wavelengths" in fails(capsys, scene, out, "--wavelengths", "[400,900]")
    assert "needs --white" in fails(capsys, scene, out, "--dark", scene)
    with pytest.raises(SystemExit):
        main([str(scene), str(out), "--witavelengths", "[4,5]"])
    assert "did you mean --wavelengths?" in capsys.readouterr().err
    assert not out.exists()


def test_maize_kernel(shared_data, tmp_path):
    folder, target = shared_data / "plantcv_corn", tmp_path / "kernel.zarr"
    source = folder / "corn-kernel-hyperspectral.raw"
    white, dark = folder / "white_reference_crop.raw", folder / "dark_reference_crop.raw"
    options = ("--white", str(white), "--dark", str(dark), "--wavelengths", "[420,980]")
    assert main([str(source), str(target), *options, "--bin", "4", "--dtype", "float16"]) == 0
    raw, bright, dim = (
        np.fromfile(path, "<u2").reshape(31, 580, 43).transpose(0, 2, 1).astype(float)
        for path in (source, white, dark)
    )
    expected = (raw - dim.mean(0)) / (bright.mean(0) - dim.mean(0))
    cube = open_cube(target)
    assert (cube.shape, cube.units) == ((31, 43, 119), "reflectance")
    assert main([str(source), str(tmp_path / "raw.zarr")]) == 0
    first = int(np.argmax(open_cube(tmp_path / "raw.zarr").wavelengths >= 420))
    assert cube.wavelengths[0] == pytest.approx(422.6375)
    found = cube.array.read().result().astype(float)
    np.testing.assert_allclose(found[..., 0], expected[..., first : first + 4].mean(-1), atol=1e-3)
    assert found.min() > 0
    assert found.max() < 1.1
    assert json.dumps(cube.history).count("reflectance (x - dark) / (white - dark)") == 1
    assert cube.statistics["valid"] == 31 * 43


def test_parts_copy_each_file_once_and_are_checked_for_being_whole(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    for number, name in enumerate("cab"):
        np.save(tmp_path / "raw" / f"{name}.npy", VALUES + number)
    out = tmp_path / "out"
    given = [str(tmp_path / "raw"), str(out), "--bin", "3"]
    assert main([*given, "--part", "4/5"]) == 0
    assert not out.exists()
    assert main([*given, "--part", "1/2"]) == 0
    assert "part 1/2: 2 of 3 files: a, b" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir() if path.suffix) == ["a.zarr", "b.zarr"]
    times = [(out / f"{name}.zarr").stat().st_mtime_ns for name in "ab"]
    error = fails(capsys, *given, "--merge_parts")
    assert "part 2 of 2 is missing or not complete" in error
    assert f"jaxhsi ingest {tmp_path / 'raw'} {out} --bin 3 --part 2/2" in error
    assert "--bin 5 (was 3)" in fails(capsys, *given[:3], "5", "--part", "2/2")
    for part in ("2/2", "1/2"):
        assert main([*given, "--part", part]) == 0
    assert times == [(out / f"{name}.zarr").stat().st_mtime_ns for name in "ab"]
    capsys.readouterr()
    assert main([*given, "--merge_parts", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == records
    assert [record["shape"] for record in records] == [[9, 8, 10]] * 3
    assert sorted(path.name for path in out.iterdir()) == ["a.zarr", "b.zarr", "c.zarr"]
