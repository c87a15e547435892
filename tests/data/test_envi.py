"""ENVI cubes: every arrangement of the bytes, any way to write a header, files gone wrong."""

import gzip
import io
import math
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.formats import cube_shape, file_format, readable_files
from jaxhsi.data.formats.envi import envi_shapes, open_envi
from jaxhsi.data.formats.envi_map import envi_georeference
from jaxhsi.data.formats.wavelengths import wavelengths_in_nm
from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.open import open_cubes

CODES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
AXES = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}
CUBE = np.random.default_rng(4).integers(0, 4000, (4, 3, 5)).astype(np.uint16)
WHOLE = (slice(None),) * 3


def header_text(cube, interleave="bil", code=12, order=0, offset=0, **more) -> str:
    """Fields of a header; None leaves a field out, underscores stand for blanks."""
    fields = {
        "samples": cube.shape[1],
        "lines": cube.shape[0],
        "bands": cube.shape[2],
        "header offset": offset,
        "data type": code,
        "interleave": interleave,
        "byte order": order,
        **{name.replace("_", " "): value for name, value in more.items()},
    }
    lines = [f"{name} = {value}" for name, value in fields.items() if value is not None]
    return "\n".join(["ENVI", *lines]) + "\n"


def save(path: Path, cube=CUBE, interleave="bil", code=12, order=0, offset=0, **more) -> Path:
    """Write data and header with numpy alone; returns the data file."""
    dtype = np.dtype(CODES.get(code, "u2")).newbyteorder(">" if order == 1 else "<")
    values = np.ascontiguousarray(cube.transpose(AXES.get(interleave, (0, 1, 2)))).astype(dtype)
    path.write_bytes(b"\xab" * offset + values.tobytes())
    text = header_text(cube, interleave, code, order, offset, **more)
    path.with_suffix(".hdr").write_text(text)
    return path


def read(path: Path, **options) -> np.ndarray:
    """All values as (H, W, C)."""
    with open_envi(path, **options) as volume:
        return image(volume, volume.read_slab((slice(None),) * 3))


def image(volume, values) -> np.ndarray:
    return values.transpose(1, 2, 0) if volume.layout == "chw" else values


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    code=st.sampled_from(sorted(CODES)),
    interleave=st.sampled_from(sorted(AXES)),
    order=st.sampled_from([0, 1]),
    offset=st.integers(0, 70),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_any_window_of_any_arrangement(
    tmp_path_factory, shape, code, interleave, order, offset, seed, data
):
    raw = np.random.default_rng(seed).integers(0, 256, 8 * math.prod(shape), np.uint8)
    dtype = np.dtype(CODES[code])
    cube = raw.view(dtype)[: math.prod(shape)].reshape(shape)
    path = tmp_path_factory.mktemp("envi") / "cube.img"
    save(path, cube, interleave, code, order, offset)
    window = []
    for size in shape:
        start = data.draw(st.integers(0, size - 1))
        window.append(slice(start, data.draw(st.integers(start + 1, size))))
    rows, columns, bands = window
    with open_envi(path) as volume:
        first = (bands, rows, columns) if volume.layout == "chw" else (rows, columns, bands)
        values = volume.read_slab(first)
    expected = cube[rows, columns, bands]
    assert values.dtype.newbyteorder("=") == dtype
    np.testing.assert_array_equal(image(volume, values), expected)
    assert cube_shape(path) == shape


