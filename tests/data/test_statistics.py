"""Statistics: those of numpy, in any blocks and order; measured once as long as a store stays."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data import statistics
from jaxhsi.data.statistics import (
    BandStatistics,
    RunningStatistics,
    cube_statistics,
    stored_statistics,
)
from jaxhsi.data.windows import read_window
from tests.helpers.cubes import make_cube

VECTORS = ("mean", "standard_deviation", "minimum", "maximum")


def assert_same(found: BandStatistics, expected: BandStatistics, **tolerance) -> None:
    assert (found.num_pixels, found.num_valid) == (expected.num_pixels, expected.num_valid)
    for name in VECTORS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), **tolerance)


def expected_of(values: np.ndarray, pixels: int) -> BandStatistics:
    x = values.astype(np.float64)
    return BandStatistics(pixels, len(x), x.mean(0), x.std(0, ddof=1), x.min(0), x.max(0))


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 50), max_size=6),
    level=st.sampled_from([0.0, 1e6]),
    dtype=st.sampled_from([np.float32, np.float64, np.int16]),
    block=st.sampled_from([1, 7, 2**20]),
)
def test_any_blocks_give_what_numpy_does(cuts, level, dtype, block):
    spread = 100.0 if dtype == np.int16 else 1.0
    level = 0.0 if dtype == np.int16 else level
    values = (np.random.default_rng(len(cuts)).normal(level, spread, (50, 3))).astype(dtype)
    parts, whole, merged = (
        np.split(values, sorted(cuts)),
        RunningStatistics(3),
        RunningStatistics(3),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK_VALUES", block)
        for part in parts:
            whole.add(part)
            other = RunningStatistics(3)
            other.add(part)
            merged.merge(other)
    for found in (whole, merged):
        assert_same(found.result(60), expected_of(values, 60), rtol=1e-9, atol=1e-12)
    assert whole.result(60).valid_share == 50 / 60


def test_variance_beside_a_large_mean_by_hand():
    running = RunningStatistics(1)
    for value in (1e9 + 1, 1e9 + 2, 1e9 + 3):
        running.add(np.array([[value]]))
    found = running.result(3)
    assert (found.mean[0], found.standard_deviation[0]) == (1e9 + 2, 1.0)
    assert (found.minimum[0], found.maximum[0]) == (1e9 + 1, 1e9 + 3)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_json_keeps_every_digit(count):
    running = RunningStatistics(2)
    running.add(np.random.default_rng(0).normal(size=(count, 2)))
    found = running.result(7)
    again = BandStatistics.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)), 2)
    for name in VECTORS:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert (again.num_pixels, again.num_valid) == (7, count)
    assert np.isnan(found.mean).all() == (count == 0)
    if count == 1:
        assert (found.standard_deviation == 0).all()


@pytest.fixture
def values() -> np.ndarray:
    made = np.random.default_rng(1).normal(3.0, 2.0, (70, 130, 3)).astype(np.float32)
    made[5, 6, 1] = np.nan
    return made


def test_a_cube_is_measured_once(values, tmp_path, monkeypatch):
    cube = make_cube(tmp_path, "c", values)
    assert stored_statistics(cube, tmp_path / "cache") is None
    found = cube_statistics(cube, cache_folder=tmp_path / "cache")
    valid = np.isfinite(values).all(-1)
    assert_same(found, expected_of(values[valid], valid.size), rtol=1e-12)
    monkeypatch.setattr(statistics, "_measure_statistics", None)  # a second pass would fail
    assert_same(cube_statistics(cube, cache_folder=tmp_path / "cache"), found, rtol=0)


def test_a_changed_store_is_measured_anew(values, tmp_path):
    cube = make_cube(tmp_path, "c", values)
    cache = tmp_path / "cache"
    first = cube_statistics(cube, cache_folder=cache)
    block = tmp_path / "c.zarr/reflectance/c/0/0/0"
    os.utime(block, ns=(0, 12345))
    assert stored_statistics(cube, cache) is None
    assert_same(cube_statistics(cube, cache_folder=cache), first, rtol=0)
    assert stored_statistics(replace(cube, no_data=1.0), cache) is None


def test_what_the_store_keeps_comes_first(values, tmp_path, caplog):
    cube = make_cube(tmp_path, "c", values)
    running = RunningStatistics(3)
    running.add(np.ones((4, 3)))
    kept = replace(cube, statistics=running.result(4).to_json())
    assert_same(cube_statistics(kept, cache_folder=tmp_path), running.result(4), rtol=0)
    assert not (tmp_path / "statistics").exists()
    spoilt = replace(cube, statistics={**kept.statistics, "low": [1.0]})
    assert cube_statistics(spoilt, cache_folder=tmp_path).num_valid == 70 * 130 - 1
    assert "low holds 1 values for 3 bands" in caplog.text


def test_another_reader_is_measured_each_time(values, tmp_path):
    cube = make_cube(tmp_path, "c", values)

    def doubled(*where):
        read, valid = read_window(*where)
        return 2 * read, valid

    plain = cube_statistics(cube, cache_folder=tmp_path)
    found = cube_statistics(cube, doubled, tmp_path)
    np.testing.assert_allclose(found.mean, 2 * plain.mean, rtol=1e-6)


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(values, tmp_path, caplog):
    (tmp_path / "file").touch()
    cube = make_cube(tmp_path, "c", values[:4, :4])
    assert cube_statistics(cube, cache_folder=tmp_path / "file").num_valid == 16
    assert "statistics are not kept" in caplog.text
