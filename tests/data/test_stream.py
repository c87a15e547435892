import itertools

import numpy as np
import pytest

from jaxhsi.data.cube import Cube
from jaxhsi.data.stream import standardised_reader, window_stream
from jaxhsi.data.windows import read_window
from tests.helpers.cubes import make_cube


@pytest.fixture
def cubes(tmp_path) -> tuple[Cube, Cube]:
    """A small cube of 1s and one of 2s with four times the area."""
    ones, twos = (np.full((size, size, 3), value, np.float32) for size, value in ((8, 1), (16, 2)))
    return make_cube(tmp_path, "ones", ones), make_cube(tmp_path, "twos", twos)


def take(stream, count: int) -> list:
    return list(itertools.islice(stream, count))


def same(a: list, b: list) -> bool:
    return all(
        np.array_equal(x, y)
        for one, two in zip(a, b, strict=True)
        for x, y in zip(one, two, strict=True)
    )


def test_stream_is_its_seed(cubes):
    first = take(window_stream(cubes, 6, 4, seed=1), 5)
    assert first[0][0].shape == (4, 6, 6, 3)
    assert first[0][1].shape == (4, 6, 6)
    assert same(
        first, take(window_stream(cubes, 6, 4, seed=1, num_threads=1, prefetch_windows=1), 5)
    )
    assert not same(first, take(window_stream(cubes, 6, 4, seed=2), 5))


def test_stream_resumes_where_it_was(cubes):
    stream = window_stream(cubes, 6, 2, seed=1)
    take(stream, 3)
    position = stream.get_state()
    rest = take(stream, 4)
    again = window_stream(cubes, 6, 2, seed=1)
    again.set_state(position)
    assert same(rest, take(again, 4))


def test_rows_of_batches_are_those_of_whole_batches(cubes):
    """Two processes read disjoint windows that are those of one process, from the same position."""
    whole = window_stream(cubes, 6, 4, seed=1)
    read_count = 0

    def counting_reader(*place):
        nonlocal read_count
        read_count += 1
        return read_window(*place)

    parts = [
        window_stream(cubes, 6, 4, seed=1, rows=rows, read_window_fn=counting_reader)
        for rows in ((0, 1), (2, 3))
    ]
    for _ in range(3):
        batches = [next(part) for part in parts]
        joined = tuple(np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        assert same([joined], [next(whole)])
    positions = [stream.get_state() for stream in (whole, *parts)]
    assert positions[0] == positions[1] == positions[2]
    assert read_count <= 2 * (6 + 8 + 2)  # its own of three batches, and those read ahead
    again = window_stream(cubes, 6, 4, seed=1, rows=(3, 3))
    again.set_state(positions[0])
    [last] = take(again, 1)
    assert same([last], [tuple(part[[3, 3]] for part in next(whole))])


def test_cubes_are_drawn_by_their_area(cubes):
    windows = np.concatenate(
        [values for values, _ in take(window_stream(cubes, 2, 50, seed=0), 20)]
    )
    assert 0.75 < (windows.max((1, 2, 3)) == 2).mean() < 0.85


def test_every_pixel_is_seen_alike(tmp_path):
    """Border pixels too: the mirror beyond the edge makes up for windows that leave the cube."""
    values = np.arange(100, dtype=np.float32).reshape(10, 10, 1)
    stream = window_stream([make_cube(tmp_path, "c", values)], 6, 100, seed=0)
    seen = np.concatenate([batch.ravel() for batch, _ in take(stream, 100)]).astype(int)
    counts = np.bincount(seen, minlength=100).reshape(10, 10) / len(seen) * 100
    assert counts.min() > 0.5
    assert counts.max() < 2.5


def test_cubes_count_by_their_valid_area(tmp_path):
    """Every valid pixel is seen equally often, in a full cube and in one with a hole alike."""
    full, part = np.full((12, 12, 1), 1, np.float32), np.full((24, 24, 1), 2, np.float32)
    part[:, 6:] = np.nan  # as many valid pixels as the full one, of four times the area
    cubes = [make_cube(tmp_path, "full", full), make_cube(tmp_path, "part", part)]
    values, valid = (
        np.concatenate(p) for p in zip(*take(window_stream(cubes, 3, 50, seed=0), 60), strict=True)
    )
    assert valid.any((1, 2)).all()
    seen = values[valid]
    assert 0.47 < (seen == 1).mean() < 0.53
    windows = values.max((1, 2, 3)) == 2  # those at the edge of the hole show less of it each
    assert 0.5 < windows.mean() < 0.6


def test_windows_of_an_empty_cube_end(tmp_path):
    cube = make_cube(tmp_path, "c", np.full((5, 5, 1), np.nan, np.float32))
    [(_, valid)] = take(window_stream([cube], 3, 2, seed=0), 1)
    assert not valid.any()


def test_standardised_reads_bands_of_mean_zero_and_deviation_one(tmp_path):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(70, 90, 3)) * [1, 5, 100] + [3, -50, 4000]).astype(np.float32)
    values[3, 4] = np.nan
    cube = make_cube(tmp_path, "c", values)
    scaled, valid = standardised_reader([cube])(cube, 0, 0, 70, 90)
    np.testing.assert_allclose(scaled[valid].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled[valid].std(0, ddof=1), 1, atol=1e-4)
    assert not valid[3, 4]
    assert (scaled[3, 4] == 0).all()


def test_standardised_measures_each_cube_by_itself(cubes):
    read = standardised_reader(cubes[:1])
    for cube in cubes:  # the second one is measured when it is first read
        values, _ = read(cube, 0, 0, 4, 4)
        assert (values == 0).all()
