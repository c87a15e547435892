"""Windows across the edges of blocks, shards and cubes are those of numpy."""

import tempfile
from pathlib import Path

import numpy as np
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.cube import open_cube
from jaxhsi.data.windows import read_window
from tests.helpers.cubes import write_cube

sides = st.integers(1, 9)
triples = st.tuples(sides, sides, st.integers(1, 4))


def expected(values: np.ndarray, y0: int, x0: int, height: int, width: int) -> np.ndarray:
    """By numpy's own mirror."""
    margin = 40
    padded = np.pad(values, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    return padded[margin + y0 : margin + y0 + height, margin + x0 : margin + x0 + width]


@settings(max_examples=40, deadline=None)
@given(
    shape=triples,
    chunks=triples,
    corner=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    size=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    dtype=st.sampled_from([np.uint8, np.int16, np.float16, np.float64]),
)
def test_any_window_of_any_store_in_any_blocks(shape, chunks, corner, size, dtype):
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        cube = open_cube(write_cube(Path(folder) / "a.zarr", values, chunk_shape=chunks))
        read, valid = read_window(cube, *corner, *size)
    np.testing.assert_array_equal(read, expected(values, *corner, *size).astype(np.float32))
    assert valid.all()


@settings(max_examples=20, deadline=None)
@given(
    shape=triples,
    inner=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)),
    times=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)),
    corner=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    size=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    order=st.permutations(["y", "x", "band"]),
)
def test_any_window_of_shards_with_axes_in_any_order(shape, inner, times, corner, size, order):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    axes = [("y", "x", "band").index(name) for name in order]
    shard = [i * t for i, t in zip(inner, times, strict=True)]
    codec = {"chunk_shape": inner, "codecs": [{"name": "bytes"}, {"name": "crc32c"}]}
    metadata = {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "codecs": [{"name": "sharding_indexed", "configuration": codec}],
        "dimension_names": order,
    }
    stored = values.transpose(axes)
    with tempfile.TemporaryDirectory() as folder:
        kvstore = {"driver": "file", "path": folder}
        spec = {"driver": "zarr3", "kvstore": kvstore, "metadata": metadata}
        made = ts.open(spec, create=True, dtype=ts.float32, shape=stored.shape).result()
        made.write(stored).result()
        read, _ = read_window(open_cube(folder), *corner, *size)
    np.testing.assert_array_equal(read, expected(values, *corner, *size))
