"""Runs whose files were damaged: refused by name, or the same answer; and the way on."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxhsi.predict import main as predict
from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.storage.file_lock import locked_folder
from jaxhsi.train import main as train
from jaxhsi.training.metrics_writer import read_metric_rows
from jaxhsi.unmixing_result import UnmixingResult
from jaxhsi.workflows.run_report import make_report
from jaxhsi.workflows.segmentation_files import read_run
from jaxhsi.workflows.segmentation_model import SegmentationModel, open_segmentation_model
from jaxhsi.workflows.unmix_run import load_finished_run
from tests.helpers.commands import DGC_ARGUMENTS, GMCR_ARGUMENTS
from tests.helpers.cubes import write_cube
from tests.helpers.damage import damages, files_read_back, strip_checksums
from tests.helpers.scenes import blobs

MIXTURES = (
    *("--mixture.num_components", "3", "--mixture.bands", "50", "--mixture.max_mixed", "2"),
    *("--mixture.snr_db", "30", "--num_samples", "40"),
)
IS_SEGMENTATION = {"dgc": True, "gmcr": False}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    cube = write_cube(folder / "field.zarr", blobs(0)[0])
    given = ("--steps", "2", "--save_every", "1", "--data", str(cube))
    assert train([*DGC_ARGUMENTS, *given, "--out", str(folder / "dgc")]) == 0
    assert train([*GMCR_ARGUMENTS, *MIXTURES, "--out", str(folder / "gmcr")]) == 0
    return {name: folder / name for name in IS_SEGMENTATION}


def answer(run: Path) -> str:
    """Digest of all that is read of a run, or the message by which it is refused."""
    try:
        report = make_report(run)
        if IS_SEGMENTATION[run.name]:
            fields = read_run(run)
            arrays = (*fields["cube_labels"], *fields["cube_confidence"])
            values = (fields["scores"], fields["state"], fields["cluster_tree"].cluster_names)
        else:
            result, model = UnmixingResult.load(run), load_finished_run(run)
            arrays, values = (result.concentrations, model.components), (model.component_names,)
    except (ValueError, OSError) as error:
        return str(error)
    contents = (report, repr(values), *(np.asarray(array).tobytes() for array in arrays))
    return hashlib.sha256(repr(contents).encode()).hexdigest()


@pytest.mark.parametrize("name", IS_SEGMENTATION)
def test_a_damaged_file_is_named_and_never_another_answer(runs, tmp_path, monkeypatch, name):
    run = shutil.copytree(runs[name], tmp_path / name)
    if IS_SEGMENTATION[name]:  # checkpoints have a test of their own
        state = open_segmentation_model(run).restore_state()
        monkeypatch.setattr(SegmentationModel, "restore_state", lambda model: state)
    expected, num_refused = answer(run), 0
    assert len(expected) == 64
    for path in files_read_back(run):
        if "checkpoints" in path.parts:
            continue
        whole = path.read_bytes()
        for content in damages(whole, 1):
            path.write_bytes(content)
            given = answer(run)
            assert given == expected or path.stem in given, (path, given)
            num_refused += given != expected
        path.write_bytes(whole)
    assert answer(run) == expected
    assert num_refused > 10


@pytest.mark.parametrize("name", IS_SEGMENTATION)
def test_a_run_of_an_earlier_version_is_read_with_a_notice(runs, tmp_path, caplog, name):
    run, expected = shutil.copytree(runs[name], tmp_path / name), answer(runs[name])
    strip_checksums(run)
    assert answer(run) == expected
    assert f"{run} was written by an earlier version, without checksums" in caplog.text
    # In a run of this version a checksum that is not there is damage.
    for config in ("config.yaml", "checkpoints/config.yaml"):
        earlier = (run / "config.yaml").read_bytes()
        shutil.copy(runs[name] / config, run / config)
        assert "is damaged" in answer(run)
        (run / "config.yaml").write_bytes(earlier)


def test_a_run_of_an_earlier_version_is_resumed(runs, tmp_path, capsys):
    run = shutil.copytree(runs["dgc"], tmp_path / "dgc")
    strip_checksums(run)
    assert train(["dgc", "--out", str(run), "--resume"]) == 0
    assert "is not checked for damage" in capsys.readouterr().err
    assert len(answer(run)) == 64
    assert "earlier version" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["scores.json", "result.npz", "components.csv"])
def test_a_report_says_which_file_of_an_unmixing_is_gone(runs, tmp_path, name):
    run = shutil.copytree(runs["gmcr"], tmp_path / "gmcr")
    (run / name).unlink()
    assert name in make_report(run)


def test_a_damaged_checkpoint_is_named(runs, tmp_path):
    run = shutil.copytree(runs["dgc"], tmp_path / "dgc")
    model, newest = open_segmentation_model(run), run / "checkpoints" / "2"
    for path in files_read_back(newest / "state")[::5]:
        whole = path.read_bytes()
        for content in damages(whole, 1):
            path.write_bytes(content)
            with pytest.raises(DamagedFileError, match=f"{newest} is damaged: .*--resume"):
                model.restore_state()
        path.write_bytes(whole)
    assert model.restore_state()[1] in (0, 1, 2)


def test_a_resumed_run_mends_what_is_damaged(runs, tmp_path, capsys):
    run = shutil.copytree(runs["dgc"], tmp_path / "dgc")
    expected = answer(run)
    (run / "config.yaml").write_text((run / "config.yaml").read_text()[:-30])
    (run / "tree.json").write_text("{}")
    (run / "labels" / "field.npy").write_bytes(b"")
    array = max((run / "checkpoints" / "2").rglob("*"), key=lambda path: path.stat().st_size)
    array.write_bytes(array.read_bytes()[:-1])
    assert predict([str(run), str(run.parent / "none.zarr")]) == 1
    message = capsys.readouterr().err
    assert "config.yaml is damaged" in message
    assert f"jaxhsi train dgc --out {run} --resume writes it anew" in message
    assert train(["dgc", "--out", str(run), "--resume"]) == 0
    message = capsys.readouterr().err
    assert "checkpoints/config.yaml takes its place" in message
    assert "the run goes on from step 1" in message
    read = [json.loads((each / "scores.json").read_text()) for each in (run, runs["dgc"])]
    for scores in read:
        del scores["seconds"], scores["sha256"]
    assert read[0] == read[1]
    for name in ("tree.json", "labels/field.npy"):
        assert (run / name).read_bytes() == (runs["dgc"] / name).read_bytes()
    rows = [read_metric_rows(each / "metrics.jsonl") for each in (run, runs["dgc"])]
    assert rows[0] == rows[1]
    assert len(answer(run)) == len(expected)


def test_metrics_that_were_cut_do_not_stop_a_resumed_run(runs, tmp_path, capsys):
    run = shutil.copytree(runs["dgc"], tmp_path / "dgc")
    (run / "metrics.jsonl").write_bytes(b"")
    assert train(["dgc", "--out", str(run), "--resume"]) == 0
    assert "metrics.jsonl is damaged: it is not as SHA256SUMS" in capsys.readouterr().err
    assert len(answer(run)) == 64


@pytest.mark.parametrize("name", IS_SEGMENTATION)
def test_a_run_that_is_being_written_is_left_alone(runs, name, capsys):
    before = {path: path.stat().st_mtime_ns for path in runs[name].iterdir()}
    with locked_folder(runs[name]):
        assert train([name, "--out", str(runs[name]), "--resume"]) == 1
    assert f"another process is writing {runs[name]}; wait" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in runs[name].iterdir()} == before
