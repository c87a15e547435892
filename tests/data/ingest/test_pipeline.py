"""From files to stores: every step applied and written down, whatever the slabs and kills."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.cube import open_cube
from jaxhsi.data.ingest import pipeline, resumable_writer
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.pipeline import ingest, plan_ingest
from jaxhsi.data.statistics import BandStatistics

SHAPE = (150, 70, 12)
WAVES = np.arange(400.0, 520.0, 10.0)
RNG = np.random.default_rng(0)
VALUES = RNG.integers(100, 4000, SHAPE).astype(np.uint16)
CODES = {"uint8": 1, "int16": 2, "int32": 3, "float32": 4, "float64": 5, "uint16": 12}


def save_envi(
    folder: Path, values: np.ndarray = VALUES, name="scene", interleave="bil", header=True, **fields
) -> Path:
    """An ENVI data file and its header."""
    order = {"bil": (0, 2, 1), "bip": (0, 1, 2), "bsq": (2, 0, 1)}[interleave]
    path = folder / f"{name}.raw"
    path.write_bytes(np.ascontiguousarray(values.transpose(order)).tobytes())
    lines, samples, bands = values.shape
    told = {
        **{"samples": samples, "lines": lines, "bands": bands, "header offset": 0},
        **{"data type": CODES[values.dtype.name], "interleave": interleave, "byte order": 0},
        "wavelength units": "nm",
        "wavelength": "{" + ", ".join(f"{w}" for w in WAVES[:bands]) + "}",
        **fields,
    }
    if header:
        text = "".join(f"{key} = {value}\n" for key, value in told.items())
        path.with_suffix(".hdr").write_text("ENVI\n" + text)
    return path


def values_of(source: Path, target: Path, **changes) -> np.ndarray:
    return ingest(source, target, options=IngestOptions(**changes)).array.read().result()


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def small_slabs(monkeypatch):
    monkeypatch.setattr(resumable_writer, "MAX_SLAB_BYTES", 1)  # 3 x 2 of one block


def stop_after(slabs: int):
    """A progress callback that ends like Ctrl-C once so many slabs are written."""
    calls = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        assert 0 <= done <= total == VALUES.nbytes
        if len(calls) == slabs + 1:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_values_type_wavelengths_and_statistics(tmp_path, small_slabs, interleave):
    cube = ingest(save_envi(tmp_path, interleave=interleave), tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    assert cube.array.dtype.name == "uint16"
    np.testing.assert_array_equal(cube.wavelengths, WAVES)
    found = BandStatistics.from_json(cube.statistics, SHAPE[2])
    pixels = VALUES.reshape(-1, SHAPE[2]).astype(float)
    assert found.num_pixels == found.num_valid == len(pixels)
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.standard_deviation, pixels.std(0, ddof=1), rtol=1e-12)
    np.testing.assert_array_equal(found.minimum, pixels.min(0))
    np.testing.assert_array_equal(found.maximum, pixels.max(0))


@pytest.mark.parametrize("slabs", [0, 1, 3, 6])
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_killed_ingest_goes_on_to_the_same_bytes(tmp_path, small_slabs, slabs, dtype):
    source, changes = save_envi(tmp_path), IngestOptions(dtype=dtype, bin=2 if dtype else 1)
    ingest(source, tmp_path / "whole.zarr", options=changes)
    with pytest.raises(KeyboardInterrupt):
        ingest(source, tmp_path / "a.zarr", options=changes, on_progress=stop_after(slabs))
    assert not (tmp_path / "a.zarr").exists()
    begun = []
    ingest(
        source, tmp_path / "a.zarr", options=changes, on_progress=lambda done, _: begun.append(done)
    )
    assert (begun[0] > 0) == (slabs > 0)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "whole.zarr")
    assert not list(tmp_path.glob("*.partial-*"))


@pytest.mark.parametrize("change", ["options", "file", "header"])
def test_ingest_of_something_else_begins_anew(tmp_path, small_slabs, change):
    source, changes = save_envi(tmp_path), IngestOptions()
    with pytest.raises(KeyboardInterrupt):
        ingest(source, tmp_path / "a.zarr", on_progress=stop_after(3))
    if change == "options":
        changes = IngestOptions(bad_bands="3")
    elif change == "file":
        save_envi(tmp_path, VALUES[::-1])
    else:
        source.with_suffix(".hdr").write_text(source.with_suffix(".hdr").read_text() + "\n;\n")
    begun = []
    ingest(
        source, tmp_path / "a.zarr", options=changes, on_progress=lambda done, _: begun.append(done)
    )
    assert begun[0] == 0
    assert not list(tmp_path.glob("*.partial-*"))


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 140), width=st.integers(1, 140), slab=st.sampled_from([1, 10**5, 10**9])
)
def test_any_size(tmp_path_factory, height, width, slab):
    folder = tmp_path_factory.mktemp("any")
    values = RNG.integers(0, 2**16, (height, width, 3)).astype(np.uint16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumable_writer, "MAX_SLAB_BYTES", slab)
        patch.setattr(pipeline, "MIN_SHARDED_BYTES", 10**5)  # some of them are sharded
        cube = ingest(save_envi(folder, values), folder / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), values)


def test_large_cubes_are_sharded(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "MIN_SHARDED_BYTES", 10**5)
    cube = ingest(save_envi(tmp_path), tmp_path / "a.zarr")
    layout = cube.array.chunk_layout
    assert layout.read_chunk.shape == (64, 64, 12)
    assert layout.write_chunk.shape == (192, 128, 12)
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)


def references(folder: Path) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """White and dark of 5 and 3 lines, without headers of their own, and their means."""
    white = RNG.integers(5000, 6000, (5, *SHAPE[1:])).astype(np.uint16)
    dark = RNG.integers(10, 90, (3, *SHAPE[1:])).astype(np.uint16)
    paths = (save_envi(folder, v, n, header=False) for v, n in ((white, "white"), (dark, "dark")))
    return *paths, white.mean(0), dark.mean(0)


def test_reflectance_by_column(tmp_path, small_slabs):
    white, dark, bright, dim = references(tmp_path)
    cube = ingest(
        save_envi(tmp_path), tmp_path / "a.zarr", options=IngestOptions(white=white, dark=dark)
    )
    expected = (VALUES - dim) / (bright - dim)
    assert cube.array.dtype.name == "float32"
    np.testing.assert_allclose(cube.array.read().result(), expected, rtol=1e-4)
    assert cube.units == "reflectance"
    assert any("white white.raw, dark dark.raw" in line for line in cube.history)


def test_reference_as_a_spectrum_and_white_alone(tmp_path):
    np.save(tmp_path / "white.npy", np.full(12, 5000.0))
    found = values_of(save_envi(tmp_path), tmp_path / "a.zarr", white=tmp_path / "white.npy")
    np.testing.assert_allclose(found, VALUES / 5000, rtol=1e-6)


def test_dead_columns_are_no_data_and_told(tmp_path):
    white = np.full(SHAPE[1:], 5000.0)
    white[3, 2] = 0
    np.save(tmp_path / "white.npy", white[None])
    cube = ingest(
        save_envi(tmp_path),
        tmp_path / "a.zarr",
        options=IngestOptions(white=tmp_path / "white.npy"),
    )
    assert np.argwhere(np.isnan(cube.array[0].read().result())).tolist() == [[3, 2]]
    assert cube.statistics["valid"] == 150 * 69
    assert any(line.startswith("1 of 840 columns by bands") for line in cube.history)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((5, 71, 12), "71 columns .* has 70"), ((5, 70, 11), "11 bands .* has 12")],
)
def test_references_of_another_camera(tmp_path, shape, message):
    np.save(tmp_path / "white.npy", np.ones(shape))
    with pytest.raises(ValueError, match=message):
        values_of(save_envi(tmp_path), tmp_path / "a.zarr", white=tmp_path / "white.npy")
    assert not list(tmp_path.glob("a.zarr*"))


def test_bands_are_chosen_and_binned(tmp_path, small_slabs):
    source = save_envi(tmp_path, bbl="{1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}")
    cube = ingest(
        source,
        tmp_path / "a.zarr",
        options=IngestOptions(wavelengths=(400.0, 505.0), bad_bands="5, 460-475nm", bin=2),
    )
    kept = [[0], [2, 3], [4], [8, 9], [10]]  # 1 and 5..7 are dropped, 11 lies outside
    expected = np.stack([VALUES[..., bands].mean(-1) for bands in kept], axis=-1)
    np.testing.assert_allclose(cube.array.read().result(), expected, rtol=1e-6)
    np.testing.assert_allclose(cube.wavelengths, [WAVES[bands].mean() for bands in kept])
    assert "bad bands by the file: 1, dropped" in cube.history
    assert "bands dropped on request: 5-7" in cube.history[2]
    found = values_of(source, tmp_path / "b.zarr", keep_bands=True)
    np.testing.assert_array_equal(found, VALUES)


def test_scale_of_the_file_is_applied_unless_raw_values_are_asked_for(tmp_path):
    source = save_envi(tmp_path, **{"reflectance scale factor": 10000})
    raw = ingest(source, tmp_path / "a.zarr", options=IngestOptions(raw=True))
    np.testing.assert_array_equal(raw.array.read().result(), VALUES)
    assert (raw.array.dtype.name, raw.units) == ("uint16", None)
    assert "scale and offset of the file not applied: raw values on request" in raw.history
    scaled = ingest(source, tmp_path / "b.zarr")
    np.testing.assert_allclose(scaled.array.read().result(), VALUES / 1e4, rtol=1e-6)
    assert (scaled.array.dtype.name, scaled.units) == ("float32", "reflectance")
    assert "times 0.0001 as the file states (--raw keeps stored values)" in scaled.history
    found = values_of(source, tmp_path / "c.zarr", scale=0.5)
    np.testing.assert_array_equal(found, VALUES * np.float32(0.5))
    assert open_cube(tmp_path / "c.zarr").units is None


def test_no_data_is_kept_as_a_mark_or_becomes_nan(tmp_path):
    values = VALUES.copy()
    values[7, 8, 9] = 4095
    source = save_envi(tmp_path, values, **{"data ignore value": 4095})
    kept = ingest(source, tmp_path / "a.zarr")
    assert (kept.no_data, kept.statistics["valid"]) == (4095, 150 * 70 - 1)
    computed = ingest(source, tmp_path / "b.zarr", options=IngestOptions(dtype="float32"))
    assert (computed.no_data, computed.statistics["valid"]) == (None, 150 * 70 - 1)
    assert np.argwhere(np.isnan(computed.array.read().result())).tolist() == [[7, 8, 9]]
    other = ingest(
        source, tmp_path / "c.zarr", options=IngestOptions(no_data=float(VALUES[0, 0, 0]))
    )
    assert other.no_data == VALUES[0, 0, 0]
    assert other.statistics["valid"] < 150 * 70


def test_missing_floats_are_stored_as_they_are(tmp_path):
    values = VALUES.astype(np.float32)
    values[1, 2, 3], values[4, 5, 6] = np.nan, np.inf
    cube = ingest(save_envi(tmp_path, values), tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), values)
    assert cube.statistics["valid"] == 150 * 70 - 2


def test_half_floats(tmp_path):
    cube = ingest(save_envi(tmp_path), tmp_path / "a.zarr", options=IngestOptions(dtype="float16"))
    np.testing.assert_array_equal(cube.array.read().result(), VALUES.astype(np.float16))
    assert any("above 2048 rounded" in line for line in cube.history)
    large = save_envi(tmp_path, VALUES.astype(np.int32) * 100, "large")
    with pytest.raises(ValueError, match=r"do not fit into float16.*--scale"):
        values_of(large, tmp_path / "b.zarr", dtype="float16")
    assert not list(tmp_path.glob("b.zarr*"))


def test_pixel_size(tmp_path):
    source = save_envi(tmp_path)
    cube = ingest(source, tmp_path / "a.zarr", options=IngestOptions(pixel_size=0.002))
    assert cube.georeference.pixel_area == pytest.approx(4e-6)
    assert "pixels of 0.002 m on request" in cube.history
    mapped = save_envi(
        tmp_path,
        name="map",
        **{"map info": "{UTM, 1, 1, 500000, 5000000, 2, 2, 33, North, WGS-84, units=Meters}"},
    )
    with pytest.raises(ValueError, match=r"a coordinate system of its own, .*; drop --pixel_size"):
        values_of(mapped, tmp_path / "b.zarr", pixel_size=1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wavelengths": (900.0, 950.0)}, r"scene\.raw: no band .*400\.\.510 nm"),
        ({"bad_bands": "0-11"}, r"scene\.raw: no band of 12 is left"),
        ({"bad_bands": "12"}, r"scene\.raw: .*no band 12"),
        ({"dark": Path("d.raw")}, "--dark d.raw needs --white"),
        ({"white": Path("none.raw")}, r"no reference at none\.raw"),
    ],
)
def test_changes_that_do_not_fit_are_found_before_anything_is_written(tmp_path, changes, message):
    source = save_envi(tmp_path)
    for attempt in (plan_ingest, ingest):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            attempt(source, tmp_path / "a.zarr", options=IngestOptions(**changes))
    assert not list(tmp_path.glob("a.zarr*"))


def test_overwrite(tmp_path):
    source = save_envi(tmp_path)
    ingest(source, tmp_path / "a.zarr")
    with pytest.raises(FileExistsError, match="exists"):
        plan_ingest(source, tmp_path / "a.zarr")
    ingest(source, tmp_path / "a.zarr", options=IngestOptions(bin=12), overwrite=True)
    assert open_cube(tmp_path / "a.zarr").shape == (150, 70, 1)
