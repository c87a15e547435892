"""The command, end to end on tiny data, and all that a user can get wrong."""

import contextlib
import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import yaml

from jaxhsi.data.cube import open_cube
from jaxhsi.data.formats import envi_header
from jaxhsi.data.georeference import Georeference
from jaxhsi.predict import main
from jaxhsi.report.__main__ import main as report
from jaxhsi.storage.checksums import text_with_checksum
from jaxhsi.train import main as train
from jaxhsi.training.stage_times import TIMES_FILE
from jaxhsi.training.tile_journal import TileJournal
from jaxhsi.workflows import predict_parts
from tests.helpers.commands import DGC_ARGUMENTS
from tests.helpers.cubes import write_cube
from tests.helpers.scenes import BANDS, blobs

WAVES = np.linspace(400.0, 700.0, BANDS)
PLACE = Georeference("EPSG:32633", (2.0, 0.0, 430_000.0, 0.0, -2.0, 5_400_000.0), 1.0)


def field() -> np.ndarray:
    values = blobs(3, 72)[0][:, :60].copy()
    values[5, 7, 2] = np.nan
    return values


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run on one store with wavelengths."""
    folder = tmp_path_factory.mktemp("trained")
    cube = write_cube(folder / "field.zarr", blobs(0)[0], wavelengths=WAVES)
    given = ("--steps", "3", "--data", str(cube), "--out", str(folder / "run"))
    assert train([*DGC_ARGUMENTS, *given]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def cube(tmp_path_factory) -> Path:
    """Another one, which lies somewhere and has a hole."""
    path = tmp_path_factory.mktemp("cube") / "east.zarr"
    return write_cube(path, field(), wavelengths=WAVES + 1.0, georeference=PLACE)


def predicted(run: Path, cube: Path, out: Path, *options: str) -> np.ndarray:
    assert main([str(run), str(cube), "--out", str(out), *options]) == 0
    return np.load(out / "labels" / f"{cube.stem}.npy")


@pytest.fixture(scope="module")
def plain(run, cube, tmp_path_factory) -> Path:
    """Predictions with all defaults, and all files."""
    out = tmp_path_factory.mktemp("plain") / "out"
    predicted(run, cube, out, "--envi")
    return out


def test_what_was_trained_labels_its_own_cube_alike(run, tmp_path):
    data = json.loads((run / "cubes.json").read_text())["cubes"][0]["url"]
    again = predicted(run, Path(data), tmp_path / "out")
    np.testing.assert_array_equal(again, np.load(run / "labels" / "field.npy"))


def test_predictions_hold_all_that_they_promise(plain):
    labels = np.load(plain / "labels" / "east.npy")
    assert labels.shape == (72, 60)
    assert labels[5, 7] == -1
    assert sorted(np.unique(labels)) == [-1, 0, 1, 2]
    map_ = open_cube(plain / "labels" / "east.zarr")
    np.testing.assert_array_equal(map_.array.read().result()[..., 0], labels)
    assert map_.georeference == PLACE
    assert "labelled by DGC with 3 clusters after 3 steps" in map_.history
    confidence = open_cube(plain / "labels" / "east-confidence.zarr").array.read().result()
    assert (confidence[labels >= 0] > 1 / 3).all()
    assert (plain / "pictures" / "east.png").stat().st_size > 1000
    assert not list(plain.rglob("*partial*"))


def test_areas_are_counted_from_the_map(plain):
    found = json.loads((plain / "areas.json").read_text())
    labels = np.load(plain / "labels" / "east.npy")
    pixels = np.bincount(labels[labels >= 0], minlength=3)
    assert found["names"] == ["cluster 0", "cluster 1", "cluster 2"]
    assert found["cubes"]["east"]["pixel_area_m2"] == 4.0
    for listed in (found["cubes"]["east"], found["total"]):
        assert listed["invalid_pixels"] == 1
        assert [row["pixels"] for row in listed["areas"]] == pixels.tolist()
        assert [row["m2"] for row in listed["areas"]] == (4.0 * pixels).tolist()
        assert sum(row["share"] for row in listed["areas"]) == pytest.approx(1.0)
    rows = list(csv.DictReader((plain / "areas.csv").open()))
    assert [row["cube"] for row in rows] == ["east"] * 3 + ["all cubes"] * 3
    assert float(rows[1]["m2"]) == 4.0 * pixels[1]


def test_maps_go_to_other_programs_with_their_place(plain):
    rasterio = pytest.importorskip("rasterio")
    labels = np.load(plain / "labels" / "east.npy")
    with rasterio.open(plain / "labels" / "east.tif") as file:
        np.testing.assert_array_equal(file.read(1), np.where(labels < 0, 255, labels))
        assert file.crs.to_epsg() == 32633
        assert tuple(file.transform[:6]) == PLACE.transform
    with rasterio.open(plain / "labels" / "east.img") as file:
        np.testing.assert_array_equal(file.read(1), labels + 1)
        assert file.crs.to_epsg() == 32633


def test_spectra_of_clusters_are_those_of_their_pixels(plain, cube):
    labels = np.load(plain / "labels" / "east.npy")
    values = open_cube(cube).array.read().result()
    rows = list(csv.reader((plain / "spectra.csv").open()))
    assert rows[0][:5] == ["cluster", "name", "pixels", "statistic", "axis"]
    np.testing.assert_allclose(np.array(rows[0][5:], float), WAVES + 1.0)
    for label in range(3):
        pixels = values[labels == label].astype(np.float64)
        mean, deviation, *quartiles = rows[1 + 5 * label : 6 + 5 * label]
        assert mean[:5] == [str(label), f"cluster {label}", str(len(pixels)), "mean", "nm"]
        np.testing.assert_allclose(np.array(mean[5:], float), pixels.mean(0), rtol=1e-6)
        spread = pixels.std(0, ddof=1)
        np.testing.assert_allclose(np.array(deviation[5:], float), spread, rtol=1e-4)
        for row, share in zip(quartiles, (0.25, 0.5, 0.75), strict=True):
            error = np.array(row[5:], float) - np.quantile(pixels, share, axis=0)
            assert (np.abs(error) < 0.4 * spread).all()  # of a sample of 512 pixels


def test_polygons_and_styles_lie_beside_a_map_with_a_place(plain):
    pyogrio = pytest.importorskip("pyogrio")
    meta, _, _, columns = pyogrio.raw.read(plain / "labels" / "east-polygons.gpkg")
    table = dict(zip(meta["fields"], columns, strict=True))
    labels = np.load(plain / "labels" / "east.npy")
    pixels = np.bincount(labels[labels >= 0], minlength=3)
    assert meta["crs"] == "EPSG:32633"
    assert table["pixels"].tolist() == pixels.tolist()
    assert table["area_m2"].tolist() == (4.0 * pixels).tolist()
    confidence = open_cube(plain / "labels" / "east-confidence.zarr").array.read().result()[..., 0]
    for label in range(3):
        mean = confidence[labels == label].astype(float).mean()
        assert table["confidence"][label] == pytest.approx(mean, abs=0.01)
    assert len(json.loads(table["mean_spectrum"][0])) == BANDS
    for name in ("east.qml", "east-polygons.qml"):
        assert "cluster 2" in (plain / "labels" / name).read_text()


def test_groups_of_another_run_are_refused(run, cube, tmp_path, capsys):
    groups = tmp_path / "groups.yaml"
    for text, why in (
        ("# tree: 0123456789ab\na: [0, 1, 2]\n", "another run"),
        ("a: [0, 3]\n", "names cluster 3; there are 0 to 2"),
        ("a: [0]\nb: [1]\na: [2]\n", "'a' is given twice"),
    ):
        groups.write_text(text)
        out = ("--groups", str(groups), "--out", str(tmp_path / "out"))
        assert main([str(run), str(cube), *out]) == 1
        error = capsys.readouterr().err
        assert str(groups) in error
        assert why in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tile", [32, 100])
def test_every_pixel_is_the_same_whatever_the_tiles(run, cube, plain, tmp_path, tile):
    labels = predicted(run, cube, tmp_path / "out", "--tile_size", str(tile))
    np.testing.assert_array_equal(labels, np.load(plain / "labels" / "east.npy"))


def test_merged_maps_hold_groups_under_their_names(run, cube, plain, tmp_path):
    merge = ("--groups", "background=2 tissue=0")
    labels = predicted(run, cube, tmp_path / "out", *merge, "--pixel_size", "0.5")
    clusters = np.load(plain / "labels" / "east.npy")
    np.testing.assert_array_equal(labels, np.array([1, 2, 0, -1])[clusters])
    saved = yaml.safe_load((tmp_path / "out" / "groups.yaml").read_text())
    assert saved == {"background": [2], "tissue": [0], "cluster 1": [1]}
    found = json.loads((tmp_path / "out" / "areas.json").read_text())
    assert found["names"] == list(saved)
    assert found["total"]["areas"][0]["m2"] == 0.25 * (clusters == 2).sum()
    history = open_cube(tmp_path / "out" / "labels" / "east.zarr").history
    assert "0 background (2); 1 tissue (0); 2 cluster 1 (1)" in history[-1]
    saved_groups = str(tmp_path / "out" / "groups.yaml")
    options = ("--groups", saved_groups, "--devices", "3", "--tile_size", "16")
    again = predicted(run, cube, tmp_path / "b", *options)
    np.testing.assert_array_equal(again, labels)


def test_the_scale_is_kept_in_maps_where_only_the_size_of_a_pixel_is_known(run, tmp_path, capsys):
    rasterio = pytest.importorskip("rasterio")
    np.save(tmp_path / "bench.npy", blobs(4)[0])
    options = ("--pixel_size", "0.5mm", "--geotiff", "--envi", "--out", str(tmp_path / "out"))
    groups = ("--groups", "leaf=0 lesion=1 soil=2", "--share_of", "Leaf, lesion")
    assert main([str(run), str(tmp_path / "bench.npy"), *options, *groups]) == 0
    with rasterio.open(tmp_path / "out" / "labels" / "bench.tif") as file:
        assert (file.transform.a, file.transform.e) == (0.0005, -0.0005)
        assert float(file.tags()["TIFFTAG_XRESOLUTION"]) == pytest.approx(20.0)  # pixels a cm
    header = (tmp_path / "out" / "labels" / "bench.hdr").read_text()
    assert re.search(r"map info = .*0\.0005, 0\.0005, units=Meters", header)
    found = json.loads((tmp_path / "out" / "areas.json").read_text())
    pixels = [row["pixels"] for row in found["total"]["areas"]]
    assert [row["m2"] for row in found["total"]["areas"]] == pytest.approx(
        [count * 0.0005**2 for count in pixels]
    )
    shares = [row["share_of_chosen"] for row in found["total"]["areas"]]
    assert shares[:2] == pytest.approx([count / sum(pixels[:2]) for count in pixels[:2]])
    assert shares[2] is None
    shown = capsys.readouterr().out
    assert "mm2" in shown
    assert "of leaf, lesion" in shown
    assert "clusters" not in shown
    assert "│ group" in shown.replace("┃", "│")
    rows = list(csv.DictReader((tmp_path / "out" / "areas.csv").open()))
    assert float(rows[0]["share of leaf, lesion"]) == pytest.approx(shares[0], abs=1e-6)
    assert rows[0]["group"] == "0"


def test_several_cubes_in_files_and_folders_and_the_default_folder(run, tmp_path):
    folder = tmp_path / "cubes"
    folder.mkdir()
    for name in "ab":
        np.save(folder / f"{name}.npy", blobs(4)[0][: 30 if name == "a" else 48])
    np.save(tmp_path / "c.npy", blobs(5)[0])
    assert main([str(run), str(folder), str(tmp_path / "c.npy")]) == 0
    found = json.loads((run / "predictions" / "areas.json").read_text())
    assert list(found["cubes"]) == ["a", "b", "c"]
    assert found["total"]["areas"][0]["m2"] is None
    assert np.load(run / "predictions" / "labels" / "a.npy").shape == (30, 48)
    assert not list((run / "predictions").rglob("*.tif"))  # they lie nowhere


def test_upstreams_runs_standardise_each_cube(tmp_path):
    values = blobs(6)[0]
    cube = write_cube(tmp_path / "a.zarr", values)
    given = (
        *("dgc", "--method", "upstream", "--stream.standardise_cubes", "true", "--steps", "1"),
        *("--upstream_encoder.embed_dim", "4", "--views.crop", "12", "--stream.batch_size", "1"),
        *("--devices", "1", "--num_clusters", "2", "--data", str(cube)),
    )
    assert train([*given, "--out", str(tmp_path / "run")]) == 0
    trained = np.load(tmp_path / "run" / "labels" / "a.npy")
    # In other units the standardised cube is the same.
    scaled = write_cube(tmp_path / "other" / "a.zarr", values * 8)
    np.testing.assert_array_equal(predicted(tmp_path / "run", scaled, tmp_path / "out"), trained)


def refused(capsys, tmp_path, run: Path, *arguments: str) -> str:
    """The message of a refused command; nothing may have been left behind."""
    out = tmp_path / "refused"
    assert main([str(run), *arguments, "--out", str(out)]) == 1
    assert not out.exists()
    message = capsys.readouterr().err
    assert "error: " in message
    return message


def test_cubes_of_other_bands_are_refused_and_both_are_named(capsys, tmp_path, run):
    few = write_cube(tmp_path / "few.zarr", blobs(0)[0][..., :-1])
    message = refused(capsys, tmp_path, run, str(few))
    assert str(run) in message
    assert "few.zarr" in message
    assert f"{BANDS} " in message


def test_of_cubes_with_more_bands_those_of_the_run_are_read(run, tmp_path, capsys, cube):
    values, places = open_cube(cube).array.read().result(), np.arange(BANDS) * 2
    more = np.full((*values.shape[:2], 2 * BANDS), 7.0, np.float32)
    more[..., places] = values
    waves = np.repeat(WAVES, 2) + np.tile([1.0, 9.0], BANDS)
    store = write_cube(tmp_path / "east.zarr", more, wavelengths=waves)
    expected = predicted(run, cube, tmp_path / "own")
    np.testing.assert_array_equal(predicted(run, store, tmp_path / "more"), expected)
    assert f"{BANDS} of {2 * BANDS} bands read" in capsys.readouterr().err
    other = write_cube(tmp_path / "other.zarr", more, wavelengths=waves + 300)
    assert "no band of its own at each" in refused(capsys, tmp_path, run, str(other))


def test_cubes_of_other_wavelengths_are_refused_unless_they_are_near(capsys, tmp_path, run):
    off = write_cube(tmp_path / "off.zarr", blobs(0)[0], wavelengths=WAVES + 20.0)
    message = refused(capsys, tmp_path, run, str(off))
    assert str(run) in message
    assert "off.zarr" in message
    assert "more than 13.6364 nm apart" in message
    predicted(run, off, tmp_path / "out", "--tolerance", "21")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--groups", "a=3"), "names cluster 3; there are 0 to 2"),
        (("--groups", "a=0 b=0"), "named twice"),
        (("--groups", "nowhere.yaml"), "no file at nowhere.yaml"),
        (("--tile_size", "0"), "--tile_size 0 is out of range"),
        (("--pixel_size", "-1"), "--pixel_size -1.0 is out of range"),
        (("--pixel_size", "2 ells"), "--pixel_size 2 ells is no length; give metres, or"),
        (("--share_of", "clust"), "there is no group 'clust'; did you mean cluster 0?"),
    ],
)
def test_options_that_cannot_be_are_refused(capsys, tmp_path, run, cube, options, words):
    assert words in refused(capsys, tmp_path, run, str(cube), *options)


def test_a_merge_file_of_another_form_is_named(capsys, tmp_path, run, cube):
    for text in ("- 1\n", "a: [x]\n", "a: [1\n", "a: [true]\n"):
        (tmp_path / "groups.yaml").write_text(text)
        given = ("--groups", str(tmp_path / "groups.yaml"))
        message = refused(capsys, tmp_path, run, str(cube), *given)
        assert "groups.yaml does not hold groups" in message


def test_what_is_no_run_is_refused(capsys, tmp_path, run, cube):
    assert "holds no run" in refused(capsys, tmp_path, tmp_path / "none", str(cube))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.yaml").write_text((run / "config.yaml").read_text())
    assert "has no cubes.json" in refused(capsys, tmp_path, tmp_path / "old", str(cube))
    other = text_with_checksum("command: gmcr\nnum_candidates: 5\n")
    (tmp_path / "old" / "config.yaml").write_text(other)
    assert "a run of another command" in refused(capsys, tmp_path, tmp_path / "old", str(cube))
    other = text_with_checksum("command: dgc\nnum_clusters: 5\nflavour: 7\n")
    (tmp_path / "old" / "config.yaml").write_text(other)
    (tmp_path / "old" / "cubes.json").write_text("{}")
    assert "options of this version" in refused(capsys, tmp_path, tmp_path / "old", str(cube))


def test_a_run_without_a_checkpoint_is_named(capsys, tmp_path, run, cube):
    (tmp_path / "young").mkdir()
    for name in ("config.yaml", "cubes.json"):
        (tmp_path / "young" / name).write_text((run / name).read_text())
    assert "no checkpoint in" in refused(capsys, tmp_path, tmp_path / "young", str(cube))
    assert not (tmp_path / "young" / "checkpoints").exists()


def test_predictions_are_not_overwritten_unasked_and_a_run_never(capsys, tmp_path, run, cube):
    predicted(run, cube, tmp_path / "out")
    given = [str(run), str(cube), "--out"]
    assert main([*given, str(tmp_path / "out")]) == 1
    assert "--overwrite deletes them" in capsys.readouterr().err
    assert main([*given, str(tmp_path / "out"), "--overwrite"]) == 0
    assert main([*given, str(run), "--overwrite"]) == 1
    assert "no predictions and are left alone" in capsys.readouterr().err
    assert (run / "scores.json").is_file()


def test_cubes_in_other_units_are_refused_and_a_scale_helps(run, tmp_path, capsys):
    values = blobs(0)[0]
    np.save(tmp_path / "percent.npy", 100 * values)
    options = ("--out", str(tmp_path / "out"), "--layout", "hwc")
    assert main([str(run), str(tmp_path / "percent.npy"), *options]) == 1
    error = capsys.readouterr().err
    assert "is in other units" in error
    assert "give --scale 0.01" in error
    labels = predicted(
        run, tmp_path / "percent.npy", tmp_path / "out", *options[2:], "--scale", "0.01"
    )
    np.testing.assert_array_equal(labels, np.load(run / "labels" / "field.npy"))


def stop_after(number: int, monkeypatch) -> None:
    """The next command is interrupted when so many tiles are on disk."""
    record = TileJournal.record

    def record_and_stop(journal, name, num_tiles):
        record(journal, name, num_tiles)
        if num_tiles == number:
            raise KeyboardInterrupt

    monkeypatch.setattr(TileJournal, "record", record_and_stop)


def result_files(folder: Path) -> dict[str, bytes]:
    """All files but those that hold the time or the path of the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".gpkg", ".yaml") and path.name != TIMES_FILE
    }