@settings(max_examples=40, deadline=None)
@given(
    upper=st.booleans(),
    blanks=st.sampled_from(["", " ", "   ", "\t"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    per_line=st.integers(1, 5),
    comment=st.sampled_from(["", "; interleave = bip\n"]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    note=st.sampled_from([b"", "description = {Größe, µm = 3}\n".encode("latin-1")]),
)
def test_ways_to_write_a_header(
    tmp_path_factory, upper, blanks, newline, per_line, comment, mark, note
):
    waves = [f"{400.5 + 10 * band}" for band in range(5)]
    rows = [",".join(waves[i : i + per_line]) for i in range(0, 5, per_line)]
    text = header_text(CUBE, interleave="BIL" if upper else "bil")
    text = text.replace("ENVI\n", f"ENVI\n{comment}")
    listed = ",\n".join(rows)
    text += f"wavelength units = nm\nwavelength = {{{listed}{blanks}}}\n"
    lines = []
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(";"):
            line = f"{blanks}{name.upper() if upper else name}={blanks}{value}{blanks}"
        lines.append(line)
    path = save(tmp_path_factory.mktemp("envi") / "cube.raw")
    whole = mark + "\n".join(lines).replace("\n", newline).encode() + newline.encode() + note
    path.with_suffix(".hdr").write_bytes(whole)
    np.testing.assert_array_equal(read(path), CUBE)
    with open_envi(path) as volume:
        np.testing.assert_allclose(volume.wavelengths, [float(wave) for wave in waves])


@pytest.mark.parametrize(
    ("data", "header"),
    [
        ("a.img", "a.hdr"),
        ("a.img", "a.img.hdr"),
        ("a", "a.hdr"),
        ("A.RAW", "a.HDR"),
        ("a.dat", "A.DAT.Hdr"),
        ("a.bil", "a.hdr"),
        ("a_v1.odd", "a_v1.odd.hdr"),
        ("b.2020.x", "b.2020.x.hdr"),
    ],
)
def test_either_file_finds_the_other(tmp_path, data, header):
    save(tmp_path / "scratch.img")
    (tmp_path / "scratch.img").rename(tmp_path / data)
    (tmp_path / "scratch.hdr").rename(tmp_path / header)
    for name in (data, header):
        path = tmp_path / name
        assert file_format(path).array_shapes(path) == {"": CUBE.shape}
        np.testing.assert_array_equal(read(path), CUBE)
    assert readable_files(tmp_path) == [tmp_path / data]


def test_folder_gives_one_file_for_each_pair(tmp_path):
    save(tmp_path / "b.raw")
    save(tmp_path / "a.img")
    for name in ("a.png", "a.json", "dark.raw", ".hidden.hdr", "c.npy"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    assert [path.name for path in readable_files(tmp_path)] == ["a.img", "b.raw", "c.npy"]
    with pytest.raises(ValueError, match=r"'\.png'; supported are .*\.hdr.*ENVI header beside it"):
        file_format(tmp_path / "a.png")


def test_partner_that_is_missing_or_not_clear(tmp_path):
    path = save(tmp_path / "a.raw")
    shutil.copy(path, tmp_path / "a.img")
    with pytest.raises(ValueError, match=r"several data files, a\.img, a\.raw; give the data file"):
        read(tmp_path / "a.hdr")
    np.testing.assert_array_equal(read(path), CUBE)
    (tmp_path / "a.img").unlink()
    (tmp_path / "b.hdr").write_text(header_text(CUBE))
    with pytest.raises(FileNotFoundError, match=r"b\.hdr has no data file.*\.img"):
        readable_files(tmp_path)
    (tmp_path / "c.raw").touch()
    with pytest.raises(
        FileNotFoundError, match=r"c\.raw has no ENVI header.*c\.raw\.hdr and c\.hdr"
    ):
        read(tmp_path / "c.raw")
    with pytest.raises(FileNotFoundError, match=r"none\.hdr"):
        read(path, header_path=tmp_path / "none.hdr")
    with pytest.raises(ValueError, match="drop --key x"):
        read(path, key="x")


@pytest.mark.parametrize("interleave", sorted(AXES))
def test_truncated_or_too_long(tmp_path, interleave):
    path = save(tmp_path / "a.img", interleave=interleave)
    whole = path.read_bytes()
    for kept in (0, 1, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=rf"a\.img is truncated, holds {kept} of 120 bytes"):
            read(path)
        with pytest.raises(ValueError, match="truncated"):
            envi_shapes(path)
    path.write_bytes(whole + b"1234567")
    with pytest.raises(ValueError, match=r"a\.img holds 127 bytes, 7 more.*header offset = 7"):
        read(path)


def test_headers_that_disagree_with_the_length_say_what_would_agree(tmp_path):
    path = save(tmp_path / "a.img")  # 4 x 3 x 5 values of 2 bytes
    header = path.with_suffix(".hdr")
    header.write_text(header_text(CUBE, code=4))
    with pytest.raises(ValueError, match=r"120 of 240 .*lines = 2 or a data type of 2 bytes"):
        read(path)
    header.write_text(header_text(CUBE[:3]))
    with pytest.raises(ValueError, match=r"30 more .*header offset = 30 or lines = 4"):
        read(path)
    header.write_text(header_text(CUBE[..., :4]))
    with pytest.raises(ValueError, match=r"24 more .* 4 lines x 3 samples x 4 bands.*bands = 5"):
        read(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"interleave": None}, r"interleave \(nothing\), which is none of bsq, bil, bip"),
        ({"interleave": "bsx"}, "interleave bsx, which is none of"),
        ({"code": 6}, r"data type 6 is complex; a cube holds one of 1 \(uint8\), 2 \(int16\)"),
        ({"code": 9}, "data type 9 is complex"),
        ({"code": 7}, "data type 7 is none of ENVI's"),
        ({"code": None}, r"a\.hdr lacks data type"),
        ({"lines": None, "bands": None}, r"a\.hdr lacks lines, bands"),
        ({"samples": "three"}, "samples = three is no whole number of 1 or more"),
        ({"samples": 0}, "samples = 0 is no whole"),
        ({"lines": -4}, "lines = -4 is no whole"),
        ({"offset": -1}, "header offset = -1 is no whole number of 0"),
        ({"order": 2}, "byte order 2 is neither"),
        ({"file_type": "ENVI Spectral Library"}, "a spectral library, not a cube"),
        ({"file_compression": 1}, "compressed; save it uncompressed"),
        ({"major_frame_offsets": "{0, 16}"}, "major frame offsets.*not supported"),
        ({"wavelength": "{1, 2, 3, 4, 5"}, "brace that is not closed"),
    ],
)
def test_headers_that_are_refused(tmp_path, fields, message):
    path = save(tmp_path / "a.img")
    plain = {name: fields.pop(name) for name in list(fields) if name in ("code", "order", "offset")}
    text = header_text(CUBE, **{"interleave": "bil", **plain, **fields})
    path.with_suffix(".hdr").write_text(text)
    with pytest.raises(ValueError, match=message):
        read(path)


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"wavelength": "{1, 2, 3}"}, "wavelength not used, it has 3 values and there are 5 bands"),
        ({"wavelength": "{1, 2, 3, 4, x}"}, "wavelength not used, it holds what is no number"),
        ({"bbl": "{1, 1}"}, "bbl not used, it has 2 values and there are 5 bands"),
        ({"reflectance_scale_factor": 0}, "reflectance scale factor = 0 not used"),
        ({"data_ignore_value": "{1, x}"}, "data ignore value not used, it holds what is no number"),
        ({"map_info": "{UTM, 1, 1, here, 5, 1, 1, 33, North, WGS-84}"}, "map info was not"),
    ],
)
def test_bad_optional_fields_are_notes(tmp_path, fields, note):
    path = save(tmp_path / "a.img", **fields)
    with open_envi(path) as volume:
        assert note in volume.notes[0]
        assert volume.wavelengths is volume.bad_bands is volume.scale_factor is None
        assert volume.no_data is volume.georeference is None
        np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE)


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ([400, 410, 405, 420, 430], "band 2 .* 405 nm after 410 nm"),
        ([400, 410, 410, 420, 430], "band 2 "),
        ([430, 420, 410, 415, 400], "band 3 "),
        ([0, 0, 410, 420, 430], "2 bands state 0 nm"),  # switched off, as PRISMA's
    ],
)
def test_wavelengths_that_do_not_run_in_one_direction_are_kept_with_a_note(tmp_path, values, place):
    path = save(tmp_path / "a.img", wavelength=f"{{{', '.join(map(str, values))}}}")
    with open_envi(path) as volume:
        np.testing.assert_array_equal(volume.wavelengths, values)
        assert re.search(place, volume.notes[0])


