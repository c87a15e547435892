"""Names from files are data: on screens, in figures, in tables and in pages."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich.table import Table

from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.zarr_writer import create_cube
from jaxhsi.evaluate import main as evaluate
from jaxhsi.group import main as group
from jaxhsi.report.__main__ import main as report
from jaxhsi.report.abundance_maps import draw_abundance_maps
from jaxhsi.report.csv_files import write_concentrations
from jaxhsi.report.figure_text import show_text_literally
from jaxhsi.report.gmcr_tables import component_table
from jaxhsi.report.spectra_plots import plot_components, plot_concentrations
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars
from tests.helpers.labelled_runs import make_labelled_run

HOSTILE = ("[/red]", "a$b_{$", "\x1b[31mred", "=1+1", "</script>")
SHOWN = ("[/red]", "a$b_{$", "\\x1b[31mred", "=1+1", "</script>")
"""The same as they are on a screen."""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run on two cubes, of which every class has a hostile name, and their label maps."""
    folder = tmp_path_factory.mktemp("hostile")
    names = ("field", "[/b] $x_{$")
    run = make_labelled_run(folder, cube_names=names, num_clusters=5, class_names=SHOWN)
    labels = np.arange(1600).reshape(40, 40, 1) % 5
    for name in names:
        path = run / "labels" / f"{name}.zarr"
        with create_cube(path, (40, 40, 1), np.int16, array="label") as store:
            store.write(labels.astype(np.int16)).result()
    polygons = [
        {"label": name, "shape_type": "rectangle", "points": [[8 * i, 0], [8 * i + 7, 39]]}
        for i, name in enumerate(HOSTILE)
    ]
    content = {"shapes": polygons, "imagePath": "field.png", "imageData": None}
    content |= {"imageHeight": 40, "imageWidth": 40, "version": "5", "flags": {}}
    (folder / "truth").mkdir()
    (folder / "truth" / "field.json").write_text(json.dumps(content))
    return run


def test_evaluate_shows_classes_as_they_are(run, capsys, tmp_path):
    given = (str(run), "--labels", str(run.parent / "truth"), "--out", str(tmp_path / "e.json"))
    assert evaluate([*given, "--unlabelled_outside"]) == 0
    assert set(json.loads((tmp_path / "e.json").read_text())["classes"]) == set(SHOWN)
    shown = capsys.readouterr()
    for name in SHOWN:
        assert f"IoU of {name}" in shown.out
    assert "\x1b" not in shown.out + shown.err


def test_group_and_report_show_groups_as_they_are(run, capsys, tmp_path):
    grouped = shutil.copytree(run, tmp_path / "run")
    groups = tmp_path / "groups.yaml"
    groups.write_text(yaml.safe_dump({name: [i] for i, name in enumerate(HOSTILE)}))
    assert group([str(grouped), "--groups", str(groups)]) == 0
    assert set(yaml.safe_load((grouped / "groups.yaml").read_text())) == set(SHOWN)
    with (grouped / "group_spectra.csv").open(newline="", encoding="utf-8") as file:
        assert {row["name"] for row in csv.DictReader(file)} == {*SHOWN[:3], "'=1+1", SHOWN[4]}
    assert report([str(grouped)]) == 0
    page = (grouped / "report.html").read_text()
    assert "</script>" not in page.partition('id="data"')[2].partition("</script>")[0]
    shown = capsys.readouterr()
    assert all(name in shown.out for name in SHOWN)
    assert "\x1b" not in shown.out + shown.err


def test_error_messages_do_not_act_on_the_terminal(run, capsys):
    assert group([str(run), "--groups", "\x1b[2J=99"]) == 1
    assert "\\x1b[2J" in (text := capsys.readouterr().err)
    assert "\x1b" not in text


def test_library_names_go_through_pictures_and_tables(tmp_path):
    rng = np.random.default_rng(0)
    spectra = rng.random((5, 7), np.float32)
    plot_components(tmp_path / "c.png", spectra, HOSTILE, axis_name="$\\frac{")
    plot_concentrations(tmp_path / "n.png", spectra, sample_names=SHOWN)
    maps, grey = list(rng.random((5, 6, 6))), np.zeros((6, 6, 3), np.uint8)
    draw_abundance_maps(tmp_path / "m.png", grey, maps, maps[0], HOSTILE, np.full(5, 0.2))
    table = SpectraTable(spectra, np.arange(5), sample_names=("-12 dB", "-1.5", "@x", "+y", "b"))
    write_concentrations(tmp_path / "concentrations", table, spectra[:, :5], HOSTILE)
    with (tmp_path / "concentrations.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[4] == "'=1+1"
    assert [row[0] for row in rows] == ["'-12 dB", "-1.5", "'@x", "'+y", "b"]


def test_only_numbers_at_axes_are_formulas():
    figure = Figure()
    panel = figure.add_subplot()
    panel.set_yscale("log")
    panel.set_xticks([0, 1], ["$a$", "b"])
    image = panel.scatter([0, 1], [1, 10], c=[0.1, 1], norm=LogNorm(0.01, 1))
    bar = figure.colorbar(image, label="$_{$")
    panel.set_title("$_{$")
    show_text_literally(figure)
    assert not panel.title.get_parse_math()
    assert not panel.get_xticklabels()[0].get_parse_math()
    assert panel.get_yticklabels()[0].get_parse_math()
    assert bar.ax.get_yticklabels()[0].get_parse_math()
    figure.savefig(io.BytesIO())


def test_the_console_shows_tables_and_bars_as_they_are():
    screen = io.StringIO()
    console = PlainConsole(file=screen, force_terminal=True, color_system=None, width=100)
    console.print(component_table([*HOSTILE, ":smile:"], [0.1] * 6, [1] * 6, None))
    console.print(Table("x", title="[/b]"))
    with ProgressBars(console) as bars:
        bars("cube [/red] \x1b[31m", 1, 2, "[/b]")
    shown = screen.getvalue()
    assert all(name in shown for name in (*SHOWN, ":smile:", "cube [/red] \\x1b[31m", "[/b]"))
    assert "\x1b[31m" not in shown
