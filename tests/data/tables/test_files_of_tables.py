"""Workbooks, files of instruments, folders of spectra and files of arrays: the same mixture."""

import struct
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
import scipy.io

from jaxhsi.data.tables.spectra_folder import natural_order
from jaxhsi.data.tables.stored_table import Reference
from jaxhsi.data.tables.table import is_cube_path
from jaxhsi.data.tables.table_files import read_table
from jaxhsi.data.tables.table_options import TableOptions
from tests.helpers.written_tables import AXIS, BRIX, NAMES, NUM_SAMPLES, TIMES, VALUES, check


def read(path: Path, **options):
    return read_table(path, TableOptions(**options))


# Workbooks ----------------------------------------------------------------------------------------


def write_workbook(path: Path, sheets: dict[str, list[list]]) -> Path:
    """The least that a workbook needs, with text in the cells themselves."""
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    names = list(sheets)
    listed = "".join(
        f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(names, 1)
    )
    links = "".join(
        f'<Relationship Id="r{i}" Type="{relations}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(1, len(names) + 1)
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", f'<Types xmlns="{package}/content-types"/>')
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r" '
            f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{listed}</sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships">{links}</Relationships>',
        )
        for i, rows in enumerate(sheets.values(), 1):
            body = "".join(f"<row>{''.join(map(_xml_cell, row))}</row>" for row in rows)
            file.writestr(
                f"xl/worksheets/sheet{i}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
            )
    return path


def _xml_cell(cell) -> str:
    if isinstance(cell, str):
        return f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' if cell else "<c/>"
    return f"<c><v>{cell!r}</v></c>"


SPECTRA = VALUES.tolist()
ROWS = [
    ["sample", "Brix", *AXIS.tolist()],
    *(
        [name, brix, *row]
        for name, brix, row in zip(NAMES, BRIX.tolist(), VALUES.tolist(), strict=True)
    ),
]


def test_a_workbook(tmp_path):
    stored = read(write_workbook(tmp_path / "t.xlsx", {"data": ROWS, "notes": [["by me"]]}))
    check(stored, names=NAMES)
    assert stored.references == (Reference("Brix", tuple(BRIX)),)
    assert stored.notes[0] == "the sheet 'data' of 2"


def test_a_sheet_below_a_preamble_with_numbers_as_text(tmp_path):
    rows = [["Instrument", "X"], ["Gain", 3.0], [], ["Wavelength", *NAMES]]
    rows += [
        [f"{a:g}", *(f"{v:.5f}".replace(".", ",") for v in band)]
        for a, band in zip(AXIS, VALUES.T, strict=True)
    ]
    check(read(write_workbook(tmp_path / "t.xlsx", {"data": rows})), names=NAMES)


def test_several_sheets_of_numbers_are_asked_for(tmp_path):
    path = write_workbook(tmp_path / "t.xlsx", {"one": ROWS, "two": ROWS[:4]})
    with pytest.raises(ValueError, match="name one with --key: one, two"):
        read(path)
    assert len(read(path, key="two").values) == 3
    with pytest.raises(ValueError, match="has no sheet 'three'; there are one, two"):
        read(path, key="three")


# Instruments --------------------------------------------------------------------------------------


def test_jcamp_of_one_spectrum_and_of_blocks(tmp_path):
    def block(name: str, values: np.ndarray) -> str:
        points = "\n".join(f"{a:.4f} {v:.6f}" for a, v in zip(AXIS, values, strict=True))
        return (
            f"##TITLE={name}\n##JCAMP-DX=4.24\n##DATA TYPE=RAMAN SPECTRUM\n##XUNITS=1/CM\n"
            f"##YUNITS=ARBITRARY UNITS\n##FIRSTX=400\n##LASTX=790\n##NPOINTS=40\n##XFACTOR=1\n"
            f"##YFACTOR=1\n##XYPOINTS=(XY..XY)\n{points}\n##END=\n"
        )

    path = tmp_path / "one.jdx"
    path.write_text(block("first", VALUES[0]))
    stored = read(path)
    np.testing.assert_allclose(stored.values, VALUES[:1])
    np.testing.assert_allclose(stored.axis, AXIS)
    assert (stored.axis_name, stored.sample_names) == ("1/CM", ("first",))
    blocks = "".join(map(block, NAMES, VALUES))
    path.write_text(
        f"##TITLE=all\n##JCAMP-DX=5.01\n##DATA TYPE=LINK\n##BLOCKS={NUM_SAMPLES}\n{blocks}##END=\n"
    )
    check(read(path), names=NAMES)