@pytest.mark.parametrize(
    "text",
    [
        "{400,00; 410,5; 420; 430; 440}",
        "{400,00, 410,50, 420,0, 430,0, 440,0}",
        "{\n; centres\n400, 410.5,\n420\n, 430, 440\n}",
        "400, 410.5, 420, 430, 440",
    ],
)
def test_spellings_of_lists(tmp_path, text):
    with open_envi(save(tmp_path / "a.img", wavelength=text)) as volume:
        np.testing.assert_array_equal(volume.wavelengths, [400, 410.5, 420, 430, 440])
        assert volume.notes == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_comments_and_nested_braces(tmp_path, encoding, newline):
    path = save(tmp_path / "a.img", band_names="{a {x}, b (c), d, e, f}", operator="M\xfcller")
    text = path.with_suffix(".hdr").read_text().replace("bands = 5", "bands = 5 ; of the camera")
    path.with_suffix(".hdr").write_bytes(
        (text + ";bands = 9\n").replace("\n", newline).encode(encoding)
    )
    with open_envi(path) as volume:
        np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE)


def test_lines_that_the_header_does_not_count(tmp_path):
    path = save(tmp_path / "a.img", lines=0)
    with open_envi(path) as volume:
        np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE)
        assert volume.notes == ("4 lines by the length of a.img, the header says 0",)


