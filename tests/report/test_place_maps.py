"""Maps of tables whose spectra have places."""

import matplotlib.image
import numpy as np
import pytest

from jaxhsi.data.tables.stored_table import Reference
from jaxhsi.report.place_maps import find_place_grid, plot_place_maps

X, Y = (axis.ravel() for axis in np.meshgrid([0.0, 0.5, 1.0, 1.5], [10.0, 12.0, 14.0]))


def places(x=X, y=Y, names=("X", "Y")) -> tuple[Reference, ...]:
    return tuple(
        Reference(name, tuple(values.tolist())) for name, values in zip(names, (x, y), strict=True)
    )


@pytest.mark.parametrize(
    "names", [("X", "Y"), ("#X", "#Y"), ("x (um)", "y (um)"), ("column 1", "column 2")]
)
def test_a_grid_by_the_names_of_its_columns(names):
    grid = find_place_grid((Reference("class", ("a",) * 12), *places(names=names)))
    assert grid is not None
    np.testing.assert_allclose(grid.x, [0, 0.5, 1, 1.5])
    np.testing.assert_allclose(grid.y, [10, 12, 14])
    np.testing.assert_array_equal(grid.rows, np.repeat([0, 1, 2], 4))
    np.testing.assert_array_equal(grid.columns, np.tile([0, 1, 2, 3], 3))


def test_stages_that_do_not_return_exactly():
    jitter = np.random.default_rng(0).normal(scale=0.01, size=(2, 12))
    grid = find_place_grid(places(X + jitter[0], Y + jitter[1]))
    assert grid is not None
    assert (len(grid.x), len(grid.y)) == (4, 3)


@pytest.mark.parametrize(
    "references",
    [
        (),
        places(names=("Brix", "pH")),
        places(np.zeros(12), Y),  # spectra at one place
        places(np.arange(12.0), np.arange(12.0)),  # a line across
        places(np.arange(12.0), np.zeros(12)),
    ],
    ids=["nothing", "others", "one place", "a line across", "a line"],
)
def test_what_is_no_map(references):
    assert find_place_grid(references) is None


def test_a_map_is_drawn_where_its_spectra_lie(tmp_path):
    """The one bright place is at the right top: x and y grow to the right and upwards."""
    amounts = np.zeros((12, 1))
    amounts[-1] = 1.0
    plot_place_maps(tmp_path / "maps.png", amounts, ("a",), find_place_grid(places()))
    picture = matplotlib.image.imread(tmp_path / "maps.png")
    yellow = (picture[..., 0] > 0.9) & (picture[..., 1] > 0.8) & (picture[..., 2] < 0.3)
    purple = (picture[..., 0] < 0.3) & (picture[..., 1] < 0.05) & (picture[..., 2] > 0.25)
    purple_rows, purple_columns = np.nonzero(purple)
    rows, columns = np.nonzero(yellow[:, : purple_columns.max() + picture.shape[1] // 4])
    assert np.median(rows) < np.median(purple_rows)
    assert np.median(columns) > np.median(purple_columns)
