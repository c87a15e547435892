"""Sources: a file, a folder or a store becomes cubes; files are copied once."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from jaxhsi.data import open
from jaxhsi.data.open import default_cache_folder, open_cubes
from jaxhsi.data.zarr_writer import create_cube

VALUES = np.random.default_rng(3).integers(0, 99, (6, 6, 9)).astype(np.uint8)


def save_store(path: Path, values: np.ndarray = VALUES) -> Path:
    with create_cube(path, values.shape, values.dtype) as array:
        array.write(values).result()
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three cubes, out of order, with labels and other things beside them."""
    data = tmp_path / "data"
    data.mkdir()
    save_store(data / "c.zarr")
    np.save(data / "b.npy", VALUES + 1)
    scipy.io.savemat(data / "a.mat", {"cube": VALUES + 2})
    np.save(data / "b_gt.npy", np.zeros((6, 6), np.uint8))
    scipy.io.savemat(data / "c.mat", {"gt": np.zeros((6, 6), np.uint8)})
    (data / "c.png").touch()
    (data / "notes.txt").touch()
    (data / ".hidden.npy").touch()
    (data / "labels").mkdir()
    shutil.copytree(data / "c.zarr", data / "d.zarr.partial-1-abc")
    return data


def values_of(cube) -> np.ndarray:
    return cube.array.read().result()


def test_folder_of_files_and_stores(folder, tmp_path):
    cubes = open_cubes(folder, cache_folder=tmp_path / "cache")
    assert [cube.name for cube in cubes] == ["a", "b", "c"]
    for cube, added in zip(cubes, (2, 1, 0), strict=True):
        np.testing.assert_array_equal(values_of(cube), VALUES + added)
    assert cubes[2].url == str((folder / "c.zarr").resolve())


def test_store_by_path_and_by_url(folder, tmp_path):
    for path in (folder / "c.zarr", str(folder / "c.zarr"), f"file://{folder}/c.zarr/"):
        (cube,) = open_cubes(path, cache_folder=tmp_path / "cache")
        assert (cube.name, cube.shape) == ("c", (6, 6, 9))
    assert not (tmp_path / "cache").exists()


def test_file_is_copied_once_and_again_when_it_changes(folder, tmp_path, monkeypatch):
    path, cache = folder / "b.npy", tmp_path / "cache"
    (first,) = open_cubes(path, cache_folder=cache)
    monkeypatch.setattr(open, "ingest", None)  # a second copy would fail
    (second,) = open_cubes(path, cache_folder=cache)
    assert (second.url, second.name) == (first.url, "b")
    monkeypatch.undo()
    (told,) = open_cubes(path, cache_folder=cache, layout="chw")
    assert told.shape == (6, 9, 6)
    np.save(path, VALUES + 7)
    os.utime(path, ns=(0, 12345))
    (changed,) = open_cubes(path, cache_folder=cache)
    np.testing.assert_array_equal(values_of(changed), VALUES + 7)


