"""One mixture in the dialects of instruments and people, each read as it was meant."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.tables.stored_table import Reference
from jaxhsi.data.tables.table_files import read_table
from jaxhsi.data.tables.table_options import TableOptions
from tests.helpers.written_tables import (
    AXIS,
    BRIX,
    NAMES,
    NUM_BANDS,
    NUM_SAMPLES,
    TIMES,
    VALUES,
    check,
    columns_text,
    number,
    rows_text,
    write,
)

BAND_NAMES = [f"wl{j + 1}" for j in range(NUM_BANDS)]
CLASSES = ["AB"[i % 2] for i in range(NUM_SAMPLES)]


def read(path, **options):
    return read_table(path, TableOptions(**options))


COLUMNS = columns_text(["Wavelength", *NAMES])
WITH_GAP = COLUMNS.replace(f"\n550,{VALUES[0, 15]:.10g},", "\n550,,")

SEPARATED = {
    "semicolons and decimal commas": rows_text(
        ["sample", *AXIS], NAMES, separator=";", decimal=","
    ),
    "tabs and decimal commas": columns_text(["Wavenumber", *NAMES], "\t", ","),
    "sep=": "sep=;\n" + rows_text(["sample", *AXIS], NAMES, separator=";"),
    "bars": columns_text(["Wavelength", *NAMES], "|"),
    "padded": columns_text(["Wavelength", *NAMES], ", "),
    "separators at the ends": rows_text(["sample", *AXIS], NAMES).replace("\n", ",\n"),
    "blanks": columns_text(["wavelength", *NAMES], "  "),
    "quoted decimal commas": re.sub(
        r"([^;\n]+)", r'"\1"', rows_text(["sample", *AXIS], NAMES, separator=";", decimal=",")
    ).replace(";", ","),
    "quoted": re.sub(r"([^,\n]+)", r'"\1"', COLUMNS),
    "R": rows_text([f"X{number(a)}" for a in AXIS], NAMES, separator=" "),
    "comments": "% Raman 785 nm\n% 10 s\n" + columns_text(["Raman shift", *NAMES], "\t"),
    "semicolon comments": "; comment\n" + columns_text(["Raman shift", *NAMES], "\t"),
    "numpy header": "# " + columns_text(["wavelength", *NAMES], " "),
    "preamble": "Instrument,QEPro\nDate,2024-01-01\nIntegration time (ms),100\n\n" + COLUMNS,
    "padded preamble": "Instrument,QEPro" + "," * 11 + "\n" + COLUMNS,
    "footer": COLUMNS + "\nCreated by software 1.2\nOperator,me\n",
    "units": COLUMNS.replace("\n", "\nnm" + ",a.u." * NUM_SAMPLES + "\n", 1),
    "corner left out": columns_text(NAMES),
    "units below the axis": rows_text(["sample", *AXIS], NAMES).replace(
        "\n", "\n" + ",nm" * NUM_BANDS + "\n", 1
    ),
    "times above the names": ",".join(["Time (s)", *map(number, TIMES)]) + "\n" + COLUMNS,
}


def test_names_with_blanks_between_blanks(tmp_path):
    names = [f"my sample {i}" for i in range(NUM_SAMPLES)]
    path = write(tmp_path / "t.txt", columns_text(["Raman shift", *names], "   "))
    check(read(path), names=names)


@pytest.mark.parametrize("text", SEPARATED.values(), ids=SEPARATED)
def test_separators_and_what_stands_around(tmp_path, text):
    check(read(write(tmp_path / "t.txt", text)), names=NAMES)


@pytest.mark.parametrize(
    ("corner", "encoding", "line_end"),
    [
        ("Wavenumber", "utf-16", "\n"),
        ("Wavenumber", "utf-16-be", "\r\n"),
        ("Wavelength", "utf-8-sig", "\r\n"),
        ("Wavelength", "utf-8", "\r"),
        ("Wellenlänge (µm)", "latin-1", "\n"),
        ("波長", "shift_jis", "\n"),
        ("波长", "gb18030", "\n"),
        ("Длина волны", "cp1251", "\r\n"),
    ],
)
def test_encodings_and_line_ends(tmp_path, corner, encoding, line_end):
    stored = read(write(tmp_path / "t.csv", columns_text([corner, *NAMES]), encoding, line_end))
    check(stored, names=NAMES)
    assert stored.axis_name == corner


CORNERS = (
    *(
        "cm⁻¹",
        "λ",
        "λ (nm)",
        "1/cm",
        "X [1/cm]",
        "Wellenlänge",
        "Longueur d'onde",
        "波数",
        "WN",
        "X",
    ),
    *("cm^{-1}", "Raman", "Ramanshift", "eV", "m/z", "2theta", "nm", "Wave", "pixel", "μm"),
    *("número de onda", "Lunghezza d'onda", "Golflengte", "Våglängd", "Aallonpituus", "Channel"),
    *("Długość fali", "Hullámhossz", "Dalga boyu", "파장", "Волновое число", "Binding energy"),
)


@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("corner", CORNERS)
def test_words_in_the_corner(tmp_path, corner, times):
    stored = read(write(tmp_path / "t.csv", columns_text([corner, *(TIMES if times else NAMES)])))
    check(stored)
    assert stored.axis_name == corner
    if times:
        np.testing.assert_array_equal(stored.sample_axis, TIMES)


SIDES = {
    "number beside": (["", "HS", *AXIS], (NAMES, BRIX), "HS"),
    "number before": (["Brix", *AXIS], (BRIX,), "Brix"),
    "names of bands": (["Brix", *BAND_NAMES], (BRIX,), "Brix"),
    "class": (["sample", "class", *AXIS], (NAMES, CLASSES), "class"),
    "German": (["Probe", "Brix", *AXIS], (NAMES, BRIX), "Brix"),
}


@pytest.mark.parametrize(("header", "side", "name"), SIDES.values(), ids=SIDES)
def test_references_are_set_aside(tmp_path, header, side, name):
    stored = read(write(tmp_path / "t.csv", rows_text(header, *side)))
    check(stored, has_axis="wl1" not in header, names=NAMES if side[0] is NAMES else None)
    assert stored.references == (Reference(name, tuple(side[-1])),)
    assert f"set aside, not bands: {name}" in stored.notes


def test_references_behind_the_bands_and_below_the_names(tmp_path):
    lines = rows_text(["sample", *AXIS], NAMES).splitlines()
    beside = ["conc", *map(number, BRIX)]
    text = "\n".join(f"{line},{cell}" for line, cell in zip(lines, beside, strict=True))
    assert read(write(tmp_path / "a.csv", text)).references[0] == Reference("conc", tuple(BRIX))
    row = ",".join(["Brix", *map(number, BRIX)])
    stored = read(write(tmp_path / "b.csv", COLUMNS.replace("\n", f"\n{row}\n", 1)))
    check(stored, names=NAMES)
    assert stored.references == (Reference("Brix", tuple(BRIX)),)
    row = ",".join(["Class", *CLASSES])
    stored = read(write(tmp_path / "c.csv", COLUMNS.replace("\n", f"\n{row}\n", 1)))
    assert stored.references == (Reference("Class", tuple(CLASSES)),)


def test_references_by_name_number_and_none(tmp_path):
    text = rows_text(["alpha", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN"], BRIX)
    path = write(tmp_path / "t.csv", text)
    assert read(path).values.shape == (NUM_SAMPLES, NUM_BANDS + 1)
    for references in (("alpha",), ("1",)):
        stored = read(path, references=references)
        check(stored, has_axis=False)
        assert stored.references == (Reference("alpha", tuple(BRIX)),)
    with pytest.raises(ValueError, match="--references names 'beta', which is no column"):
        read(path, references=("beta",))


def test_names_of_substances_in_a_small_table_are_bands(tmp_path):
    path = write(tmp_path / "t.csv", "sample,salt,sugar\na,1,2\nb,3,1\nc,2,2\n")
    np.testing.assert_array_equal(read(path).values, [[1, 2], [3, 1], [2, 2]])


def test_a_class_without_a_name_is_asked_for(tmp_path):
    path = write(tmp_path / "t.csv", rows_text([], [float(i % 3 + 1) for i in range(NUM_SAMPLES)]))
    with pytest.raises(ValueError, match=r"column 1 does not go on .* --references 1 if it is"):
        read(path)
    check(read(path, references=("1",)), has_axis=False)
    assert read(path, references=()).values.shape == (NUM_SAMPLES, NUM_BANDS + 1)


def test_numbers_alone_are_turned_as_their_smoothness_says(tmp_path):
    rows = write(tmp_path / "a.csv", rows_text([]))
    np.savetxt(tmp_path / "b.txt", VALUES.T)
    for path in (rows, tmp_path / "b.txt"):
        check(read(path), has_axis=False)
    assert "smooth along the columns" in read(tmp_path / "b.txt").notes[0]


def test_an_axis_beside_numbers_alone(tmp_path):
    np.savetxt(tmp_path / "a.txt", np.c_[AXIS, VALUES.T])
    np.savetxt(tmp_path / "b.txt", np.r_[AXIS[None], VALUES])
    for name in ("a.txt", "b.txt"):
        check(read(tmp_path / name))


@pytest.mark.parametrize("corner", ["", "0"])
def test_two_axes_are_told_apart_by_smoothness(tmp_path, corner):
    stored = read(write(tmp_path / "a.csv", columns_text([corner, *TIMES])))
    check(stored)
    np.testing.assert_array_equal(stored.sample_axis, TIMES)
    stored = read(write(tmp_path / "b.csv", rows_text([corner, *AXIS], TIMES)))
    check(stored)
    np.testing.assert_array_equal(stored.sample_axis, TIMES)


def test_a_corner_that_names_both_axes(tmp_path):
    corner = "R.Time (min)\\Wavelength (nm)"
    stored = read(write(tmp_path / "a.txt", rows_text([corner, *AXIS], TIMES, separator="\t")))
    check(stored)
    assert (stored.axis_name, stored.sample_axis_name) == ("Wavelength (nm)", "R.Time (min)")


def test_a_second_axis_is_no_spectrum(tmp_path):
    lines = COLUMNS.splitlines()
    seconds = ["cm-1", *(number(round(1e7 / a, 2)) for a in AXIS)]
    rows = [line.split(",", 1) for line in lines]
    text = "\n".join(f"{first},{s},{rest}" for s, (first, rest) in zip(seconds, rows, strict=True))
    stored = read(write(tmp_path / "t.csv", text))
    check(stored, names=NAMES)
    assert stored.notes[-1] == "other axes are left out: cm-1"


def test_smooth_both_ways_is_asked_for(tmp_path):
    smooth = np.exp(-0.5 * ((np.arange(30)[:, None] - 15) / 5) ** 2) * np.exp(
        -0.5 * ((np.arange(40) - 20) / 6) ** 2
    )
    np.savetxt(tmp_path / "t.txt", smooth)
    with pytest.raises(ValueError, match="say --spectra rows or --spectra columns"):
        read(tmp_path / "t.txt")
    assert read(tmp_path / "t.txt", spectra="columns").values.shape == (40, 30)


LONG_ROWS = [
    (f"probe {i}", number(a), number(v))
    for i, spectrum in enumerate(VALUES)
    for a, v in zip(AXIS, spectrum, strict=True)
]


def test_long_tables(tmp_path):
    names = [f"probe {i}" for i in range(NUM_SAMPLES)]
    text = "sample,wavelength,absorbance\n" + "\n".join(map(",".join, LONG_ROWS))
    check(read(write(tmp_path / "a.csv", text)), names=names)
    by_band = sorted(LONG_ROWS, key=lambda row: float(row[1]))
    text = "wavelength,sample,value\n" + "\n".join(f"{a},{s},{v}" for s, a, v in by_band)
    check(read(write(tmp_path / "b.csv", text)), names=names)
    text = "Wavelength\tIntensity\n" + "\n".join(f"{a}\t{v}" for _, a, v in LONG_ROWS)
    check(read(write(tmp_path / "c.csv", text)))


def test_a_map_with_x_and_y(tmp_path):
    places = [(i % 4, i // 4) for i in range(NUM_SAMPLES)]
    lines = [
        f"{x}\t{y}\t{number(a)}\t{number(v)}"
        for (x, y), spectrum in zip(places, VALUES, strict=True)
        for a, v in zip(AXIS[::-1], spectrum[::-1], strict=True)
    ]
    stored = read(write(tmp_path / "t.txt", "#X\t#Y\t#Wave\t#Intensity\n" + "\n".join(lines)))
    np.testing.assert_allclose(stored.axis, AXIS[::-1])
    np.testing.assert_allclose(stored.values, VALUES[:, ::-1], atol=1e-9)
    assert [reference.name for reference in stored.references] == ["X", "Y"]
    assert stored.references[1].values == tuple(float(y) for _, y in places)


def test_a_map_with_the_axis_above(tmp_path):
    x, y = ([float(v) for v in side] for side in (np.arange(12) % 4, np.arange(12) // 4))
    stored = read(write(tmp_path / "t.txt", rows_text(["", "", *AXIS], x, y, separator="\t")))
    check(stored)
    assert [reference.values for reference in stored.references] == [tuple(x), tuple(y)]


@pytest.mark.parametrize("header", [True, False])
def test_pairs_of_columns(tmp_path, header):
    lines = [
        ",".join(f"{number(a)},{number(v)}" for v in band)
        for a, band in zip(AXIS, VALUES.T, strict=True)
    ]
    top = ",".join(f"{name}," for name in NAMES) + "\n" + ",".join(["wavelength,abs"] * 12) + "\n"
    stored = read(write(tmp_path / "t.csv", (top if header else "") + "\n".join(lines)))
    check(stored, names=NAMES if header else None)


def test_a_single_spectrum_below_a_preamble(tmp_path):
    text = "TITLE\tsample 1\nXUNITS\t1/CM\nNPOINTS\t40\nXYDATA\n" + "\n".join(
        f"{a:.2f}\t{v:.5f}" for a, v in zip(AXIS, VALUES[0], strict=True)
    )
    stored = read(write(tmp_path / "t.txt", text))
    np.testing.assert_allclose(stored.values, VALUES[:1])
    np.testing.assert_allclose(stored.axis, AXIS)
    assert stored.axis_name == "1/CM"
    assert stored.notes[0] == "4 line(s) above the table are passed over"


def test_edges_that_some_spectra_lack_are_cut_and_said(tmp_path):
    lines = rows_text(["sample", *AXIS], NAMES).splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:-3], "", "", ""])
    stored = read(write(tmp_path / "t.csv", "\n".join(lines)))
    np.testing.assert_allclose(stored.values, VALUES[:, :-3])
    np.testing.assert_allclose(stored.axis, AXIS[:-3])
    assert "3 bands at the ends, which 1 spectra lack" in stored.notes[-1]


AMBIGUOUS = {
    "both commas": (columns_text(["nm", *NAMES], ",", ","), "before decimals alike; export with"),
    "thousands": ("a;b;c\n1,234;2,345;3,456\n1,111;2,222;3,333\n", "--decimal , or --decimal ."),
    "a line between": (
        COLUMNS.replace("\n550,", "\nnew lamp\n550,"),
        "line 17 interrupts the table, .*'new lamp'; mend or remove it",
    ),
    "a gap": (WITH_GAP, r"missing \(row 17, column 2\); say --missing"),
}


@pytest.mark.parametrize(("text", "remedy"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_cannot_be_told_is_refused_with_a_remedy(tmp_path, text, remedy):
    with pytest.raises(ValueError, match=remedy):
        read(write(tmp_path / "t.csv", text))


def test_the_remedies_help(tmp_path):
    path = write(tmp_path / "a.csv", AMBIGUOUS["thousands"][0])
    np.testing.assert_array_equal(read(path, decimal=",").values[0], [1.234, 2.345, 3.456])
    np.testing.assert_array_equal(read(path, decimal=".").values[0], [1234, 2345, 3456])
    gap = write(tmp_path / "b.csv", AMBIGUOUS["a gap"][0])
    assert read(gap, missing="drop_bands").values.shape == (NUM_SAMPLES, NUM_BANDS - 1)
    assert read(gap, missing="drop_spectra").values.shape == (NUM_SAMPLES - 1, NUM_BANDS)
    np.testing.assert_allclose(read(gap, missing="interpolate").values, VALUES, atol=0.02)


@settings(max_examples=60, deadline=None)
@given(
    separator=st.sampled_from([",", ";", "\t", " ", "|"]),
    decimal=st.sampled_from([".", ","]),
    in_columns=st.booleans(),
    has_names=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    reverse=st.booleans(),
    preamble=st.sampled_from(["", "# made by hand\n", "Device: X\n\n", "Serial;12\nGain;3\n\n"]),
)
def test_any_mixture_of_dialects_is_read_back(
    tmp_path_factory,
    separator,
    decimal,
    in_columns,
    has_names,
    encoding,
    line_end,
    reverse,
    preamble,
):
    if separator == decimal:
        separator = ";"
    header = ["Wavenumber" if in_columns else "sample"]
    names = list(NAMES) if has_names else [f"{i + 1}" for i in range(NUM_SAMPLES)]
    if in_columns:
        text = columns_text([*header, *names], separator, decimal)
    else:
        text = rows_text([*header, *AXIS], names, separator=separator, decimal=decimal)
    if reverse and in_columns:
        lines = text.splitlines()
        text = "\n".join([lines[0], *lines[:0:-1]]) + "\n"
    path = tmp_path_factory.mktemp("dialect") / "t.csv"
    stored = read(write(path, preamble + text, encoding, line_end))
    turned = slice(None, None, -1 if reverse and in_columns else 1)
    np.testing.assert_allclose(stored.values, VALUES[:, turned], atol=1e-9)
    np.testing.assert_allclose(stored.axis, AXIS[turned])
    assert stored.sample_names == tuple(names)
