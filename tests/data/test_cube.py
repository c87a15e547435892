"""Stores: windows equal numpy's mirror, writes are whole or absent, bad stores are refused."""

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.cube import open_cube
from jaxhsi.data.windows import mirror_index, read_window
from jaxhsi.data.zarr_writer import create_cube, default_chunk_shape
from tests.helpers.cubes import SHAPE, VALUES, write_cube


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    """The same values in stores of different blocks."""
    folder = tmp_path_factory.mktemp("stores")
    chunks = [None, (4, 4, 5), (3, 5, 2), (1, 7, 1)]
    return [
        open_cube(write_cube(folder / f"{i}.zarr", VALUES, chunk_shape=c))
        for i, c in enumerate(chunks)
    ]


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "float16", "float32", "float64"]
)
def test_round_trip_keeps_type_values_and_metadata(tmp_path, dtype):
    values = (VALUES * 50).clip(0).astype(dtype)
    waves = np.linspace(400.0, 1000.0, SHAPE[2])
    path = write_cube(
        tmp_path / "a.b.zarr", values, wavelengths=waves, no_data=3.0, history=["x", "y"]
    )
    cube = open_cube(path)
    assert cube.array.dtype.numpy_dtype == np.dtype(dtype)
    np.testing.assert_array_equal(cube.array.read().result(), values)
    np.testing.assert_array_equal(cube.wavelengths, waves)
    assert (cube.name, cube.shape, cube.no_data) == ("a.b", SHAPE, 3.0)
    assert cube.history == ("x", "y")


def test_mirror_by_hand():
    folded = mirror_index(np.arange(-7, 10), 4)  # period 8: 0 1 2 3 3 2 1 0
    assert folded.tolist() == [1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0, 0, 1]
    assert mirror_index(np.arange(-3, 3), 1).tolist() == [0] * 6


