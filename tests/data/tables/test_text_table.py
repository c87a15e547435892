"""Where the numbers of a text table begin, and every way in which it can be wrong."""

from pathlib import Path

import numpy as np
import pytest

from jaxhsi.data.tables import text_table
from jaxhsi.data.tables.table_files import read_table
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tables.text_table import HEAD_LINES

VALUES = np.random.default_rng(0).uniform(size=(9, 10)).round(3)
AXIS = np.linspace(400, 490, 10)


def write(path: Path, *rows, delimiter: str = ",") -> Path:
    path.write_text("\n".join(delimiter.join(str(cell) for cell in row) for row in rows) + "\n")
    return path


def read_csv(path: Path, spectra: str | None = None):
    return read_table(path, TableOptions(spectra=spectra))


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "t.csv"


def test_numbers_alone_are_rows_of_spectra(file):
    found = read_csv(write(file, *VALUES))
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.notes[0].startswith(
        "9 spectra in rows (nothing says otherwise; else say --spectra"
    )
    assert (found.axis, found.sample_names, found.references) == (None, None, ())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_an_axis_and_names_of_samples(file, delimiter):
    rows = [["sample", *AXIS], *([f"s{i}", *row] for i, row in enumerate(VALUES))]
    found = read_csv(write(file, *rows, delimiter=delimiter))
    np.testing.assert_array_equal(found.values, VALUES)
    np.testing.assert_array_equal(found.axis, AXIS)
    assert found.sample_names == tuple(f"s{i}" for i in range(9))


def test_a_corner_without_text_and_numbered_samples(file):
    rows = [["", *AXIS], *([i, *row] for i, row in enumerate(VALUES))]
    found = read_csv(write(file, *rows))
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.sample_names == tuple(str(i) for i in range(9))
    np.testing.assert_array_equal(found.axis, AXIS)


def test_an_axis_above_numbers_alone_is_taken_and_said(file):
    found = read_csv(write(file, AXIS, *VALUES))
    np.testing.assert_array_equal(found.axis, AXIS)
    np.testing.assert_array_equal(found.values, VALUES)
    assert "9 spectra in rows (the first row is an axis), 10 bands" in found.notes[0]


def test_a_short_rising_first_row_is_a_spectrum(file):
    rising = [[1, 2, 3], [3, 1, 2], [2, 2, 5]]
    np.testing.assert_array_equal(read_csv(write(file, *rising)).values, rising)


@pytest.mark.parametrize(
    ("header", "axis"),
    [
        ([f"X{round(a)}" for a in AXIS], AXIS),  # as R writes columns that begin with a digit
        ([f"{a} nm" for a in AXIS], AXIS),
        ([f"V{i + 1}" for i in range(10)], None),
        (list("abcdefghij"), None),
    ],
)
def test_a_header_of_names(file, header, axis):
    found = read_csv(write(file, header, *VALUES))
    np.testing.assert_array_equal(found.values, VALUES)
    if axis is None:
        assert found.axis is None
    else:
        np.testing.assert_array_equal(found.axis, axis)


def test_columns_under_an_axis_that_says_its_name(file):
    rows = [["wavenumber", "a", "b", "c"], *zip(AXIS, *VALUES[:3], strict=True)]
    found = read_csv(write(file, *rows))
    np.testing.assert_array_equal(found.values, VALUES[:3])
    np.testing.assert_array_equal(found.axis, AXIS)
    assert (found.sample_names, found.axis_name) == (("a", "b", "c"), "wavenumber")


def test_a_regular_first_column_is_an_axis(file):
    write(file, *zip(AXIS[::-1], *VALUES[:3], strict=True))
    turned = read_csv(file)
    np.testing.assert_array_equal(turned.values, VALUES[:3])
    np.testing.assert_array_equal(turned.axis, AXIS[::-1])
    assert "3 spectra in columns (the first column is an axis)" in turned.notes[0]
    as_rows = read_csv(file, "rows")
    np.testing.assert_array_equal(as_rows.values, VALUES[:3].T)
    np.testing.assert_array_equal(as_rows.sample_axis, AXIS[::-1])


def test_columns_that_do_not_say_so_must_be_told(file):
    rising = np.cumsum(VALUES[3] ** 3)
    write(file, *zip(rising, *VALUES[:3], strict=True))
    with pytest.raises(ValueError, match=r"--spectra rows or --spectra columns"):
        read_csv(file)
    np.testing.assert_array_equal(read_csv(file, "columns").values, VALUES[:3])


def test_spectra_that_rise_beside_their_axis(file):
    decays = np.exp(-np.arange(10)[:, None] / np.array([2.0, 3, 5]))
    for num_spectra in (1, 3):
        found = read_csv(write(file, *np.c_[AXIS, decays[:, :num_spectra]]))
        np.testing.assert_array_equal(found.values, decays.T[:num_spectra])
        np.testing.assert_array_equal(found.axis, AXIS)


def test_columns_without_an_axis(file):
    found = read_csv(write(file, *VALUES), "columns")
    np.testing.assert_array_equal(found.values, VALUES.T)
    assert found.axis is None


