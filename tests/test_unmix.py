"""The command, end to end on tiny data, and all that a user can get wrong."""

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxhsi.data.cube import open_cube
from jaxhsi.data.georeference import Georeference
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import Mixtures, mixtures
from jaxhsi.storage.checksums import text_with_checksum
from jaxhsi.train import main as train
from jaxhsi.training.stage_times import TIMES_FILE
from jaxhsi.training.tile_journal import TileJournal
from jaxhsi.unmix import main
from jaxhsi.workflows.unmixing_model_file import read_unmixing_model, write_unmixing_model
from tests.helpers.commands import GMCR_ARGUMENTS
from tests.helpers.cubes import write_cube

OPTIONS = MixtureOptions(num_components=3, bands=50, max_mixed=2, snr_db=30.0)
WAVES = np.linspace(400.0, 890.0, 50)
PLACE = Georeference("EPSG:32633", (2.0, 0.0, 430_000.0, 0.0, -2.0, 5_400_000.0), 1.0)


@pytest.fixture(scope="module")
def old() -> Mixtures:
    """What the run is trained on."""
    return jax.device_get(mixtures(jax.random.key(0), 40, OPTIONS))


@pytest.fixture(scope="module")
def new(old) -> Mixtures:
    """Others of the same components."""
    return jax.device_get(mixtures(jax.random.key(1), 10 * 12, OPTIONS, old.components))


@pytest.fixture(scope="module")
def run(tmp_path_factory, old) -> Path:
    """A run on a cube with wavelengths."""
    folder = tmp_path_factory.mktemp("unmix")
    cube = write_cube(folder / "old.zarr", old.data.reshape(5, 8, 50), wavelengths=WAVES)
    out = folder / "run"
    assert (
        train([*GMCR_ARGUMENTS, "--data", str(cube), "--num_pixels", "40", "--out", str(out)]) == 0
    )
    return out


@pytest.fixture(scope="module")
def cube(tmp_path_factory, new) -> Path:
    """A cube that lies somewhere, with a hole and a strange pixel."""
    values = new.data.reshape(10, 12, 50).copy()
    values[2, 3, 4] = np.nan
    values[7, 7] += np.random.default_rng(0).uniform(0, 3, 50).astype(np.float32)
    path = tmp_path_factory.mktemp("cube") / "east.zarr"
    return write_cube(path, values, wavelengths=WAVES + 1.0, georeference=PLACE)


def scores(folder: Path) -> dict:
    return json.loads((folder / "scores.json").read_text())


def table(path: Path) -> np.ndarray:
    with path.open() as file:
        return np.array([row[1:] for row in list(csv.reader(file))[1:]], float)


def refused(capsys, tmp_path, *arguments) -> str:
    """The message of a refused command; nothing may have been left behind."""
    out = tmp_path / "refused"
    assert main([*map(str, arguments), "--out", str(out)]) == 1
    assert not out.exists()
    message = capsys.readouterr().err
    assert "error: " in message
    return message


def test_a_run_unmixes_its_own_cube_as_it_did(run, tmp_path):
    data = run.parent / "old.zarr"
    assert main([str(run), str(data), "--out", str(tmp_path / "out")]) == 0
    for name in ("concentrations.csv", "concentrations/old.zarr"):
        one, two = run / name, tmp_path / "out" / name
        if one.is_file():
            assert one.read_text() == two.read_text()
        else:
            one, two = (open_cube(path).array.read().result() for path in (one, two))
            np.testing.assert_array_equal(one, two)
    then, now = scores(run)["cubes"]["old"], scores(tmp_path / "out")["cubes"]["old"]
    for name in ("r2", "poorly_explained", "mean_components", "signal_shares"):
        assert then[name] == pytest.approx(now[name], rel=1e-6)


def test_a_new_cube_leaves_all_that_is_promised(run, cube, new, tmp_path, capsys):
    out = tmp_path / "out"
    options = ("--refine_steps", "5", "--tile", "7", "--profile")
    assert main([str(run), str(cube), "--out", str(out), *options]) == 0
    found = open_cube(out / "concentrations" / "east.zarr")
    maps = found.array.read().result()
    assert maps.shape == (10, 12, 3)
    assert found.georeference == PLACE
    assert "unmixed by EB-gMCR into 3 components, 5 steps" in found.history
    assert np.isnan(maps[2, 3]).all()
    assert np.isnan(maps).any(-1).sum() == 1
    row = scores(out)["cubes"]["east"]
    assert (row["pixels"], row["invalid_pixels"]) == (119, 1)
    assert row["r2"] > 0.9
    assert row["poorly_explained"] == pytest.approx(1 / 119)
    assert 1 <= row["mean_components"] <= 2.2
    assert row["pixels_per_second"] > 0
    sums = np.sort(np.nansum(maps, (0, 1)))
    np.testing.assert_allclose(sums, np.sort(new.concentrations.sum(0)), rtol=0.15)
    assert (out / "pictures" / "east.png").stat().st_size > 5000
    assert not list(out.rglob("*partial*"))
    told = capsys.readouterr().out
    assert "concentrations/*.zarr" in told
    assert "profile of tiles or tables 2 to 4: open " in told
    stages = json.loads((out / "times.json").read_text())["stages"]
    assert {"start", "read", "unmix", "evaluate"} <= stages.keys()