@settings(max_examples=80, deadline=None)
@given(
    which=st.integers(0, 3),
    y0=st.integers(-40, 40),
    x0=st.integers(-40, 40),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
)
def test_any_window_is_that_of_the_padded_cube(cubes, which, y0, x0, height, width):
    margin = 80
    padded = np.pad(VALUES, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    expected = padded[margin + y0 : margin + y0 + height, margin + x0 : margin + x0 + width]
    values, valid = read_window(cubes[which], y0, x0, height, width)
    np.testing.assert_array_equal(values, expected)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    assert valid.all()


def test_one_pixel_cube_fills_any_window(tmp_path):
    cube = open_cube(write_cube(tmp_path / "one.zarr", VALUES[:1, :1]))
    values, _ = read_window(cube, -2, 5, 3, 4)
    np.testing.assert_array_equal(values, np.broadcast_to(VALUES[0, 0], (3, 4, 5)))


def test_missing_values_are_zero_and_invalid(tmp_path):
    values = VALUES.copy()
    values[0, 0, 1], values[1, 1, 2], values[2, 2, 3] = np.nan, np.inf, -9999.0
    values[3, 3, :] = 7.0  # a constant spectrum is data
    cube = open_cube(write_cube(tmp_path / "holes.zarr", values, no_data=-9999.0))
    read, valid = read_window(cube, 0, 0, *SHAPE[:2])
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert read[0, 0, 1] == read[1, 1, 2] == read[2, 2, 3] == 0.0
    np.testing.assert_array_equal(read[valid], values[valid])
    np.testing.assert_array_equal(read[0, 0, 2:], values[0, 0, 2:])
    _, mirrored = read_window(cube, -2, -2, 3, 3)
    assert np.argwhere(~mirrored).tolist() == [[0, 0], [1, 1], [1, 2], [2, 1], [2, 2]]


def test_no_data_is_compared_in_the_stored_type(tmp_path):
    values = np.full(SHAPE, 2**24, np.int32)  # float32 cannot tell 2^24 from 2^24 + 1
    values[4, 5] += 1
    cube = open_cube(write_cube(tmp_path / "large.zarr", values, no_data=2**24 + 1))
    assert np.argwhere(~read_window(cube, 0, 0, *SHAPE[:2])[1]).tolist() == [[4, 5]]


def test_values_beyond_float32_are_missing(tmp_path):
    values = VALUES.astype(np.float64)
    values[0, 0, 0] = 1e300
    cube = open_cube(write_cube(tmp_path / "huge.zarr", values, no_data=-1e300))
    read, valid = read_window(cube, 0, 0, 1, 2)
    assert valid.tolist() == [[False, True]]
    assert np.isfinite(read).all()


def test_reading_never_changes_what_is_read_next(cubes):
    first, _ = read_window(cubes[0], 0, 0, *SHAPE[:2])
    first[:] = -1.0
    np.testing.assert_array_equal(read_window(cubes[0], 0, 0, *SHAPE[:2])[0], VALUES)


def test_threads_and_pickled_copies_read_the_same(cubes):
    copy = pickle.loads(pickle.dumps(cubes[1]))
    with ThreadPoolExecutor(8) as pool:
        windows = list(pool.map(lambda i: read_window(copy, i - 8, 0, 6, 6)[0], range(16)))
    for i, window in enumerate(windows):
        np.testing.assert_array_equal(window, read_window(cubes[0], i - 8, 0, 6, 6)[0])


def test_default_blocks_are_bounded():
    assert default_chunk_shape((512, 512, 204), 2) == (32, 32, 204)
    assert default_chunk_shape((512, 512, 301), 4) == (32, 32, 301)
    assert default_chunk_shape((512, 512, 900), 4) == (16, 16, 900)
    assert default_chunk_shape((10, 512, 5), 4) == (10, 64, 5)


def test_blocks_of_zeros_are_data(tmp_path):
    cube = open_cube(write_cube(tmp_path / "zeros.zarr", np.zeros(SHAPE, np.uint8)))
    values, valid = read_window(cube, 0, 0, *SHAPE[:2])
    assert valid.all()
    assert not values.any()


def interrupted(path: Path) -> None:
    with create_cube(path, SHAPE, "float32") as array:
        array[:5].write(VALUES[:5]).result()
        raise KeyboardInterrupt


def test_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_killed_write_is_not_taken_for_a_cube(tmp_path):
    writer = create_cube(tmp_path / "a.zarr", SHAPE, "float32")
    array = writer.__enter__()
    array.write(VALUES).result()
    (partial,) = tmp_path.iterdir()
    left = shutil.copytree(partial, tmp_path / "copy" / partial.name)
    writer.__exit__(None, None, None)
    with pytest.raises(ValueError, match="interrupted write"):
        open_cube(left)
    assert open_cube(tmp_path / "a.zarr").shape == SHAPE


def test_cube_must_be_written_whole(tmp_path):
    with (
        pytest.raises(ValueError, match="2 of 6 blocks"),
        create_cube(tmp_path / "a.zarr", SHAPE, "float32", chunk_shape=(4, 4, 5)) as array,
    ):
        array[:4].write(VALUES[:4]).result()
    assert list(tmp_path.iterdir()) == []


def test_lost_and_damaged_blocks_are_errors(tmp_path):
    path = write_cube(tmp_path / "a.zarr", VALUES, chunk_shape=(4, 4, 5))
    damaged = path / "reflectance/c/1/0/0"
    content = bytearray(damaged.read_bytes())
    content[20] ^= 1
    damaged.write_bytes(content)
    cube = open_cube(path)
    (path / "reflectance/c/0/0/0").unlink()
    for row in (0, 4):
        with pytest.raises(ValueError, match=r"a\.zarr.*missing or damaged"):
            read_window(cube, row, 0, 2, 2)
    np.testing.assert_array_equal(read_window(cube, 8, 0, 2, 2)[0], VALUES[8:10, :2])


def test_replaced_cube_is_read_anew(tmp_path):
    path = write_cube(tmp_path / "a.zarr", VALUES)
    read_window(open_cube(path), 0, 0, 3, 3)
    shutil.rmtree(path)
    write_cube(path, VALUES + 1)
    np.testing.assert_array_equal(read_window(open_cube(path), 0, 0, 3, 3)[0], (VALUES + 1)[:3, :3])


def test_foreign_store_by_path_url_and_spec(tmp_path):
    path = tmp_path / "foreign.zarr"
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    array = ts.open(spec, create=True, dtype=ts.float32, shape=SHAPE).result()
    array.write(VALUES).result()
    for url in (path, str(path), f"file://{path}", f"file://{path}/|zarr3:", spec):
        cube = open_cube(url)
        assert (cube.name, cube.wavelengths, cube.no_data) == ("foreign", None, None)
        np.testing.assert_array_equal(read_window(cube, 1, 2, 3, 4)[0], VALUES[1:4, 2:6])


def test_open_refuses_what_is_no_cube(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_cube(tmp_path / "none.zarr")
    with pytest.raises(ValueError, match=r"no zarr\.json"):
        open_cube(tmp_path)
    with pytest.raises(ValueError, match="does not open"):
        open_cube(f"file://{tmp_path}/none.zarr")
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(ValueError, match="does not open"):
        open_cube(tmp_path)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [((4, 4), "float32", "three non-empty axes"), ((4, 4, 4), "bool", "holds bool")],
)
def test_open_refuses_other_arrays(tmp_path, shape, dtype, message):
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "x")}}
    ts.open(spec, create=True, dtype=ts.dtype(dtype), shape=shape).result()
    with pytest.raises(ValueError, match=message):
        open_cube(tmp_path / "x")


def test_open_refuses_a_later_version(tmp_path):
    path = write_cube(tmp_path / "a.zarr", VALUES)
    metadata_path = path / "reflectance" / "zarr.json"
    text = metadata_path.read_text()
    assert '"version":2' in text
    metadata_path.write_text(text.replace('"version":2', '"version":99'))
    with pytest.raises(ValueError, match="later jaxhsi"):
        open_cube(path)


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "message"),
    [
        ((4, 4), "float32", {}, r"\(H, W, C\)"),
        ((4, 0, 4), "float32", {}, "at least 1"),
        ((4, 4, 4), "complex64", {}, "complex64"),
        ((4, 4, 4), "bool", {}, "bool"),
        ((4, 4, 4), "float32", {"wavelengths": [1.0, 2.0]}, "4 finite numbers"),
        ((4, 4, 4), "float32", {"wavelengths": [1.0, 2.0, 3.0, np.nan]}, "4 finite numbers"),
    ],
)
def test_create_refuses_what_is_no_cube(tmp_path, shape, dtype, options, message):
    with (
        pytest.raises(ValueError, match=message),
        create_cube(tmp_path / "a.zarr", shape, dtype, **options),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_create_never_overwrites(tmp_path):
    path = write_cube(tmp_path / "a.zarr", VALUES)
    with pytest.raises(FileExistsError, match="delete it"), create_cube(path, SHAPE, "uint8"):
        pass
    np.testing.assert_array_equal(open_cube(path).array.read().result(), VALUES)


def test_empty_window_is_refused(cubes):
    with pytest.raises(ValueError, match="at least 1 x 1"):
        read_window(cubes[0], 0, 0, 0, 3)
