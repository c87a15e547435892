"""Frames and labelled arrays give the spectra and the axis that they hold."""

import numpy as np
import pytest

from jaxhsi.data.tables.data_frames import read_frame, spectra_with_axis
from jaxhsi.data.tables.stored_table import Reference
from tests.helpers.written_tables import AXIS, BRIX, NAMES, TIMES, VALUES, check

CLASSES = ("A", "B") * 6


def test_arrays_are_left_alone():
    assert read_frame(VALUES) is None


def test_pandas_with_references_and_an_index():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(VALUES, columns=AXIS, index=list(NAMES))
    check(read_frame(frame), names=NAMES)
    frame.insert(0, "Brix", BRIX)
    frame["class"] = CLASSES
    stored = read_frame(frame)
    check(stored, names=NAMES)
    assert stored.references == (Reference("Brix", tuple(BRIX)), Reference("class", CLASSES))
    with pytest.raises(ValueError, match="give the frame transposed"):
        read_frame(pandas.DataFrame(VALUES.T, index=AXIS, columns=list(NAMES)))


def test_pandas_without_labels_has_no_axis():
    pandas = pytest.importorskip("pandas")
    check(read_frame(pandas.DataFrame(VALUES)), has_axis=False)


def test_polars():
    polars = pytest.importorskip("polars")
    columns = {f"{a:g}": band for a, band in zip(AXIS, VALUES.T, strict=True)}
    stored = read_frame(polars.DataFrame({"sample": NAMES, "Brix": BRIX, **columns}))
    check(stored, names=NAMES)
    assert stored.references == (Reference("Brix", tuple(BRIX)),)


@pytest.mark.parametrize("turned", [False, True])
def test_xarray_by_the_names_of_its_dimensions(turned):
    xarray = pytest.importorskip("xarray")
    coordinates = {"wavelength": ("wavelength", AXIS, {"units": "nm"}), "time": TIMES}
    array = xarray.DataArray(VALUES, dims=("time", "wavelength"), coords=coordinates)
    stored = read_frame(array.T if turned else array)
    check(stored)
    assert (stored.axis_name, stored.sample_axis_name) == ("wavelength (nm)", "time")
    with pytest.raises(ValueError, match="DataArray of two dimensions"):
        read_frame(xarray.DataArray(np.ones((2, 2, 2))))


def test_the_axis_of_a_frame_unless_one_is_given(caplog):
    polars = pytest.importorskip("polars")
    columns = {f"{a:g}": band for a, band in zip(AXIS, VALUES.T, strict=True)}
    frame = polars.DataFrame({"Brix": BRIX, **columns})
    spectra, axis, name = spectra_with_axis(frame, None, "nm")
    np.testing.assert_array_equal(spectra, VALUES)
    np.testing.assert_allclose(axis, AXIS)
    assert name == "nm"
    assert "columns that are no bands are left out: Brix" in caplog.text
    assert spectra_with_axis(frame, AXIS + 1, "")[1][0] == 401