def test_comments_empty_lines_and_a_byte_order_mark_are_passed_over(file):
    text = "\n".join(",".join(map(str, row)) for row in VALUES)
    file.write_bytes(b"\xef\xbb\xbf# made by hand\n\n" + text.encode() + b"\n,,,\n")
    np.testing.assert_array_equal(read_csv(file).values, VALUES)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("low", "1 cell.s. hold no number: row 4, column 3 holds 'low'"),
        ("", r"1 value.s. of 1 spectra .* are missing \(row 4, column 3\)"),
        ("N/A", r"1 value.s. of 1 spectra .* are missing \(row 4, column 3\)"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_wrong_cells_are_named_by_row_and_column(file, cell, told, named):
    table = [list(map(str, row)) for row in VALUES]
    if named:
        table = [[f"s{i}", *row[1:]] for i, row in enumerate(table)]
    table[2][2] = cell
    with pytest.raises(ValueError, match=told):
        read_csv(write(file, ["name" if named else "b1", *"bcdefghij"], *table))


def test_wrong_cells_of_columns_are_named_as_they_stand_in_the_file(file):
    rows = [["wavenumber", "a", "b"], *([a, 1, 2] for a in AXIS)]
    rows[5][2] = "<0.1"
    with pytest.raises(ValueError, match=r"row 6, column 3 holds '<0\.1'"):
        read_csv(write(file, *rows))


def test_many_wrong_cells_are_counted(file):
    table = [list(map(str, row)) for row in VALUES]
    for i in range(4):
        table[i + 1][2 + i] = table[i + 1][7] = "low"
    with pytest.raises(ValueError, match=r"8 cell.*; \.\.\."):
        read_csv(write(file, *table))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no rows"),
        ("\n\n", "holds no rows"),
        ("a,b,c\n", "holds no rows of numbers"),
        ("1,2\n3\n", "line 2 has 1 cells, line 1 has 2"),
        ("a\nb\nc\n", "holds no rows of numbers"),
    ],
)
def test_files_without_a_table_are_refused(file, text, told):
    file.write_text(text)
    with pytest.raises(ValueError, match=told) as error:
        read_csv(file)
    assert "t.csv" in str(error.value)


def test_what_is_no_text_is_refused(file):
    file.write_bytes(b"\x89PNG\r\n\x00\x00\x00\x01\x02")
    with pytest.raises(ValueError, match="is not text, it holds zero bytes"):
        read_csv(file)


# Long files ---------------------------------------------------------------------------------------


LONG = np.random.default_rng(1).uniform(size=(2 * HEAD_LINES, 6)).round(5)


@pytest.mark.parametrize(
    ("lines", "has_names"),
    [
        ([",".join(map(str, row)) for row in LONG], False),
        ([",".join([f"s{i}", *map(str, row)]) for i, row in enumerate(LONG)], True),
        ([",".join([f'"s{i}"', *map(str, row)]) + "," for i, row in enumerate(LONG)], True),
        ([";".join(map(str, row)).replace(".", ",") for row in LONG], False),
        ([" ".join(f"{v:.18e}" for v in row) for row in LONG], False),
    ],
)
def test_long_files_are_read_by_numpy_and_give_the_same(file, lines, has_names, monkeypatch):
    def refuse(*_):
        raise AssertionError("read cell by cell")

    path = write(file, *([line] for line in lines))
    by_cells = _read_cell_by_cell(path, monkeypatch)
    monkeypatch.setattr(text_table, "_read_lines", refuse)
    found = read_csv(path, "rows")
    np.testing.assert_allclose(found.values, LONG)
    np.testing.assert_array_equal(found.values, by_cells.values)
    assert found.sample_names == by_cells.sample_names
    assert (found.sample_names is not None) == has_names


def _read_cell_by_cell(path: Path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(text_table, "_load_long_file", lambda *_: None)
        return read_csv(path, "rows")


@pytest.mark.parametrize(
    ("cell", "place"), [("low", "holds 'low'"), ("", "missing .row 701, column 3")]
)
def test_wrong_cells_of_long_files_are_named(file, cell, place):
    table = [list(map(str, row)) for row in LONG]
    table[700][2] = cell
    with pytest.raises(ValueError, match=place):
        read_csv(write(file, *table), "rows")


def test_a_footer_of_a_long_file_is_passed_over_and_said(file):
    found = read_csv(write(file, *LONG, ["end of data"]), "rows")
    np.testing.assert_array_equal(found.values, LONG)
    assert "1 line(s) below the table are not read, from line 801: 'end of data'" in found.notes


@pytest.mark.parametrize(
    "above",
    [
        [["Wavelength", *AXIS], ["Time"]],
        [["Sample", "x7"], ["Wavelength", *AXIS], ["Time"]],
        [["Detector", "PDA"], ["R.Time (min)", "Wavelength (nm)"], ["", *AXIS]],
    ],
)
@pytest.mark.parametrize("repeats", [1, HEAD_LINES // 4])
def test_names_of_both_axes_of_a_chromatogram_in_lines_of_their_own(file, above, repeats):
    values = np.tile(VALUES, (repeats, 1))
    times = np.arange(len(values)) / 4 + 2
    rows = [[time, *row] for time, row in zip(times, values, strict=True)]
    found = read_csv(write(file, *above, *rows, delimiter="\t"))
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.axis, AXIS)
    np.testing.assert_array_equal(found.sample_axis, times)
    assert (found.axis_name[:10], found.sample_axis_name[-4:]) in {
        ("Wavelength", "Time"),
        ("Wavelength", "min)"),
    }
