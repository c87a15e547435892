"""References of cameras: known by their names, used for the cube that they belong to."""

from pathlib import Path

import numpy as np
import pytest

from jaxhsi.data.formats.reference_files import capture_cube, find_references, reference_kind
from jaxhsi.data.open import open_cubes
from jaxhsi.ingest import main
from jaxhsi.workflows.ingest_run import pair_sources
from tests.data.cases.scenes import check_ingest, scene

CUBE = scene()
DARK, WHITE, WHITE_DARK = 100.0, 2060.0, 60.0
COUNTS = np.round(DARK + CUBE * 4000).astype(np.uint16)


def save_envi(path: Path, values, exposure: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.ascontiguousarray(values, np.uint16)
    stored.transpose(0, 2, 1).tofile(path)
    lines, samples, bands = stored.shape
    path.with_suffix(".hdr").write_text(
        f"ENVI\nlines = {lines}\nsamples = {samples}\nbands = {bands}\ndata type = 12\n"
        f"interleave = bil\nbyte order = 0\nheader offset = 0\ntint = {exposure}\n"
    )
    return path


def save_capture(folder: Path) -> Path:
    """A folder of Specim IQ: the white panel was exposed half as long as the scene."""
    capture = folder / "capture"
    save_envi(capture / "042.raw", COUNTS, 10)
    line = np.ones((3, 20, 12))
    save_envi(capture / "DARKREF_042.raw", DARK * line, 10)
    save_envi(capture / "WHITEREF_042.raw", WHITE * line, 5)
    save_envi(capture / "WHITEDARKREF_042.raw", WHITE_DARK * line, 5)
    return capture / "042.raw"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("DARKREF_042.raw", "dark"), ("WHITEREF_042.raw", "white")),
        *(("WHITEDARKREF_042.raw", "white_dark"), ("darkReference", "dark")),
        *(("scene_white_ref.bil", "white"), ("dark-current.img", "dark")),
        *(("042.raw", None), ("dark_leaf.raw", None), ("whitefly.hdr", None)),
    ],
)
def test_references_are_known_by_their_names(name, kind):
    assert reference_kind(Path(name)) == kind


def test_a_capture_of_specim_iq_becomes_reflectance(tmp_path):
    cube_path = save_capture(tmp_path / "042")
    assert capture_cube(tmp_path / "042") == capture_cube(cube_path.parent) == cube_path
    expected = (COUNTS - DARK) / (2 * (WHITE - WHITE_DARK))
    cube = check_ingest(cube_path, expected.astype(np.float32))
    assert cube.units == "reflectance"
    assert any("--raw keeps counts" in line for line in cube.history)
    assert pair_sources([tmp_path / "042", tmp_path / "a.zarr"])[0][0] == cube_path
    assert main([str(tmp_path / "042"), str(tmp_path / "a.zarr")]) == 0


def test_raw_counts_are_kept_on_request(tmp_path):
    check_ingest(save_capture(tmp_path / "042"), COUNTS.astype(np.float32), raw=True)


@pytest.mark.parametrize("folder", ["042", "042/capture"])
def test_references_are_no_scenes_of_a_folder(tmp_path, folder):
    save_capture(tmp_path / "042")
    [cube] = open_cubes(tmp_path / folder, cache_folder=tmp_path / "cache")
    assert (cube.name, cube.units) == ("042", "reflectance")


def test_references_of_other_names_are_only_told(tmp_path, caplog):
    cube_path = save_envi(tmp_path / "leaf.raw", COUNTS, 10)
    white = save_envi(tmp_path / "white_reference_crop.raw", WHITE * np.ones((3, 20, 12)), 10)
    own, other = find_references(cube_path)
    assert (own.white, other.white) == (None, white)
    with caplog.at_level("INFO"):
        check_ingest(cube_path, COUNTS.astype(np.float32))
    assert f"give --white {white}" in caplog.text