def test_data_file_of_any_suffix(tmp_path):
    path = save(tmp_path / "a.spc")
    (tmp_path / "a.xml").write_text("<a/>")
    for source in (path, path.with_suffix(".hdr")):
        with file_format(source).open_volume(source) as volume:
            np.testing.assert_array_equal(volume.read_slab(WHOLE), CUBE)


def test_gains_and_offsets_by_band(tmp_path):
    gains, offsets = [1.0, 2.0, 3.0, 4.0, 5.0], [0.5] * 5
    path = save(
        tmp_path / "a.img",
        data_gain_values=f"{{{', '.join(map(str, gains))}}}",
        data_offset_values=f"{{{', '.join(map(str, offsets))}}}",
    )
    with open_envi(path) as volume:
        np.testing.assert_array_equal(volume.scale_factor, gains)
        assert volume.offset == 0.5
    values = ingest(path, tmp_path / "a.zarr").array.read().result()
    np.testing.assert_allclose(values, CUBE * np.array(gains) + 0.5, rtol=1e-6)


@pytest.mark.parametrize("text", [b"", b"samples = 3", b"#?RADIANCE\n", b"\x00\xff" * 99])
def test_headers_of_other_kinds(tmp_path, text):
    path = save(tmp_path / "a.img")
    path.with_suffix(".hdr").write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.hdr is not an ENVI header"):
        read(path)


def test_suffix_that_contradicts_the_interleave(tmp_path):
    path = save(tmp_path / "a.bil", interleave="bip")
    with pytest.raises(ValueError, match=r"named as bil and a\.hdr says interleave = bip"):
        read(path)
    np.testing.assert_array_equal(read(path.rename(tmp_path / "a.bip")), CUBE)


