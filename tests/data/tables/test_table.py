"""Tables from every kind of file, and what is said of data that are hard to use."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from jaxhsi.data.tables.negative_values import describe_negative_values
from jaxhsi.data.tables.table import is_cube_path, open_table
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tables.truth import load_component_spectra, load_ground_truth

X = np.random.default_rng(0).uniform(0.1, 1, size=(6, 4)).astype(np.float32)
WAVES = np.array([500.0, 510, 520, 530])
COLUMNS = TableOptions(spectra="columns")
S, C = X[:2], np.abs(np.random.default_rng(1).normal(size=(6, 2))).astype(np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("JAXHSI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def saved(folder: Path, name: str, **arrays) -> Path:
    path = folder / name
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        scipy.io.savemat(path, arrays)
    return path


def npy(folder: Path, values: np.ndarray) -> Path:
    np.save(folder / "t.npy", values)
    return folder / "t.npy"


# Kinds of files -----------------------------------------------------------------------------------


def test_npy_rows_and_columns(tmp_path):
    np.testing.assert_array_equal(open_table(npy(tmp_path, X)).spectra, X)
    np.testing.assert_array_equal(open_table(npy(tmp_path, X.T), COLUMNS).spectra, X)


@pytest.mark.parametrize("name", ["t.npz", "t.mat"])
def test_named_arrays_with_their_axis(tmp_path, name):
    table = open_table(saved(tmp_path, name, D=X, wavenumber=WAVES, C=C, S=S))
    np.testing.assert_array_equal(table.spectra, X)
    np.testing.assert_array_equal(table.axis, WAVES)
    assert table.axis_name == "wavenumber"
    assert table.notes == (
        "6 spectra in rows (the length of 'wavenumber'), 4 bands, axis wavenumber from 500 to 530",
    )


def test_an_axis_as_long_as_the_columns_turns_the_table(tmp_path):
    table = open_table(saved(tmp_path, "t.npz", spectra=X.T, wavelength=WAVES))
    np.testing.assert_array_equal(table.spectra, X)
    assert "6 spectra in columns (the length of 'wavelength')" in table.notes[0]


def test_names_of_samples_and_a_key_of_ones_own(tmp_path):
    samples = np.array(list("abcdef"))
    path = saved(tmp_path, "t.npz", mine=X, other=X, samples=samples)
    assert open_table(path, TableOptions(key="mine")).sample_names == tuple("abcdef")
    with pytest.raises(ValueError, match=r"name it with --key, the file holds: mine \(6, 4\)"):
        open_table(path)
    with pytest.raises(ValueError, match=r"no key 'yours'; the file holds: mine \(6, 4\)"):
        open_table(path, TableOptions(key="yours"))


def test_csv_names_are_kept(tmp_path):
    rows = ["sample,500,510", "a,1,2", "b,2,1", "c,3,1"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    table = open_table(tmp_path / "t.csv")
    assert table.sample_names == ("a", "b", "c")
    assert table.axis.tolist() == [500, 510]


def test_pixels_of_cubes_are_masked_and_drawn(tmp_path):
    cube = np.random.default_rng(0).uniform(size=(9, 8, 5)).astype(np.float32)
    cube[2, 3, 1] = np.nan
    np.save(tmp_path / "c.npy", cube)
    table = open_table(tmp_path / "c.npy", layout="hwc", max_pixels=20)
    assert table.spectra.shape == (20, 5)
    assert [c.shape for c in table.cubes] == [(9, 8, 5)]
    assert "20 spectra drawn from the 72 pixels" in table.notes[0]
    assert "1 of 72 pixels read are not valid" in table.notes[1]
    pixels = {tuple(p) for p in cube.reshape(-1, 5).tolist()}
    assert {tuple(p) for p in table.spectra.tolist()} <= pixels
    for name, spectrum in zip(table.sample_names, table.spectra, strict=True):
        _, row, _, column = name.split()
        np.testing.assert_array_equal(spectrum, cube[int(row), int(column)])


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.pdf", b"", "tables are read from text, .* not from .pdf"),
        ("t.xlsx", b"", "cannot be read as a workbook file"),
        ("t.npz", b"PK\x03\x04", "it may be truncated"),
        ("t.npy", b"", "cannot be read as a .npy"),
        ("t.mat", b"x" * 600, "cannot be read as a MATLAB file"),
    ],
)
def test_files_of_other_kinds_or_damaged_are_named(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=told) as error:
        open_table(tmp_path / name)
    assert name in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        open_table(tmp_path / "nowhere.csv")


def test_a_key_for_a_file_without_names_is_refused(tmp_path):
    with pytest.raises(ValueError, match="drop --key D"):
        open_table(npy(tmp_path, X), TableOptions(key="D"))


@pytest.mark.parametrize("values", [np.ones(5), np.ones((0, 4)), np.ones((4, 4), complex)])
def test_arrays_that_are_no_tables_are_refused(tmp_path, values):
    with pytest.raises(ValueError, match=r"a table has a row|a table holds real"):
        open_table(npy(tmp_path, values))


# Values -------------------------------------------------------------------------------------------


def test_infinite_values_are_refused_by_place(tmp_path):
    spoilt = X.copy()
    spoilt[3, 1] = np.inf
    with pytest.raises(ValueError, match=r"1 value.s. of 1 spectra .*spectrum 4, band 2: inf"):
        open_table(npy(tmp_path, spoilt))


def test_missing_values_are_refused_by_place(tmp_path):
    spoilt = X.copy()
    spoilt[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 value.s. of 1 spectra .*row 4, column 2.*--missing"):
        open_table(npy(tmp_path, spoilt))


def test_zero_rows_are_left_out_and_said(tmp_path):
    zeroed = X.copy()
    zeroed[[1, 4]] = 0
    table = open_table(npy(tmp_path, zeroed))
    assert table.row_indices.tolist() == [0, 2, 3, 5]
    np.testing.assert_array_equal(table.spectra, X[[0, 2, 3, 5]])
    assert table.notes[-1] == "2 of 6 spectra are all zero and left out (row 2, 5)"


@pytest.mark.parametrize("values", [X[:1], X[:2], np.zeros((5, 4))])
def test_too_few_spectra_are_refused(tmp_path, values):
    with pytest.raises(ValueError, match="comparing at least 3"):
        open_table(npy(tmp_path, values))


def test_one_band_is_refused(tmp_path):
    with pytest.raises(ValueError, match="give at least two bands"):
        open_table(npy(tmp_path, X[:, :1]))


def test_equal_rows_and_scales_far_apart_are_said(tmp_path):
    twice = np.concatenate([X, X[:2], X[:1] * 1e-7])
    notes = open_table(npy(tmp_path, twice)).notes
    assert "2 spectra repeat another one" in notes[-2]
    assert "times the smallest" in notes[-1]


@pytest.mark.parametrize("unit", [1e20, 1e-20])
def test_units_beyond_float32_are_refused(tmp_path, unit):
    with pytest.raises(ValueError, match="use another unit"):
        open_table(npy(tmp_path, X.astype(np.float64) * unit))


def test_noise_of_a_few_bands_is_no_negative_signal():
    """The blind end of a detector holds most of the squares, and half of them are negative."""
    random = np.random.default_rng(0)
    spectra = 1 + 0.01 * random.normal(size=(40, 50))
    spectra[:, :5] = 20 * random.normal(size=(40, 5))
    told = describe_negative_values(spectra.astype(np.float32), "t", "--off")
    assert "noise about zero" in told
    centred = (spectra - spectra.mean(axis=0)).astype(np.float32)
    with pytest.raises(ValueError, match="--off"):
        describe_negative_values(centred, "t", "--off")
    spectra[:, 10:13] = -60  # lines, not noise
    with pytest.raises(ValueError, match="--off"):
        describe_negative_values(spectra.astype(np.float32), "t", "--off")


def test_negative_values_are_counted_and_sized():
    assert describe_negative_values(X, "t", "--off") is None
    below = X.copy()
    below[0, 0] = -0.25
    share = 0.0625 / (below.astype(float) ** 2).sum()
    told = describe_negative_values(below, "t", "--off")
    assert told.startswith(f"1 of 24 values are negative, down to -0.25 ({share:.2%} of")
    with pytest.raises(ValueError, match=r"t: 24 of 24 values are negative.*give --off"):
        describe_negative_values(-X, "t", "--off")


# Truth and library --------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    zeroed = X.copy()
    zeroed[1] = 0
    return open_table(saved(tmp_path, "t.npz", D=zeroed, wavenumber=WAVES))


@pytest.mark.parametrize("spectra", [S, S.T])
def test_a_whole_truth_follows_the_rows_that_are_kept(tmp_path, table, spectra):
    names = np.array(["salt", "sugar"])
    truth = load_ground_truth(saved(tmp_path, "s.npz", S=spectra, C=C, clean=X, names=names), table)
    np.testing.assert_array_equal(truth.components, S)
    np.testing.assert_array_equal(truth.concentrations, C[[0, 2, 3, 4, 5]])
    np.testing.assert_array_equal(truth.clean, X[[0, 2, 3, 4, 5]])
    assert truth.component_names == ("salt", "sugar")


def test_a_truth_in_columns_of_text(tmp_path, table):
    rows = ["wavenumber,salt,sugar", *(f"{w},{a},{b}" for w, a, b in zip(WAVES, *S, strict=True))]
    (tmp_path / "s.csv").write_text("\n".join(rows))
    truth = load_ground_truth(tmp_path / "s.csv", table)
    np.testing.assert_allclose(truth.components, S, rtol=1e-6)
    assert truth.component_names == ("salt", "sugar")
    assert truth.concentrations is None


def test_a_library_of_another_length_is_refused(tmp_path, table):
    np.save(tmp_path / "l.npy", np.ones((3, 7)))
    with pytest.raises(ValueError, match=r"l\.npy.*the data have 4 bands"):
        load_component_spectra(tmp_path / "l.npy", table)


def test_a_library_on_another_axis_is_refused(tmp_path, table):
    path = saved(tmp_path, "l.npz", library=S, wavenumber=WAVES + 100)
    with pytest.raises(ValueError, match="same axis"):
        load_component_spectra(path, table)


def test_a_library_that_runs_the_other_way_is_turned_round(tmp_path, table):
    path = saved(tmp_path, "l.npz", library=S[:, ::-1], wavenumber=WAVES[::-1])
    library = load_component_spectra(path, table)
    np.testing.assert_array_equal(library.spectra, S)
    assert "were turned round" in library.notes[0]


def test_the_truth_by_a_key_of_its_own(tmp_path, table):
    path = saved(tmp_path, "s.npz", mine=S, other=np.ones((3, 4)))
    np.testing.assert_array_equal(load_ground_truth(path, table, "mine").components, S)
    with pytest.raises(ValueError, match=r"name it with --truth_key, the file holds: mine"):
        load_ground_truth(path, table)


def test_a_mat_file_without_numbers_says_what_it_holds(tmp_path, table):
    path = saved(tmp_path, "s.mat", notes="none")
    with pytest.raises(ValueError, match=r"holds no array of numbers, only notes \(char\)"):
        load_ground_truth(path, table)
    with pytest.raises(ValueError, match="it is empty"):
        load_ground_truth(saved(tmp_path, "e.mat"), table)


def test_a_library_with_a_zero_spectrum_is_refused(tmp_path, table):
    with pytest.raises(ValueError, match="not all zero"):
        load_component_spectra(saved(tmp_path, "l.npz", library=np.zeros((2, 4))), table)


@pytest.mark.parametrize("wrong", [{"C": C[:3]}, {"C": C[:, :1]}, {"clean": X[:, :3]}])
def test_a_truth_of_another_shape_is_refused(tmp_path, table, wrong):
    with pytest.raises(ValueError, match="for these data it is"):
        load_ground_truth(saved(tmp_path, "s.npz", S=S, **wrong), table)


def test_what_the_readers_of_cubes_know_is_a_cube(tmp_path):
    """A header and its data, whatever its suffix; a text file beside a header is a table."""
    fields = ("samples = 2", "lines = 3", "bands = 4", "data type = 4", "interleave = bip")
    header = "\n".join(("ENVI", *fields, "byte order = 0"))
    for name in ("a.raw", "b.txt"):
        X.tofile(tmp_path / name)
        (tmp_path / name).with_suffix(".hdr").write_text(header)
    assert is_cube_path(tmp_path / "a.raw")
    assert is_cube_path(tmp_path / "a.hdr")
    assert not is_cube_path(tmp_path / "b.txt")
    np.testing.assert_array_equal(np.sort(open_table(tmp_path / "a.raw").spectra, 0), np.sort(X, 0))
