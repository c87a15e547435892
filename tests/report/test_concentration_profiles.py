import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from jaxhsi.report import concentration_profiles
from jaxhsi.report.concentration_profiles import plot_profiles

CONCENTRATIONS = np.random.default_rng(0).uniform(size=(9, 12))
NAMES = tuple(f"c{i}" for i in range(12))


def figure_of(monkeypatch, tmp_path, *arguments, **keywords) -> Figure:
    figures = []
    monkeypatch.setattr(concentration_profiles, "save_figure", lambda f, path: figures.append(f))
    plot_profiles(tmp_path / "p.png", *arguments, **keywords)
    return figures[0]


def test_each_run_has_its_samples_along_the_axis(monkeypatch, tmp_path):
    times = np.array([0.0, 1, 2, 3, 4, 0, 1, 2, 3])
    figure = figure_of(
        monkeypatch,
        tmp_path,
        CONCENTRATIONS[:, :2],
        NAMES[:2],
        (5, 4),
        sample_axis=times,
        sample_axis_name="Time (min)",
    )
    first, second = figure.axes
    np.testing.assert_array_equal(first.lines[1].get_xydata()[:, 0], times[:5])
    np.testing.assert_array_equal(second.lines[1].get_xydata()[:, 0], times[5:])
    np.testing.assert_array_equal(second.lines[1].get_xydata()[:, 1], CONCENTRATIONS[5:, 1])
    assert second.get_xlabel() == "Time (min)"


def test_ten_components_are_drawn_and_the_others_counted(monkeypatch, tmp_path):
    (panel,) = figure_of(monkeypatch, tmp_path, CONCENTRATIONS, NAMES, (9,)).axes
    assert len(panel.lines) == 10
    assert panel.get_legend().get_title().get_text() == "and 2 more"
    np.testing.assert_array_equal(panel.lines[0].get_xydata()[:, 0], np.arange(1, 10))


def test_a_picture_is_written(tmp_path):
    plot_profiles(tmp_path / "new" / "p.png", CONCENTRATIONS, NAMES, (9,))
    assert Image.open(tmp_path / "new" / "p.png").width > 300
