import csv

import numpy as np
import pytest

from jaxhsi import label_spectra
from jaxhsi.report import label_spectra_files

NAMES = ("=SUM(A1)", '</script>,\n"quoted"')


@pytest.fixture
def two_labels():
    labels = np.array([[0, 0, 0, 1, -1]])
    spectra = np.array([[[1, 10], [2, 20], [6, 60], [5, 5], [9, 9]]], np.float32)
    priorities = label_spectra.pixel_priorities("a", slice(0, 1), slice(0, 5), 5)
    empty = label_spectra.empty_label_spectra(2, 2)
    return label_spectra.add_window(empty, labels, spectra, priorities)


def test_the_table_holds_every_statistic_under_the_wavelengths(two_labels, tmp_path):
    axis = label_spectra_files.band_axis(np.array([450.25, 900.0]), 2, "reflectance")
    label_spectra_files.write_label_spectra(tmp_path, two_labels, NAMES, axis)
    rows = list(csv.reader((tmp_path / "spectra.csv").open(newline="")))
    assert rows[0] == ["cluster", "name", "pixels", "statistic", "axis", "450.25", "900"]
    assert len(rows) == 11
    found = {(row[0], row[3]): row[5:] for row in rows[1:]}
    assert found["0", "mean"] == ["3", "30"]
    assert [float(v) for v in found["0", "standard deviation"]] == pytest.approx([7**0.5, 700**0.5])
    assert found["0", "lower quartile"] == ["1.5", "15"]
    assert found["0", "median"] == ["2", "20"]
    assert found["0", "upper quartile"] == ["4", "40"]
    assert found["1", "standard deviation"] == ["", ""]  # of one pixel there is none
    assert {(row[2], row[4]) for row in rows[1:]} == {("3", "nm"), ("1", "nm")}
    # A spreadsheet takes no name as a formula, and other text is left as it is.
    assert rows[1][1] == "'=SUM(A1)"
    assert rows[6][1] == NAMES[1]
    assert (tmp_path / "spectra.png").stat().st_size > 1000


def test_what_is_written_is_read(two_labels, tmp_path):
    axis = label_spectra_files.band_axis(None, 2, None)
    label_spectra_files.write_label_spectra(tmp_path, two_labels, NAMES, axis, "group", "g")
    read, names, read_axis = label_spectra_files.read_label_spectra(tmp_path / "g.npz")
    assert names == NAMES
    assert (read_axis.unit, read_axis.title, read_axis.value_name) == ("band", "band", "value")
    np.testing.assert_array_equal(read_axis.values, [1, 2])
    for field, value in vars(two_labels).items():
        np.testing.assert_array_equal(getattr(read, field), value)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "spectra.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"spectra\.npz is damaged"):
        label_spectra_files.read_label_spectra(tmp_path / "spectra.npz")
