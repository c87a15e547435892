"""Cubes unmixed tile by tile: what is written, counted and replaced."""

import json

import numpy as np
import pytest

from jaxhsi.data.cube import open_cube
from jaxhsi.data.windows import read_window
from jaxhsi.workflows import abundance_maps
from jaxhsi.workflows.abundance_maps import Unmixer, unmix_cubes
from jaxhsi.workflows.fit_counts import count_scores, count_spectra
from jaxhsi.workflows.unmixing_model import FitEvaluation
from tests.helpers.cubes import make_cube

RNG = np.random.default_rng(0)
NAMES = ("a", "b")


def explain(spectra, found) -> FitEvaluation:
    """Everything is noise, but for spectra whose first value is beyond 0.9."""
    misfit = np.where(spectra[:, 0] > 0.9, 100, 1).astype(np.float32)
    return FitEvaluation(spectra, np.pad(found, ((0, 0), (0, 2))), misfit)


@pytest.fixture
def unmixer() -> Unmixer:
    """Concentrations are the first two bands."""
    return Unmixer(NAMES, np.ones(2, np.float32), lambda x: x[:, :2], explain)


@pytest.fixture
def cube(tmp_path):
    values = RNG.uniform(size=(7, 9, 4)).astype(np.float32)
    values[3, 5] = np.nan
    return make_cube(tmp_path, "scene", values, history=["measured"])


@pytest.mark.parametrize("tile", [3, 4, 64])
def test_every_pixel_is_written_whatever_the_tiles(tmp_path, cube, unmixer, tile):
    read = []

    def unmix(pixels):
        read.append(len(pixels))
        return pixels[:, :2]

    out = tmp_path / "out"
    where, scores = unmix_cubes(out, [cube], unmixer._replace(transform=unmix), ["unmixed"], tile)
    assert where == "concentrations.csv, and as maps in concentrations/*.zarr"
    assert max(read) <= tile**2
    assert sum(read) == 62
    found = open_cube(out / "concentrations" / "scene.zarr")
    values = cube.array.read().result()
    np.testing.assert_array_equal(found.array.read().result(), values[..., :2])
    last = "bands are concentrations of the components: 0 a; 1 b"
    assert found.history == ("measured", "unmixed", last)
    assert not read_window(found, 3, 5, 1, 1)[1].any()
    lines = (out / "concentrations.csv").read_text().splitlines()
    assert len(lines) == 63
    assert lines[0] == "sample,a,b"
    assert lines[1].startswith("scene y0 x0,")
    kept = values[np.isfinite(values).all(-1)]
    row = scores["scene"]
    assert (row["pixels"], row["invalid_pixels"]) == (62, 1)
    assert row["poorly_explained"] == pytest.approx((kept[:, 0] > 0.9).mean())
    total = ((kept - kept.mean(0)) ** 2).sum()
    assert row["r2"] == pytest.approx(1 - (kept[:, 2:] ** 2).sum() / total, abs=1e-4)
    assert row["signal_shares"] == pytest.approx(list(kept[:, :2].sum(0) / kept[:, :2].sum()))
    assert row["mean_components"] == 2
    json.dumps(scores)
    assert (out / "pictures" / "scene.png").stat().st_size > 2000


def test_a_long_table_is_left_out_and_earlier_maps_are_replaced(
    tmp_path, cube, unmixer, monkeypatch
):
    monkeypatch.setattr(abundance_maps, "MAX_CSV_ROWS", 5)
    for _ in range(2):
        where, _ = unmix_cubes(tmp_path / "out", [cube], unmixer)
    assert "more than the 5 pixels" in where
    assert not (tmp_path / "out" / "concentrations.csv").exists()
    assert not list((tmp_path / "out").glob("*.partial"))


def test_what_breaks_in_the_middle_leaves_earlier_maps(tmp_path, cube, unmixer):
    unmix_cubes(tmp_path / "out", [cube], unmixer)

    def broken(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unmix_cubes(tmp_path / "out", [cube], unmixer._replace(transform=broken))
    assert open_cube(tmp_path / "out" / "concentrations" / "scene.zarr").shape == (7, 9, 2)


def test_a_cube_without_a_valid_pixel_has_no_scores(tmp_path, unmixer):
    cube = make_cube(tmp_path, "void", np.full((3, 3, 4), np.nan, np.float32))
    _, scores = unmix_cubes(tmp_path / "out", [cube], unmixer)
    assert scores["void"]["r2"] is None
    assert scores["void"]["pixels"] == 0


def test_few_bands_need_more_than_twice_the_noise():
    """Of four bands and one component three degrees of freedom are left: 1 + 5 sqrt(2 / 3)."""
    x = np.ones((2, 4), np.float32)
    explained = FitEvaluation(x, x, np.array([5.0, 5.2], np.float32))
    found = count_spectra(explained, np.ones((2, 1), np.float32), np.ones(1, np.float32))
    assert found.poorly_explained == 1
    both = found + found
    assert (both.valid_spectra, both.poorly_explained, both.component_usage[0]) == (4, 2, 4)
    assert count_scores(both, 2.0, "spectra")["spectra_per_second"] == 2
