"""The report in a real browser: what it shows, and that its groups are those that predict takes.

Skipped where no Chromium is installed.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

from jaxhsi.predict import main as predict
from jaxhsi.report.__main__ import main as report
from jaxhsi.train import main as train
from jaxhsi.workflows.run_report import make_report
from tests.helpers.commands import DGC_ARGUMENTS, GMCR_ARGUMENTS
from tests.helpers.cubes import write_cube
from tests.helpers.labelled_runs import make_labelled_run
from tests.helpers.scenes import BANDS, blobs

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
MISCHIEF = "</script><img src=x onerror=alert(1)> = \"a\"\n'b': [é]"
"""A name of a group that is HTML, a formula, quotes, two lines and more."""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as tools:
        # Without a sandbox, which containers do not allow: the page is our own.
        chromium = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of five clusters on two cubes with a place, with truth."""
    folder = tmp_path_factory.mktemp("report")
    waves = np.linspace(400.0, 700.0, BANDS)
    for seed, name in enumerate(("east", "west")):
        values, truth = blobs(seed)
        write_cube(folder / "cubes" / f"{name}.zarr", values, wavelengths=waves)
        (folder / "truth").mkdir(exist_ok=True)
        np.save(folder / "truth" / f"{name}.npy", truth)
    given = ("--data", folder / "cubes", "--labels", folder / "truth", "--out", folder / "run")
    options = ("--steps", "3", "--num_clusters", "5", *map(str, given))
    assert train([*DGC_ARGUMENTS, *options]) == 0
    return folder / "run"


@contextmanager
def opened(browser, path: Path, **options) -> Iterator:
    """A page without a word in its console, which asks the network for nothing."""
    messages, requests = [], []
    page = browser.new_page(accept_downloads=True, **options)
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=true]")
    yield page
    page.close()
    assert messages == []
    assert [u for u in requests if not u.startswith(("file:", "data:", "blob:"))] == []


