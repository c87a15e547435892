import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxhsi.data.tiles import Tile, split_into_tiles, tile_with_halo

planes = st.tuples(st.integers(1, 40), st.integers(1, 40))
sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))


@given(planes, sizes)
def test_tiles_cover_every_pixel_once(plane, size):
    seen = np.zeros(plane, int)
    for y0, x0, height, width in split_into_tiles(plane, size):
        seen[y0 : y0 + height, x0 : x0 + width] += 1
    assert (seen == 1).all()


@given(planes, sizes, st.integers(0, 6))
def test_a_halo_ends_at_an_edge_or_far_from_the_tile(plane, size, halo):
    shapes = set()
    for tile in split_into_tiles(plane, size):
        outer = tile_with_halo(tile, plane, size, halo)
        shapes.add(outer[2:])
        for axis in (0, 1):
            start, end = outer[axis], outer[axis] + outer[axis + 2]
            assert 0 <= start <= end <= plane[axis]
            assert start == 0 or tile[axis] - start >= halo
            assert end == plane[axis] or end - (tile[axis] + tile[axis + 2]) >= halo
    assert len(shapes) == 1


def test_within_takes_the_tile_out():
    plane = np.arange(30).reshape(5, 6)
    tile, outer = Tile(2, 3, 1, 2), Tile(1, 1, 4, 5)
    part = plane[1:5, 1:6][tile.within(outer)]
    np.testing.assert_array_equal(part, [[15, 16]])