def test_tables_one_and_several_in_the_default_folder(run, new, tmp_path, capsys):
    np.save(tmp_path / "a.npy", new.data)
    np.save(tmp_path / "b.npy", np.vstack([new.data[:1], np.zeros((1, 50), np.float32)]))
    assert main([str(run), str(tmp_path / "a.npy"), "--out", str(tmp_path / "out")]) == 0
    one = table(tmp_path / "out" / "concentrations.csv")
    assert one.shape == (120, 3)
    assert scores(tmp_path / "out")["tables"]["a"]["r2"] > 0.9
    strange = new.data + np.random.default_rng(1).uniform(0, 3, new.data.shape)
    np.save(tmp_path / "c.npy", strange)
    capsys.readouterr()
    assert main([str(run), *(str(tmp_path / f"{name}.npy") for name in "abc")]) == 0
    several = run / "unmixed" / "concentrations"
    np.testing.assert_array_equal(table(several / "a.csv"), one)
    np.testing.assert_allclose(table(several / "b.csv"), one[:1], rtol=1e-5, atol=1e-6)
    told = capsys.readouterr().out
    assert "1 of 2 spectra are all zero" in told
    assert "c: 100.0% of the spectra hold more than the components and noise explain" in told


def test_data_of_other_bands_axis_or_kind_are_refused(capsys, tmp_path, run, cube, new):
    few = write_cube(tmp_path / "few.zarr", new.data.reshape(10, 12, 50)[..., :-1])
    message = refused(capsys, tmp_path, run, few)
    assert f"the run {run} has 50" in message
    assert "few.zarr has 49" in message
    far = write_cube(tmp_path / "far.zarr", new.data.reshape(10, 12, 50), wavelengths=WAVES + 50)
    assert "far.zarr lie at other wavelengths" in refused(capsys, tmp_path, run, far)
    np.save(tmp_path / "few.npy", new.data[:, :-1])
    message = refused(capsys, tmp_path, run, tmp_path / "few.npy")
    assert "few.npy: its spectra have 49 bands" in message
    np.savez(tmp_path / "far.npz", data=new.data, wavelength=WAVES + 50)
    message = refused(capsys, tmp_path, run, tmp_path / "far.npz")
    assert "axis runs from 400 to 890" in message
    assert "far.npz" in message
    given = [run, tmp_path / "far.npz", "--tolerance", "60", "--out", tmp_path / "out"]
    assert main([*map(str, given)]) == 0
    message = refused(capsys, tmp_path, run, cube, tmp_path / "far.npz")
    assert "unmix one kind a time" in message
    assert "nowhere.npy" in refused(capsys, tmp_path, run, tmp_path / "nowhere.npy")
    message = refused(capsys, tmp_path, run, cube, "--refine_steps", "-1")
    assert "--refine_steps -1 is out of range" in message


