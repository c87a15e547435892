"""Where the numbers of a text table begin, and every way in which it can be wrong."""

from pathlib import Path

import numpy as np
import pytest

from jaxhsi.data.tables.csv_file import read_csv

VALUES = np.random.default_rng(0).uniform(size=(9, 10)).round(3)
AXIS = np.linspace(400, 490, 10)


def write(path: Path, *rows, delimiter: str = ",") -> Path:
    path.write_text("\n".join(delimiter.join(str(cell) for cell in row) for row in rows) + "\n")
    return path


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "t.csv"


def test_numbers_alone_are_rows_of_spectra(file):
    found = read_csv(write(file, *VALUES))
    np.testing.assert_array_equal(found.values, VALUES)
    assert found[1:] == (None, "", None, None)


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
    assert found.orientation_note == "the first row was taken as the axis"


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


def test_columns_that_do_not_say_so_must_be_told(file):
    write(file, *zip(AXIS[::-1], *VALUES[:3], strict=True))
    with pytest.raises(ValueError, match=r"--spectra columns or --spectra rows"):
        read_csv(file)
    turned = read_csv(file, "columns")
    np.testing.assert_array_equal(turned.values, VALUES[:3])
    np.testing.assert_array_equal(turned.axis, AXIS[::-1])
    assert turned.orientation_note == "the first column was taken as the axis"
    assert read_csv(file, "rows").values.shape == (10, 4)


def test_columns_without_an_axis(file):
    found = read_csv(write(file, *VALUES), "columns")
    np.testing.assert_array_equal(found.values, VALUES.T)
    assert found.axis is None


def test_comments_empty_lines_and_a_byte_order_mark_are_passed_over(file):
    text = "\n".join(",".join(map(str, row)) for row in VALUES)
    file.write_bytes(b"\xef\xbb\xbf# made by hand\n\n" + text.encode() + b"\n,,,\n")
    np.testing.assert_array_equal(read_csv(file).values, VALUES)


def test_nan_is_a_number_here_and_is_judged_later(file):
    assert np.isnan(read_csv(write(file, [1, "nan"], [2, 3], [1, 2])).values[0, 1])


@pytest.mark.parametrize(
    ("cell", "told"), [("low", "row 4, column 3 holds 'low'"), ("", "row 4, column 3 is empty")]
)
@pytest.mark.parametrize("named", [True, False])
def test_wrong_cells_are_named_by_row_and_column(file, cell, told, named):
    table = [list(map(str, row)) for row in VALUES]
    if named:
        table = [[f"s{i}", *row[1:]] for i, row in enumerate(table)]
    table[2][2] = cell
    with pytest.raises(ValueError, match=f"1 cell.s. hold no number: {told}"):
        read_csv(write(file, ["name" if named else "b1", *"bcdefghij"], *table))


def test_wrong_cells_of_columns_are_named_as_they_stand_in_the_file(file):
    rows = [["wavenumber", "a", "b"], *([a, 1, 2] for a in AXIS)]
    rows[5][2] = "n/a"
    with pytest.raises(ValueError, match="row 6, column 3 holds 'n/a'"):
        read_csv(write(file, *rows))


def test_many_wrong_cells_are_counted(file):
    with pytest.raises(ValueError, match=r"8 cell.*; \.\.\."):
        read_csv(write(file, [1, 2, 3], *([i, "x", "y"] for i in (5, 3, 4, 1))))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no rows"),
        ("\n\n", "holds no rows"),
        ("a,b,c\n", "a header and no spectra"),
        ("1,2\n3\n", "row 2 has 1 cells, row 1 has 2"),
        ("a\nb\nc\n", "no numbers beside the first column"),
    ],
)
def test_files_without_a_table_are_refused(file, text, told):
    file.write_text(text)
    with pytest.raises(ValueError, match=told) as error:
        read_csv(file)
    assert "t.csv" in str(error.value)


def test_what_is_no_text_is_refused(file):
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        read_csv(file)
