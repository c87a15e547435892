"""Tables of results read back as they were, short and long ones."""

import numpy as np

from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.table_files import read_table
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.report import csv_files
from jaxhsi.report.gmcr_tables import component_table, fit_table

RNG = np.random.default_rng(0)
SPECTRA = RNG.uniform(size=(3, 5)).astype(np.float32)


def table(**more) -> SpectraTable:
    return SpectraTable(SPECTRA, np.array([0, 2, 3]), **more)


def test_components_read_back_to_the_last_bit(tmp_path):
    axis = np.array([1600.0, 1599.5, 1599, 1598, 1597])
    path = tmp_path / "c.csv"
    csv_files.write_components(path, SPECTRA, table(axis=axis), ["a", "b", "c"])
    found = read_table(path, TableOptions())
    np.testing.assert_array_equal(found.values.astype(np.float32), SPECTRA)
    np.testing.assert_array_equal(found.axis, axis)
    assert found.sample_names == ("a", "b", "c")


def test_samples_go_by_their_names_or_rows(tmp_path):
    amounts = RNG.uniform(size=(3, 2)).astype(np.float32)
    assert (
        csv_files.write_concentrations(tmp_path / "concentrations", table(), amounts, ["a", "b"])
        == "concentrations.csv"
    )
    found = read_table(tmp_path / "concentrations.csv", TableOptions())
    assert found.sample_names == ("1", "3", "4")
    np.testing.assert_array_equal(found.values.astype(np.float32), amounts)
    csv_files.write_concentrations(
        tmp_path / "concentrations", table(sample_names=("x", "y", "z")), amounts, ["a", "b"]
    )
    assert read_table(tmp_path / "concentrations.csv", TableOptions()).sample_names == (
        "x",
        "y",
        "z",
    )


def test_long_tables_are_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "MAX_CSV_ROWS", 2)
    where = csv_files.write_concentrations(
        tmp_path / "concentrations", table(), SPECTRA, list("abcde")
    )
    assert where == "concentrations.npy (more than 2 rows)"
    np.testing.assert_array_equal(np.load(tmp_path / "concentrations.npy"), SPECTRA)


def test_tables_for_the_screen_have_a_row_for_each():
    shown = component_table(["a", "b"], [0.5, 0.1], [3, 4], [("salt", 0.99), ("", float("nan"))])
    assert [list(column.cells) for column in shown.columns] == [
        ["a", "b"],
        ["50.00%", "10.00%"],
        ["3", "4"],
        ["salt", ""],
        ["0.9900", "-"],
    ]
    fit = fit_table({"r2": 0.9, "nmse": 0.1, "matched_cosine_mean": 0.99}, {"r2": 0.8, "nmse": 0.2})
    assert [list(column.cells) for column in fit.columns][1:] == [
        ["0.9000", "0.1000", "0.9900"],
        ["0.8000", "0.2000", "-"],
    ]