def test_copy_made_meanwhile_by_another_process_is_used(folder, tmp_path, monkeypatch):
    def overtaken(source, target, **options):
        save_store(target)
        raise FileExistsError(target)

    monkeypatch.setattr(open, "ingest", overtaken)
    (cube,) = open_cubes(folder / "b.npy", cache_folder=tmp_path / "cache")
    np.testing.assert_array_equal(values_of(cube), VALUES)

    def disk_full(source, target, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(open, "ingest", disk_full)
    with pytest.raises(OSError, match="No space left"):
        open_cubes(folder / "a.mat", cache_folder=tmp_path / "cache")


def test_table_in_a_folder_needs_a_size(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    scipy.io.savemat(data / "t.mat", {"Y": VALUES.reshape(-1, 9, order="F").T})
    np.save(data / "t_gt.npy", np.zeros((6, 6)))
    with pytest.raises(ValueError, match=r"holds no cube.*t\.mat, t_gt\.npy.*--size '\[H,W\]'"):
        open_cubes(data, cache_folder=tmp_path)
    (cube,) = open_cubes(data, cache_folder=tmp_path, size=(6, 6))
    np.testing.assert_array_equal(values_of(cube), VALUES)


def test_band_counts_must_agree(folder, tmp_path):
    np.save(folder / "b.npy", VALUES[..., :8])
    with pytest.raises(ValueError, match=r"a\.mat has 9 and .*b\.npy has 8"):
        open_cubes(folder, cache_folder=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()  # checked before the first copy


def test_stems_must_differ(folder, tmp_path):
    np.save(folder / "c.npy", VALUES)
    with pytest.raises(ValueError, match=r"the same: .*/c\.npy, .*/c\.zarr"):
        open_cubes(folder, cache_folder=tmp_path / "cache")


def test_bad_file_in_a_folder_is_not_passed_over(folder, tmp_path):
    (folder / "a.mat").write_bytes((folder / "a.mat").read_bytes()[:150])
    with pytest.raises(ValueError, match=r"a\.mat cannot be read"):
        open_cubes(folder, cache_folder=tmp_path / "cache")


def test_missing_empty_and_unknown(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_cubes(tmp_path / "none", cache_folder=tmp_path)
    with pytest.raises(ValueError, match=r"holds no cube.*It holds: nothing"):
        open_cubes(tmp_path, cache_folder=tmp_path)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"no reader for '\.jpg'"):
        open_cubes(tmp_path / "a.jpg", cache_folder=tmp_path)


def test_several_paths_and_urls_at_once(folder, tmp_path):
    other = save_store(tmp_path / "z.zarr", VALUES + 3)
    named = [other, str(folder / "b.npy"), f"file://{folder}/c.zarr"]
    cubes = open_cubes(named, cache_folder=tmp_path / "cache")
    assert [cube.name for cube in cubes] == ["z", "b", "c"]
    with pytest.raises(ValueError, match="no cube was named"):
        open_cubes([])
    with pytest.raises(ValueError, match=r"the same: .*c\.zarr, file://.*c\.zarr"):
        open_cubes([folder / "c.zarr", f"file://{folder}/c.zarr"])


def test_interrupted_writes_are_passed_over_and_named(folder, tmp_path, caplog):
    assert len(open_cubes(folder, cache_folder=tmp_path / "cache")) == 3
    assert "d.zarr.partial-1-abc is passed over" in caplog.text


def test_wavelengths_must_agree(folder, tmp_path):
    for name, moved in (("y", 0.0), ("z", 3.0)):
        waves = np.arange(400.0, 445.0, 5.0) + moved
        with create_cube(folder / f"{name}.zarr", (6, 6, 9), "uint8", wavelengths=waves) as array:
            array.write(VALUES).result()
    with pytest.raises(ValueError, match=r"y\.zarr and .*z\.zarr lie at other wavelengths"):
        open_cubes(folder, cache_folder=tmp_path / "cache")
    assert len(open_cubes(folder, cache_folder=tmp_path / "cache", tolerance=3.0)) == 5


def test_a_copy_belongs_to_a_header_too(tmp_path):
    data, header = tmp_path / "a.bil", tmp_path / "a.hdr"
    data.write_bytes(bytes(9))
    options = open.FileOptions()
    seen = {open._file_fingerprint(data, options)}
    for name in (header, tmp_path / "a.bil.hdr"):
        name.write_text("ENVI")
        seen.add(open._file_fingerprint(data, options))
    before = open._file_fingerprint(header, options)
    data.write_bytes(bytes(10))
    seen |= {open._file_fingerprint(data, options)}
    assert len(seen) == 4
    assert open._file_fingerprint(header, options) != before


def test_cache_folder_from_the_environment(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXHSI_CACHE", str(tmp_path / "mine"))
    assert default_cache_folder() == tmp_path / "mine"
    (cube,) = open_cubes(folder / "b.npy")
    assert Path(cube.url).is_relative_to((tmp_path / "mine").resolve())
    monkeypatch.delenv("JAXHSI_CACHE")
    assert default_cache_folder().name == "jaxhsi"


def test_real_cubes(shared_data, tmp_path):
    (cube,) = open_cubes(
        shared_data / "salinasA", cache_folder=tmp_path
    )  # the truth lies beside it
    assert (cube.name, cube.shape) == ("SalinasA_corrected", (83, 86, 204))
    (cube,) = open_cubes(shared_data / "jasper", cache_folder=tmp_path)
    assert cube.shape == (100, 100, 198)
    (cube,) = open_cubes(shared_data / "samson", cache_folder=tmp_path, size=(95, 95))
    assert cube.shape == (95, 95, 156)


def test_other_bands_than_are_asked_for_are_refused_before_anything_is_copied(folder, tmp_path):
    with pytest.raises(ValueError, match=r"the run r has 12 and .*a\.mat has 9"):
        open_cubes(folder, cache_folder=tmp_path / "cache", expected_band_counts={"the run r": 12})
    assert not (tmp_path / "cache").exists()