def test_jcamp_that_fails_its_own_checks_is_refused(tmp_path):
    lines = ["##TITLE=a", "##JCAMP-DX=4.24", "##DATA TYPE=RAMAN SPECTRUM", "##XUNITS=1/CM"]
    lines += ["##YUNITS=COUNTS", "##FIRSTX=1", "##LASTX=8", "##NPOINTS=8", "##XFACTOR=1"]
    lines += ["##YFACTOR=1", "##DELTAX=1", "##XYDATA=(X++(Y..Y))", "1 10 11 12 13", "5 14 15"]
    (tmp_path / "t.jdx").write_text("\n".join([*lines, "##END="]))
    with pytest.raises(ValueError, match=r"its own checks of points fail .Mismatch of array"):
        read(tmp_path / "t.jdx")


def test_spc(tmp_path, caplog):
    """A file without a date of twelve spectra a half second apart, as its format is documented."""
    pytest.importorskip("spc_io")
    is_multiple, raman_shift, floats = 0x04, 13, -128
    header = struct.pack(
        "<BBBbiddiBBBBI9s9sH8f130s30sIIBBHf48sfIfB187s",
        *(is_multiple, 0x4B, 0, floats, 40, 400.0, 790.0, NUM_SAMPLES, raman_shift, 4, 0, 0, 0),
        *(b"", b"", 0, *[0.0] * 8, b"", b"", 0, 0, 0, 0, 0, 0.0, b"", 0.5, 0, 0.0, 0, b""),
    )
    assert len(header) == 512
    body = b"".join(
        struct.pack("<BbHfffiif4s", 0, floats, i, i * 0.5, (i + 1) * 0.5, 0.0, 40, 1, 0.0, b"")
        + spectrum.astype("<f4").tobytes()
        for i, spectrum in enumerate(VALUES)
    )
    (tmp_path / "t.spc").write_bytes(header + body)
    stored = read(tmp_path / "t.spc")
    np.testing.assert_allclose(stored.values, VALUES, atol=1e-6)
    np.testing.assert_allclose(stored.axis, AXIS)
    np.testing.assert_array_equal(stored.sample_axis, TIMES)
    assert stored.axis_name == "Raman shift (cm-1)"
    assert caplog.records == []