@pytest.mark.parametrize("number", [1, 4, 6])
def test_an_interrupted_prediction_goes_on_and_is_the_same(
    run, cube, plain, tmp_path, monkeypatch, capsys, number
):
    with monkeypatch.context() as patches:
        stop_after(number, patches)
        with contextlib.suppress(KeyboardInterrupt):
            main([str(run), str(cube), "--out", str(tmp_path / "out"), "--envi"])
    assert not (tmp_path / "out" / "labels" / "east.npy").exists()
    predicted(run, cube, tmp_path / "out", "--envi")
    assert f"after {number} tiles" in " ".join(capsys.readouterr().out.split())
    assert result_files(tmp_path / "out") == result_files(plain)


def test_other_options_begin_an_interrupted_prediction_anew(
    run, cube, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    with monkeypatch.context() as patches:
        stop_after(3, patches)
        with contextlib.suppress(KeyboardInterrupt):
            main([str(run), str(cube), "--out", str(out), "--profile"])
    assert "profile of tiles 2 to 3: open " in capsys.readouterr().out
    assert list(out.glob("profile/plugins/profile/*/*.trace.json.gz"))
    labels = predicted(run, cube, out, "--cut", "2")
    assert "begun anew: options or data were others" in " ".join(capsys.readouterr().out.split())
    stages = json.loads((out / TIMES_FILE).read_text())["stages"]
    assert {"start", "read", "label", "export"} <= stages.keys()
    assert labels.max() == 1
    assert not (out / "progress.json").exists()


HOSTILE = ('[/red] $_{$ "x"', "=1+1 </script> \x1b[31m", "a,b}; {c}\nd <e> & 'f'")
SHOWN = (HOSTILE[0], "=1+1 </script> \\x1b[31m", "a,b}; {c} d <e> & 'f'")


def test_names_of_others_go_through_all_files(run, tmp_path, capsys):
    cube = write_cube(
        tmp_path / "[b] $x_{$ <i>.zarr", field(), wavelengths=WAVES, georeference=PLACE
    )
    groups = tmp_path / "groups.yaml"
    members = {name: [i] for i, name in enumerate(HOSTILE)}
    groups.write_text(yaml.safe_dump(members, sort_keys=False))
    out = tmp_path / "out"
    predicted(run, cube, out, "--groups", str(groups), "--envi")
    assert report([str(out)]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert json.loads((out / "areas.json").read_text())["names"] == list(SHOWN)
    with (out / "areas.csv").open(newline="", encoding="utf-8") as file:
        names = {row["name"] for row in csv.DictReader(file)}
    assert names == {SHOWN[0], f"'{SHOWN[1]}", SHOWN[2]}
    page = (out / "report.html").read_text()
    assert "</script>" not in page.partition('id="data"')[2].partition("</script>")[0]
    stem = out / "labels" / cube.stem
    header = envi_header.read_header(stem.with_name(f"{stem.name}.hdr"))
    assert len(header["class names"]) == 4
    for suffix in (".qml", "-polygons.qml"):
        style = ElementTree.parse(stem.with_name(f"{stem.name}{suffix}"))
        labels = [each.get("label") for each in style.iter() if each.get("label") is not None]
        assert labels == list(SHOWN)
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(stem.with_name(f"{stem.name}.tif")) as file:
        tags = file.tags(1)
    assert [tags[f"CLASS_{i}"] for i in range(3)] == list(SHOWN)


# Parts --------------------------------------------------------------------------------------------


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def test_parts_put_together_are_the_prediction_of_all(run, tmp_path, monkeypatch, capsys):
    """One part is interrupted, one is a task of an array, and so is the putting together."""
    paths = [str(tmp_path / f"{name}.zarr") for name in "cab"]  # the sums depend on the order
    for number, path in enumerate(paths):
        waves = None if number == 2 else WAVES + number
        write_cube(Path(path), field()[10 * number : 10 * number + 40], wavelengths=waves)
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main([str(run), *paths, "--out", str(whole), "--envi"]) == 0
    given = [str(run), *paths, "--out", str(out), "--envi"]
    with monkeypatch.context() as patches:
        stop_after(2, patches)
        assert main([*given, "--part", "1/2"]) == 130
    capsys.readouterr()
    for name, value in (("ID", "7"), ("COUNT", "2"), ("MIN", "3"), ("STEP", "4")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert main(given) == 0
    told = capsys.readouterr().err
    assert "part 2/2 of the Slurm array (--part 1/1 takes all): 1 of 3 cubes: c" in told
    assert main([*given, "--merge_parts"]) == 1
    error = capsys.readouterr().err
    assert "part 1 of 2 is missing or not complete" in error
    assert f"jaxhsi predict {run} {' '.join(paths)} --out {out} --part 1/2 --envi" in error
    assert main([*given, "--part", "1/1"]) == 1
    assert "the same command with --merge_parts puts them together" in capsys.readouterr().err
    assert main([*given, "--part", "1/2"]) == 0
    assert "after 2 tiles" in " ".join(capsys.readouterr().out.split())
    with monkeypatch.context() as patches:
        patches.setattr(predict_parts, "write_summary", interrupt)
        assert main([*given, "--merge_parts"]) == 130
    assert main([*given, "--merge_parts"]) == 0
    assert result_files(out) == result_files(whole)
    texts = [(folder / "predict.yaml").read_text() for folder in (out, whole)]
    lines = [text.splitlines()[:-1] for text in texts]  # without the checksum
    assert lines[0] == [line.replace(str(whole), str(out)) for line in lines[1]]


def test_parts_without_a_cube_or_beside_whole_results_write_nothing(run, cube, plain, capsys):
    given = [str(run), str(cube), "--out"]
    assert main([*given, str(plain.parent / "none"), "--part", "2/7"]) == 0
    assert "part 2/7: 0 of 1 cubes: none is left for it" in capsys.readouterr().err
    assert not (plain.parent / "none").exists()
    assert main([*given, str(plain), "--part", "1/2"]) == 1
    assert "to which no part can be added" in capsys.readouterr().err
    assert not (plain / "parts").exists()