def test_what_cannot_be_compared_or_known_is_told(run, cube, tmp_path, capsys):
    """An axis that is no wavelength, and mixing of every spectrum's own."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text((run / "config.yaml").read_text())
    model = read_unmixing_model(run / "solution.npz")
    other = {"axis": WAVES[::-1], "axis_name": "wavenumber", "mixing": "generalised_bilinear"}
    write_unmixing_model(folder / "solution.npz", replace(model, **other))
    assert main([str(folder), str(cube)]) == 0
    told = capsys.readouterr()
    assert "is wavenumber; wavelengths of cubes are not compared with it" in told.err
    assert "unmixed as linear mixtures" in told.out
    assert scores(folder / "unmixed")["cubes"]["east"]["r2"] > 0.9


def test_what_is_no_finished_run_is_refused(capsys, tmp_path, run, cube):
    assert "holds no run" in refused(capsys, tmp_path, tmp_path / "none", cube)
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.yaml").write_text((run / "config.yaml").read_text())
    message = refused(capsys, tmp_path, folder, cube)
    assert f"{folder} has no solution.npz" in message
    assert "--resume writes it" in message
    (folder / "config.yaml").write_text(text_with_checksum("command: gmcr\nmethod: upstream\n"))
    assert "a run of --method upstream" in refused(capsys, tmp_path, folder, cube)
    (folder / "config.yaml").write_text(text_with_checksum("command: dgc\nnum_clusters: 4\n"))
    assert "a run of another command" in refused(capsys, tmp_path, folder, cube)


def test_nothing_is_overwritten_unasked_and_a_run_never(capsys, tmp_path, run, new):
    np.save(tmp_path / "t.npy", new.data)
    given = [str(run), str(tmp_path / "t.npy"), "--out"]
    out = str(tmp_path / "out")
    assert main([*given, out]) == 0
    assert main([*given, out]) == 1
    assert "--overwrite deletes them" in capsys.readouterr().err
    assert main([*given, out, "--overwrite"]) == 0
    assert main([*given, str(run), "--overwrite"]) == 1
    assert "no concentrations and are left alone" in capsys.readouterr().err
    assert (run / "solution.npz").is_file()


@pytest.mark.parametrize("number", [2, 4])
def test_interrupted_maps_go_on_and_are_the_same(run, cube, tmp_path, monkeypatch, number):
    options = ("--tile", "6", "--refine_steps", "3")
    assert main([str(run), str(cube), "--out", str(tmp_path / "plain"), *options]) == 0
    unmixed = []

    def record_and_stop(journal, name, num_tiles):
        journal.tiles[name] = num_tiles
        TileJournal.write(journal)
        unmixed.append(num_tiles)
        if unmixed == list(range(1, number + 1)):
            raise KeyboardInterrupt

    monkeypatch.setattr(TileJournal, "record", record_and_stop)
    arguments = [str(run), str(cube), "--out", str(tmp_path / "out"), *options]
    with contextlib.suppress(KeyboardInterrupt):
        main(arguments)
    assert main(arguments) == 0
    assert unmixed == [1, 2, 3, 4]
    names = ("concentrations.csv", "pictures/east.png")
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    maps = [
        open_cube(tmp_path / folder / "concentrations" / "east.zarr").array.read().result()
        for folder in ("plain", "out")
    ]
    np.testing.assert_array_equal(*maps)


def test_missing_values_take_no_part(run, new, tmp_path, capsys):
    """A tenth of the values is missing: amounts are those of the whole spectra but for noise."""
    random = np.random.default_rng(0)
    values = new.data[:40].astype(object)
    values[random.random(values.shape) < 0.1] = ""
    header = ",".join(f"{wave:g}" for wave in WAVES)
    rows = "\n".join(",".join(str(value) for value in row) for row in values)
    (tmp_path / "gaps.csv").write_text(f"{header}\n{rows}\n")
    arguments = [str(run), str(tmp_path / "gaps.csv"), "--refine_steps", "100"]
    assert main([*arguments, "--out", str(tmp_path / "none")]) == 1
    assert "say --missing mask" in capsys.readouterr().err
    assert main([*arguments, "--missing", "mask", "--out", str(tmp_path / "out")]) == 0
    assert "take no part in the fit" in capsys.readouterr().out
    with (tmp_path / "out" / "concentrations.csv").open() as file:
        amounts = np.array([row[-3:] for row in list(csv.reader(file))[1:]], float)
    whole = read_unmixing_model(run / "solution.npz").transform(new.data[:40], 100)
    assert np.abs(amounts - whole).max() < 0.05 * whole.max()


# Parts --------------------------------------------------------------------------------------------


def in_parts(out: Path, arguments: list[str], count: int) -> None:
    """Unmix in parts, the last one first, and put them together."""
    arguments = [*arguments, "--out", str(out)]
    for number in range(count, 0, -1):
        assert main([*arguments, "--part", f"{number}/{count}"]) == 0
    assert main([*arguments, "--merge_parts"]) == 0


def result_files(folder: Path) -> dict[str, bytes]:
    """All files but those that hold the time or the path of the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("scores.json", "unmix.yaml", TIMES_FILE)
    }


def timeless_scores(folder: Path) -> dict:
    content = scores(folder)
    del content["sha256"]
    for kind in ("cubes", "tables"):
        for row in content.get(kind, {}).values():
            for name in [name for name in row if "second" in name]:
                del row[name]
    return content


def test_parts_of_cubes_put_together_are_those_of_all(run, cube, new, tmp_path, capsys):
    values = new.data.reshape(10, 12, 50)
    for name, rows, scale in (("b", slice(0, 4), 1), ("a", slice(4, 9), 1000), ("c", slice(9), 1)):
        write_cube(tmp_path / "cubes" / f"{name}.zarr", values[rows] * np.float32(scale))
    arguments = [str(run), str(cube), str(tmp_path / "cubes"), "--refine_steps", "2"]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    in_parts(tmp_path / "out", arguments, 3)
    assert "a.zarr" in timeless_scores(tmp_path / "whole")["warnings"][0]
    assert result_files(tmp_path / "out") == result_files(tmp_path / "whole")
    assert timeless_scores(tmp_path / "out") == timeless_scores(tmp_path / "whole")
    assert list(scores(tmp_path / "out")["cubes"]) == ["east", "a", "b", "c"]
    capsys.readouterr()
    assert main([*arguments, "--out", str(tmp_path / "out"), "--part", "1/3"]) == 1
    assert "holds concentrations already, to which no part can be added" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 3])
def test_parts_of_tables_put_together_are_those_of_all(run, new, tmp_path, count):
    paths = [tmp_path / f"{name}.npy" for name in "cab"[:count]]
    for path in paths:
        np.save(path, new.data[: 40 + ord(path.stem)])
    arguments = [str(run), *map(str, paths), "--fractions", "true"]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    in_parts(tmp_path / "out", arguments, 2)
    assert result_files(tmp_path / "out") == result_files(tmp_path / "whole")
    assert timeless_scores(tmp_path / "out") == timeless_scores(tmp_path / "whole")