def move(page, slider: str, value: int) -> None:
    page.eval_on_selector(
        f"#{slider}",
        "(s, v) => { s.value = v; s.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


def saved(page, button: str, path: Path) -> Path:
    with page.expect_download() as download:
        page.click(f"#{button}")
    download.value.save_as(path)
    return path


def counted(labels: np.ndarray, num_labels: int) -> list[int]:
    return np.bincount(labels[labels >= 0].ravel(), minlength=num_labels).tolist()


def pixels_shown(page) -> list[int]:
    cells = page.locator("#groups tbody tr td:nth-child(6)").all_inner_texts()
    return [int(cell.replace(",", "")) for cell in cells]


def test_groups_made_by_hand_label_cubes_as_the_report_shows(browser, run, tmp_path):
    tree = json.loads((run / "tree.json").read_text())
    labels = np.load(run / "labels" / "east.npy")
    with opened(browser, run / "report.html") as page:
        assert pixels_shown(page) == counted(labels, 5)
        move(page, "granularity", 4)
        cut = np.array(tree["cuts"]["4"]["groups"])
        assert pixels_shown(page) == counted(cut[labels], 4)
        for row in (0, 2):
            page.locator("#groups tbody tr").nth(row).locator("input[type=checkbox]").check()
        page.click("#merge")
        merged = np.array([0, 1, 0, 2])[cut]
        assert pixels_shown(page) == counted(merged[labels], 3)
        name = page.locator("#groups tbody tr").nth(0).locator("input[type=text]")
        name.evaluate(
            "(i, v) => { Object.defineProperty(i, 'value', { value: v, writable: true });"
            " i.dispatchEvent(new Event('change')); }",
            MISCHIEF,
        )
        groups = saved(page, "export", tmp_path / "groups.yaml")
    members = yaml.safe_load(groups.read_text())
    assert next(iter(members)) == MISCHIEF
    assert [sorted(each) for each in members.values()] == [
        np.flatnonzero(merged == group).tolist() for group in range(3)
    ]
    cube = json.loads((run / "cubes.json").read_text())["cubes"][0]["url"]
    out = tmp_path / "out"
    assert predict([str(run), cube, "--groups", str(groups), "--out", str(out)]) == 0
    np.testing.assert_array_equal(
        np.load(out / "labels" / "east.npy"), np.where(labels < 0, -1, merged[labels])
    )
    # The report of the prediction holds the name as text.
    assert report([str(out)]) == 0
    with opened(browser, out / "report.html") as page:
        shown = page.locator("#groups tbody tr").nth(0).locator("input[type=text]").input_value()
        assert shown == MISCHIEF.replace("\n", " ")  # names are on one line
        assert page.locator("img[src=x]").count() == 0


def test_areas_follow_the_confidence(browser, run):
    labels = np.load(run / "labels" / "east.npy")
    with opened(browser, run / "report.html") as page:
        before = sum(pixels_shown(page))
        move(page, "confidence", 100)
        assert 0 <= sum(pixels_shown(page)) < before == (labels >= 0).sum()
        page.click("#undo", force=True)
        move(page, "confidence", 0)
        assert sum(pixels_shown(page)) == before


def test_a_pixel_is_read_by_the_keyboard_and_changes_are_undone(browser, run):
    labels = np.load(run / "labels" / "east.npy")
    with opened(browser, run / "report.html") as page:
        page.focus("#map")
        page.keyboard.press("ArrowRight")
        shown = page.inner_text("#readout")
        assert shown.startswith("Row 24, column 25: ")
        assert f"cluster {labels[24, 25]}, confidence" in shown
        assert "pixel at row 24, column 25" in page.inner_text("#spectrum-note")
        move(page, "granularity", 2)
        assert len(pixels_shown(page)) == 2
        page.click("#undo")
        assert len(pixels_shown(page)) == 5
        assert page.input_value("#granularity") == "5"


def test_names_that_cannot_be_read_back_are_refused(browser, run):
    with opened(browser, run / "report.html") as page:
        name = page.locator("#groups tbody tr").nth(1).locator("input[type=text]")
        for refused, why in (
            ("cluster 0", "already"),
            ("cluster 3", "already"),
            (" ", "needs a name"),
        ):
            name.fill(refused)
            name.blur()
            assert why in page.inner_text("#status")
            assert name.input_value() == "cluster 1"
        move(page, "granularity", 3)
        cut = json.loads((run / "tree.json").read_text())["cuts"]["3"]["groups"]
        # A cluster in a group with others, whose name no group has; it would be taken for alone.
        hidden = next(k for k in range(5) if cut.count(cut[k]) > 1)
        name.fill(f"cluster {hidden}")
        name.blur()
        assert "single cluster" in page.inner_text("#status")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_have_contrast(browser, run, scheme):
    with opened(browser, run / "report.html", color_scheme=scheme) as page:
        background, text = page.eval_on_selector(
            "html", "h => [getComputedStyle(h).backgroundColor, getComputedStyle(h).color]"
        )
        levels = [
            sum(map(int, c[c.index("(") + 1 : -1].split(","))) / 3 for c in (background, text)
        ]
        assert (levels[0] > 200) == (scheme == "light")
        assert abs(levels[0] - levels[1]) > 180


def test_every_control_has_a_name(browser, run):
    with opened(browser, run / "report.html") as page:
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, canvas, svg")].filter(
              (e) => !e.hidden && !(e.labels && e.labels.length) && !e.getAttribute("aria-label")
                && !e.textContent.trim()).map((e) => e.outerHTML.slice(0, 80))"""
        )
        assert nameless == []


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (700, 900), (1400, 420)])
def test_the_scale_bar_is_true_at_any_size(browser, tmp_path, width, height):
    """Pixels of 2 m: 40 columns are 80 m, and the bar is the round length below a third."""
    path = tmp_path / "report.html"
    path.write_text(make_report(make_labelled_run(tmp_path, side=40)), encoding="utf-8")
    with opened(browser, path, viewport={"width": width, "height": height}) as page:
        bar, canvas_width, canvas_height = page.evaluate(
            """() => [document.querySelector("#scale .bar"), ...Array(2).fill(byId("map"))].map(
              (e, i) => e.getBoundingClientRect()[i < 2 ? "width" : "height"])"""
        )
        assert "20 m" in page.inner_text("#scale")
        assert bar == pytest.approx(canvas_width * 20 / 80, abs=0.5)
        assert canvas_height == pytest.approx(canvas_width, abs=1)
        assert canvas_height <= 0.82 * height + 1


def test_components_are_shown_and_their_table_sorts(browser, tmp_path):
    rng = np.random.default_rng(0)
    spectra = rng.dirichlet([0.5] * 2, 40) @ np.abs(rng.normal(size=(2, 50)).cumsum(1))
    spectra += 0.01 * rng.normal(size=spectra.shape)
    np.savetxt(tmp_path / "mixed.csv", np.maximum(spectra, 0), delimiter=",")
    run = tmp_path / "run"
    options = ("--data", str(tmp_path / "mixed.csv"), "--out", str(run), "--ranges", "false")
    assert train([*GMCR_ARGUMENTS, *options]) == 0
    num_components = json.loads((run / "scores.json").read_text())["num_components"]
    with opened(browser, run / "report.html") as page:
        assert page.locator("#components svg").count() == num_components
        page.click("#samples th:nth-child(2) button")
        column = page.locator("#samples tbody td:nth-child(2)").all_inner_texts()
        values = [float(cell) for cell in column]
        assert values == sorted(values, reverse=True)
        table = saved(page, "export-samples", tmp_path / "concentrations.csv")
    assert len(table.read_text().splitlines()) == 41
