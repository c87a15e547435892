"""Spectra drawn over cubes: uniform, valid ones alone, from a bounded number of tiles."""

import numpy as np
import pytest

from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.windows import read_window
from tests.helpers.cubes import make_cube


def test_sample_looks_on_where_tiles_are_empty(tmp_path):
    values = np.full((40, 40, 1), np.nan, np.float32)
    values[:4, :4], values[20:24, 8:12] = 1, 2
    cube = make_cube(tmp_path, "c", values)
    sample = sample_spectra([cube], 100, seed=0, tile_side=4, max_tiles=7)
    assert sorted(sample.spectra[:, 0]) == [1] * 16 + [2] * 16
    assert sample.num_read == 1600


def test_sample_is_uniform_without_replacement(tmp_path):
    values = np.arange(400, dtype=np.float32).reshape(20, 20, 1)
    cube = make_cube(tmp_path, "c", values)
    everything = sample_spectra([cube], 1000, seed=0, tile_side=7)
    assert sorted(everything.spectra[:, 0]) == list(range(400))
    assert (everything.num_read, everything.num_invalid) == (400, 0)
    hits = np.zeros(400)
    for seed in range(60):
        hits[sample_spectra([cube], 100, seed, tile_side=7).spectra[:, 0].astype(int)] += 1
    assert hits.mean() == 15  # 100 of 400, 60 times
    assert np.abs(hits - 15).max() < 15  # binomial deviation 3.4
    corner, rest = hits.reshape(20, 20)[14:, 14:].mean(), hits.mean()
    assert abs(corner - rest) < 2.5


def test_sample_leaves_out_invalid_pixels_and_counts_them(tmp_path):
    values = np.ones((6, 6, 2), np.float32)
    values[0, 0, 1] = np.nan
    values[5, 5] = np.inf
    sample = sample_spectra([make_cube(tmp_path, "c", values)], 100, seed=0)
    assert (len(sample.spectra), sample.num_read, sample.num_invalid) == (34, 36, 2)
    assert np.isfinite(sample.spectra).all()


def test_sample_reads_a_bounded_number_of_tiles(tmp_path):
    cube = make_cube(tmp_path, "c", np.ones((40, 40, 2), np.float32))
    reads = []

    def read(*where):
        reads.append(where)
        return read_window(*where)

    sample = sample_spectra([cube], 10, seed=0, tile_side=4, max_tiles=5, read_window_fn=read)
    assert len(reads) == 5
    assert len(sample.spectra) == 10


def test_nothing_valid_is_an_error_that_names_the_cube(tmp_path):
    cube = make_cube(tmp_path, "empty", np.full((4, 4, 2), 7, np.int16), no_data=7)
    with pytest.raises(ValueError, match=r"no valid pixel among 16 .*empty\.zarr"):
        sample_spectra([cube], 10, seed=0)
