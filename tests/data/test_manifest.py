"""Manifests: what is said of cubes, and which of them are refused together."""

import json
import logging

import numpy as np
import pytest

from jaxhsi.data.manifest import manifest, manifest_json
from jaxhsi.data.memory_cube import cube_from_array
from jaxhsi.data.statistics import cube_statistics
from tests.helpers.cubes import make_cube

WAVES = np.array([400.0, 410.0, 414.0])


def cube_of(folder, name, *, size=(4, 5), dtype=np.float32, bands=3, **options):
    values = np.ones((*size, bands), dtype)
    return make_cube(folder, name, values, **options)


def single(folder, name, wavelength):
    return cube_of(folder, name, bands=1, wavelengths=[wavelength])


def test_rows_say_what_is_known_without_reading(tmp_path):
    a = cube_of(tmp_path, "a", wavelengths=WAVES, units="reflectance")
    b = cube_of(tmp_path, "b", size=(9, 2), wavelengths=WAVES + 1.9, units="reflectance")
    first, second = manifest([a, b], cache_folder=tmp_path)
    assert first == (
        *("a", a.url, (4, 5), 3, (400.0, 414.0), "float32", 240, None, "reflectance"),
        *(None, None),
    )
    assert (second.size, second.bytes) == ((9, 2), 216)
    cube_statistics(a, cache_folder=tmp_path)  # from now on it is known
    measured = manifest([a, b], cache_folder=tmp_path)[0]
    assert (measured.masked_share, measured.value_range, measured.value_level) == (0.0, (1, 1), 1)


def test_json_is_for_the_folder_of_a_run(tmp_path):
    cube = cube_of(tmp_path, "a", wavelengths=WAVES)
    stored = json.loads(json.dumps(manifest_json([cube], cache_folder=tmp_path)))
    assert (stored["bands"], stored["wavelengths_nm"]) == (3, WAVES.tolist())
    [row] = stored["cubes"]
    assert (row["name"], row["size"], row["dtype"]) == ("a", [4, 5], "float32")
    assert row["value_level"] == 1.0  # of a sample, where nobody has measured the cube
    bare = manifest_json([cube_of(tmp_path, "b")], cache_folder=tmp_path)
    assert (bare["wavelengths_nm"], bare["cubes"][0]["wavelengths_nm"]) == (None, None)


def test_wavelengths_must_agree_within_half_a_step(tmp_path):
    a = cube_of(tmp_path, "a", wavelengths=WAVES)
    moved = WAVES + np.array([0.0, -2.1, 0.5])
    b = cube_of(tmp_path, "b", wavelengths=moved)
    message = r"a\.zarr and .*b\.zarr .* band 1 at 410 nm and at 407\.9 nm, more than 2 nm apart"
    with pytest.raises(ValueError, match=message):
        manifest([a, b], cache_folder=tmp_path)
    manifest([a, b], tolerance=2.2, cache_folder=tmp_path)
    with pytest.raises(ValueError, match=r"more than 1 nm apart"):
        manifest(
            [single(tmp_path, "c", 400.0), single(tmp_path, "d", 402.0)], cache_folder=tmp_path
        )


def test_unknown_wavelengths_and_mixed_types_are_noted(tmp_path, caplog):
    a = cube_of(tmp_path, "a", wavelengths=WAVES)
    b = cube_of(tmp_path, "b", dtype=np.uint16)
    with caplog.at_level(logging.WARNING):
        manifest([b, a], cache_folder=tmp_path)
    assert "1 of 2 cubes do not say their wavelengths" in caplog.text
    assert "differ in their dtype: float32, uint16" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        manifest([a], cache_folder=tmp_path)
    assert caplog.text == ""


def test_bands_must_agree_and_something_must_be_valid(tmp_path):
    a, b = cube_of(tmp_path, "a"), cube_of(tmp_path, "b", bands=4)
    with pytest.raises(ValueError, match=r"a\.zarr has 3 and .*b\.zarr has 4"):
        manifest([a, b], cache_folder=tmp_path)
    empty = cube_of(tmp_path, "empty", no_data=1.0)
    manifest([a, empty], cache_folder=tmp_path)  # nobody has counted yet
    cube_statistics(empty, cache_folder=tmp_path)
    with pytest.raises(ValueError, match=r"empty\.zarr has no valid pixel"):
        manifest([a, empty], cache_folder=tmp_path)


def test_cubes_in_other_units_are_told(tmp_path, caplog):
    def measured(name, values):
        return cube_from_array(values.astype(np.float32), name)

    values = np.random.default_rng(0).uniform(0.1, 0.5, (6, 7, 3))
    manifest([measured("a", values), measured("b", 3 * values)], cache_folder=tmp_path)
    assert "other units" not in caplog.text
    manifest([measured("a", values), measured("c", 1e4 * values)], cache_folder=tmp_path)
    assert "values of c are near" in caplog.text
    assert "they may be in other units" in caplog.text