def archive(kind: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("cube.img", content)
    elif kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as file:
            info = tarfile.TarInfo("cube.img")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    elif kind == "HDF5":
        with h5py.File(buffer, "w") as file:
            file["cube"] = np.frombuffer(content, np.uint8)
    else:
        buffer.write(gzip.compress(content))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip", "HDF5"])
def test_archives_posing_as_cubes(tmp_path, kind):
    path = save(tmp_path / "a.raw")
    path.write_bytes(archive(kind, path.read_bytes()))
    with pytest.raises(ValueError, match=rf"a\.raw is an? {kind} (archive|file), not the plain"):
        read(path)


def test_what_else_the_header_tells(tmp_path):
    path = save(
        tmp_path / "a.img",
        wavelength_units="Micrometers",
        wavelength="{0.4, 0.5, 0.6, 0.7, 0.8}",
        bbl="{1, 0, 1, 1, 0,}",
        data_ignore_value=-9999,
        reflectance_scale_factor=10000.0,
        data_gain_values="{2, 2, 2, 2, 2}",
    )
    with open_envi(path) as volume:
        assert volume.path == path
        np.testing.assert_allclose(volume.wavelengths, [400, 500, 600, 700, 800])
        assert volume.bad_bands.tolist() == [False, True, False, False, True]
        assert volume.no_data == -9999.0
        assert (volume.scale_factor, volume.value_units) == (1e-4, "reflectance")
        assert "data gain values and data offset values not applied" in volume.notes[0]
    path = save(tmp_path / "b.img", order=None, data_units="radiance", wavelength="{5,4,3,2,1}")
    with open_envi(path) as volume:
        assert (volume.scale_factor, volume.value_units, volume.no_data) == (None, "radiance", None)
        np.testing.assert_allclose(volume.wavelengths, [5000, 4000, 3000, 2000, 1000])
        assert "no byte order" in volume.notes[0]
        assert "wavelengths fall" in volume.notes[1]


@pytest.mark.parametrize(
    ("units", "values", "nm"),
    [
        ("nm", [50.0, 60.0], [50.0, 60.0]),
        ("Nanometers", [500.0, 600.0], [500.0, 600.0]),
        ("µm", [0.5, 0.6], [500.0, 600.0]),
        ("Microns", [0.5, 0.6], [500.0, 600.0]),
        ("Angstroms", [5000.0, 6000.0], [500.0, 600.0]),
        ("Unknown", [0.5, 0.6], [500.0, 600.0]),
        (None, [500.0, 600.0], [500.0, 600.0]),
        ("Index", [1.0, 2.0], None),
        ("nm", [0.0, 0.0], None),
        (None, [1.0, 2.0], None),  # numbers of the bands
        ("nm", [np.nan, 600.0], None),
    ],
)
def test_units_of_wavelengths(units, values, nm):
    found, notes = wavelengths_in_nm(np.array(values), units, "a.hdr: wavelength")
    if nm is None:
        assert found is None
        assert "not kept" in notes[0]
    else:
        np.testing.assert_allclose(found, nm)
        assert notes == ()


def test_wavenumbers_become_wavelengths():
    lengths, notes = wavelengths_in_nm(np.array([20000.0, 10000.0]), "Wavenumber", "wavelength")
    np.testing.assert_allclose(lengths, [500.0, 1000.0])
    assert notes == ("wavelength converted from wavenumbers in 1/cm",)


def test_header_of_another_file_gives_a_reference_its_shape(tmp_path):
    cube = save(tmp_path / "cube.raw")
    white = tmp_path / "white.raw"
    white.write_bytes(cube.read_bytes()[:60])  # two of four lines
    with open_envi(white, header_path=tmp_path / "cube.hdr") as volume:
        assert volume.shape == (2, 3, 5)
        assert "2 lines by the length of white.raw, the header says 4" in volume.notes
    np.testing.assert_array_equal(read(white, header_path=tmp_path / "cube.hdr"), CUBE[:2])
    white.write_bytes(cube.read_bytes()[:61])
    with pytest.raises(ValueError, match=r"white\.raw is truncated, holds 61 of 120"):
        read(white, header_path=tmp_path / "cube.hdr")
    np.testing.assert_array_equal(read(cube, num_lines=4), CUBE)
    cube.write_bytes(cube.read_bytes()[:60])
    with pytest.raises(ValueError, match="truncated"):  # its own header is taken at its word
        read(cube)


def test_class_maps_are_left_for_labels(tmp_path):
    path = save(tmp_path / "map.img", CUBE[..., :1], code=2, file_type="ENVI Classification")
    assert envi_shapes(path) == {"": (4, 3)}


MAPS = [
    "{UTM, 1, 1, 500000, 4100000, 20, 10, 33, North, WGS-84, units=Meters}",
    "{UTM, 1.5, 2.5, 500010, 4099975, 20, 10, 33, South, WGS-84, units=Meters}",
    "{UTM, 1, 1, 500000, 4100000, 20, 10, 11, North, WGS-84, units=Meters, rotation=30}",
    "{Geographic Lat/Lon, 1, 1, -105.5, 40.25, 0.001, 0.002, WGS-84, units=Degrees}",
]


@pytest.mark.parametrize("map_info", MAPS)
def test_map_info_agrees_with_gdal(tmp_path, map_info):
    path = save(tmp_path / "a.img", map_info=map_info)
    with open_envi(path) as volume, rasterio.open(path) as file:
        found = volume.georeference
        np.testing.assert_allclose(found.transform, file.transform[:6])
        assert rasterio.CRS.from_string(found.crs) == file.crs
        assert found.metres_per_unit == (1.0 if file.crs.is_projected else None)
        assert found.pixel_area == (pytest.approx(200.0) if file.crs.is_projected else None)


def test_map_info_by_hand():
    found, notes = envi_georeference(MAPS[1].strip("{}"))
    assert (found.crs, notes) == ("EPSG:32733", ())
    assert found.transform == (20.0, 0.0, 500000.0, 0.0, -10.0, 4099990.0)
    found, _ = envi_georeference(MAPS[0].strip("{}"), ['PROJCS["x"', 'UNIT["Meter"', "1.0]]"])
    assert found.crs == 'PROJCS["x",UNIT["Meter",1.0]]'
    # A rotation turns the image about its reference pixel, which stays where it is.
    turned, _ = envi_georeference("UTM, 3, 5, 100, 200, 2, 2, 33, North, WGS-84, rotation=90")
    a, b, c, d, e, f = turned.transform
    assert (a * 2 + b * 4 + c, d * 2 + e * 4 + f) == pytest.approx((100.0, 200.0))
    assert turned.pixel_area == pytest.approx(4.0)
    found, notes = envi_georeference("Arbitrary, 1, 1, 0, 0, 2, 2, units=Feet")
    assert (found.crs, found.metres_per_unit) == (None, 0.3048)
    assert "only the pixel grid" in notes[0]
    for broken in ("UTM, 1", "UTM, 1, 1, 0, 0, 0, 2, 33, North, WGS-84", "UTM, a, 1, 0, 0, 1, 1"):
        assert envi_georeference(broken)[0] is None
        assert "not understood" in envi_georeference(broken)[1][0]
    found, _ = envi_georeference(None, None, ["0.5", "0.25", "units=Millimeters"])
    assert found.pixel_area == pytest.approx(0.125e-6)
    assert envi_georeference(None) == (None, ())


def test_data_that_shrinks_while_it_is_read(tmp_path):
    path = save(tmp_path / "a.img")
    with open_envi(path) as volume:
        path.write_bytes(b"")
        with pytest.raises(ValueError, match=r"a\.img changed or vanished"):
            volume.read_slab((slice(0, 1),) * 3)


def test_without_spectral_says_what_to_install(tmp_path, monkeypatch):
    path = save(tmp_path / "a.img")
    monkeypatch.setitem(sys.modules, "spectral.io.envi", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxhsi\[io\]'"):
        read(path)


def test_maize_kernel_and_its_references(shared_data):
    folder = shared_data / "plantcv_corn"
    header = folder / "corn-kernel-hyperspectral.hdr"
    assert readable_files(folder) == [header.with_suffix(".raw")]
    with open_envi(header) as volume:
        assert volume.shape == (31, 43, 580)
        assert volume.wavelengths[[0, -1]].tolist() == [366.551, 1048.421]
        assert volume.notes == ("the header states no byte order, 0 (little endian) taken",)
        kernel = volume.read_slab((slice(None),) * 3).astype(float)
    white = read(folder / "white_reference_crop.raw", header_path=header).astype(float)
    dark = read(folder / "dark_reference_crop.raw", header_path=header).astype(float)
    assert white.shape == dark.shape == (31, 43, 580)
    assert dark.mean() < kernel.mean() < white.mean()


def test_header_and_data_file_share_a_copy(tmp_path):
    data = save(tmp_path / "field.raw")
    cubes = [
        open_cubes(path, cache_folder=tmp_path / "cache")[0]
        for path in (data, data.with_suffix(".hdr"), tmp_path)
    ]
    assert len({cube.url for cube in cubes}) == 1
    np.testing.assert_array_equal(cubes[0].array.read().result(), CUBE)