def test_a_map_of_wire(tmp_path):
    """The blocks of a finished map of three rows, as the reader's package describes them."""

    def block(name: bytes, content: bytes) -> bytes:
        return struct.pack("<4siq", name, 0, 16 + len(content)) + content

    raman_shift, micrometres, spatial = 1, 5, {"x": 3, "y": 4}
    header = bytearray(512 - 16)
    counts = (40, NUM_SAMPLES, NUM_SAMPLES, 1, 1, 40, 2)  # points, capacity, count, ..., origins
    struct.pack_into("<iqqiiii24s4hii", header, 0x3C - 16, *counts, b"WiRE", 5, 0, 0, 0, 3, 3)
    struct.pack_into("<if", header, 0x98 - 16, 6, 12738.9)
    places = {"x": np.arange(12) % 4 * 2.0, "y": np.arange(12) // 4 * 3.0}
    origins = struct.pack("<i", 2) + b"".join(
        struct.pack("<ii16s", spatial[name], micrometres, name.encode()) + values.tobytes()
        for name, values in places.items()
    )
    wmap = struct.pack("<ii", 0, 0) + struct.pack("<6f2i", 0.0, 0.0, 0.0, 2.0, 3.0, 1.0, 4, 3)
    axis = struct.pack("<ii", 1, raman_shift) + AXIS.astype("<f4").tobytes()
    blocks = [
        block(b"WDF1", bytes(header)),
        block(b"DATA", VALUES.astype("<f4").tobytes()),
        block(b"YLST", struct.pack("<iif", 0, 0, 0.0)),
        block(b"XLST", axis),
        block(b"ORGN", origins),
        block(b"WMAP", wmap),
    ]
    (tmp_path / "t.wdf").write_bytes(b"".join(blocks))
    stored = read(tmp_path / "t.wdf")
    np.testing.assert_allclose(stored.values, VALUES, atol=1e-6)
    np.testing.assert_allclose(stored.axis, AXIS)
    assert stored.axis_name == "Raman shift (cm-1)"
    assert stored.references == tuple(
        Reference(name, tuple(values.tolist())) for name, values in places.items()
    )


def test_a_spectral_library_is_a_table(tmp_path):
    VALUES.astype("<f4").tofile(tmp_path / "lib.sli")
    fields = {
        "samples": 40,
        "lines": NUM_SAMPLES,
        "bands": 1,
        "header offset": 0,
        "file type": "ENVI Spectral Library",
        "data type": 4,
        "interleave": "bsq",
        "byte order": 0,
        "wavelength units": "nm",
        "spectra names": "{" + ", ".join(NAMES) + "}",
        "wavelength": "{" + ", ".join(f"{a:g}" for a in AXIS) + "}",
    }
    header = "\n".join(["ENVI", *(f"{key} = {value}" for key, value in fields.items())])
    (tmp_path / "lib.hdr").write_text(header)
    for name in ("lib.sli", "lib.hdr"):
        assert not is_cube_path(tmp_path / name)
        stored = read(tmp_path / name)
        np.testing.assert_allclose(stored.values, VALUES, atol=1e-6)
        np.testing.assert_allclose(stored.axis, AXIS)
        assert (stored.axis_name, stored.sample_names) == ("wavelength (nm)", NAMES)
    assert not is_cube_path(tmp_path)


def test_damaged_files_of_instruments_are_named(tmp_path):
    for name, start in (("a.wdf", b"WDF1"), ("b.0", b"\x0a\x0a\xfe\xfe"), ("c.spc", b"\x00K")):
        (tmp_path / name).write_bytes(start + struct.pack("<40d", *AXIS))
        with pytest.raises(ValueError, match=name):
            read(tmp_path / name)


# Folders ------------------------------------------------------------------------------------------


def write_folder(folder: Path, axes: list[np.ndarray], values: np.ndarray = VALUES) -> Path:
    for i, (axis, spectrum) in enumerate(zip(axes, values, strict=True), 1):
        lines = [f"{a:.4f}\t{v:.6f}" for a, v in zip(axis, spectrum, strict=True)]
        (folder / f"s{i}.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_a_folder_of_spectra(tmp_path):
    folder = write_folder(tmp_path, [AXIS] * NUM_SAMPLES)
    (folder / "readme.txt").write_text("measured by hand\n")
    assert not is_cube_path(folder)
    stored = read(folder)
    check(stored, names=NAMES)
    assert stored.notes == (f"12 spectra of 12 files in {folder}", "no spectrum is in readme.txt")


def test_axes_that_differ_slightly_are_interpolated(tmp_path):
    slope = np.arange(1, NUM_SAMPLES + 1)[:, None]
    shifts = np.arange(NUM_SAMPLES) % 3
    axes = [AXIS + shift for shift in shifts]
    stored = read(write_folder(tmp_path, axes, slope * np.array(axes)))
    np.testing.assert_allclose(stored.axis, AXIS[1:])
    np.testing.assert_allclose(stored.values, slope * AXIS[1:], rtol=1e-6)
    assert "8 of 12 spectra have another axis than the first" in stored.notes[-1]


@pytest.mark.parametrize("other", [AXIS + 200, np.linspace(400, 790, 40) * 3])
def test_axes_that_differ_much_are_refused(tmp_path, other):
    write_folder(tmp_path, [AXIS] * 11 + [other])
    with pytest.raises(ValueError, match=r"differ too much to compare: s\d+ has 40 points from 4"):
        read(tmp_path)


def test_files_are_ordered_as_people_count():
    paths = [Path(f"s{i}.txt") for i in (10, 2, 1)]
    assert [path.stem for path in sorted(paths, key=natural_order)] == ["s1", "s2", "s10"]


def test_a_folder_of_cubes_is_none_of_spectra(tmp_path):
    np.save(tmp_path / "cube.npy", np.ones((4, 5, 6), np.float32))
    (tmp_path / "notes.txt").write_text("by hand\n")
    assert is_cube_path(tmp_path)


# Arrays -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "has_axis"),
    [
        (VALUES, False),
        (VALUES.T, False),
        (np.c_[AXIS, VALUES.T], True),
        (np.r_[AXIS[None], VALUES], True),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
def test_arrays_have_the_checks_of_text(tmp_path, array, has_axis, suffix):
    path = tmp_path / f"t{suffix}"
    if suffix == ".npy":
        np.save(path, array)
    elif suffix == ".npz":
        np.savez(path, X=array)
    else:
        scipy.io.savemat(path, {"X": array})
    check(read(path), has_axis=has_axis)


def test_vectors_beside_the_table(tmp_path):
    np.savez(tmp_path / "t.npz", X=VALUES.T, nm=AXIS, time=TIMES, Brix=BRIX, samples=NAMES)
    stored = read(tmp_path / "t.npz")
    check(stored, names=NAMES)
    np.testing.assert_array_equal(stored.sample_axis, TIMES)
    assert stored.references == (Reference("Brix", tuple(BRIX)),)


def test_an_axis_of_another_length_is_refused(tmp_path):
    np.savez(tmp_path / "t.npz", X=VALUES, wavelength=AXIS[:-1])
    with pytest.raises(ValueError, match=r"'wavelength' has 39 values, the table 'X' the shape"):
        read(tmp_path / "t.npz")
