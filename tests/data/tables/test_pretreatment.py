"""Each step of a pre-treatment does what its name says, and says what it did."""

import numpy as np
import pytest

from jaxhsi.data.tables.pretreatment import (
    apply_steps,
    parse_steps,
    treat_pure_spectra,
    treat_table,
)
from jaxhsi.data.tables.spectra_table import SpectraTable

AXIS = np.linspace(400.0, 799.0, 400)
PEAKS = np.exp(-0.5 * ((AXIS - np.array([[500.0], [600], [700]])) / 12) ** 2)


def treat(text: str, spectra: np.ndarray = PEAKS, axis=AXIS):
    return apply_steps(parse_steps(text), spectra, axis)


def test_no_step_changes_nothing():
    assert parse_steps(None) == parse_steps(" , ") == ()
    treated = treat("")
    np.testing.assert_array_equal(treated.spectra, PEAKS)
    assert treated.notes == ()


@pytest.mark.parametrize("reverse", [False, True])
def test_cut_and_resample(reverse):
    turn = slice(None, None, -1 if reverse else 1)
    treated = treat("cut 450 650.5, resample 2", PEAKS[:, turn], AXIS[turn])
    np.testing.assert_allclose(treated.axis[turn], np.arange(450.0, 651, 2))
    np.testing.assert_allclose(treated.spectra[:, turn], PEAKS[:, 50:251:2], atol=1e-12)
    assert treated.notes == (
        "pre-treatment 1: cut 450 650.5, 201 of 400 bands are left",
        f"pre-treatment 2: resample 2, 101 bands from {'650 to 450' if reverse else '450 to 650'}",
    )


@pytest.mark.parametrize("width", [1, 2])
def test_spikes_are_replaced_and_peaks_are_left(width):
    noisy = PEAKS + np.random.default_rng(0).normal(0, 0.003, PEAKS.shape)
    spoilt = noisy.copy()
    spoilt[1, 150 : 150 + width] += 2
    treated = treat("despike", spoilt)
    np.testing.assert_allclose(treated.spectra, noisy, atol=0.02)
    assert f"despike, {width} values of 1 spectra were replaced" in treated.notes[0]
    np.testing.assert_array_equal(treated.spectra[0], noisy[0])


def test_a_baseline_is_subtracted():
    pytest.importorskip("pybaselines")
    noise = np.random.default_rng(0).normal(0, 0.005, PEAKS.shape)
    sloping = PEAKS + 0.5 + 0.001 * (AXIS - 400) + noise
    np.testing.assert_allclose(treat("baseline arpls 1e6", sloping).spectra, PEAKS, atol=0.05)
    assert "of the mean value was subtracted" in treat("baseline", sloping).notes[0]


def test_savitzky_golay_smooths_and_derives():
    parabola = (AXIS - 600.0)[None] ** 2
    np.testing.assert_allclose(treat("savgol 11 2", parabola).spectra, parabola, atol=1e-6)
    slope = treat("savgol 11 2 1", parabola[:, ::-1], AXIS[::-1]).spectra
    np.testing.assert_allclose(slope, 2 * (AXIS[::-1] - 600.0)[None], atol=1e-6)


def test_snv_and_normalise():
    scattered = PEAKS * np.array([[1.0], [3], [7]]) + np.array([[0.1], [0.5], [2]])
    snv = treat("snv", scattered).spectra
    np.testing.assert_allclose(snv.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(snv.std(1), 1)
    np.testing.assert_allclose(snv, treat("snv").spectra, atol=1e-9)
    np.testing.assert_allclose(treat("normalise max", 5 * PEAKS).spectra.max(1), 1)
    np.testing.assert_allclose(np.linalg.norm(treat("normalise").spectra, axis=1), 1)
    areas = np.trapezoid(treat("normalise area", 5 * PEAKS).spectra, AXIS, axis=1)
    np.testing.assert_allclose(areas, 1)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("smooth 3", "steps are cut, resample, despike, baseline"),
        ("cut 500", "write it like 'cut 500 1700'"),
        ("savgol wide 2", "write it like 'savgol 11 2'"),
        ("baseline magic", "write it like 'baseline arpls 1e5'"),
        ("normalise sum", "write it like 'normalise area'"),
    ],
)
def test_steps_that_cannot_be_read_are_refused(text, remedy):
    with pytest.raises(ValueError, match=remedy):
        parse_steps(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cut 100 200", "leaves 0 bands; the axis runs from 400 to 799"),
        ("resample 300", "fewer than three bands"),
        ("savgol 501 2", "at most the 400 bands"),
        ("normalise max", r"spectrum \d has no positive max"),
    ],
)
def test_steps_that_leave_nothing_are_refused(text, told):
    with pytest.raises(ValueError, match=told):
        treat(text, -PEAKS)


def test_a_table_keeps_its_samples_and_its_truth_follows():
    table = SpectraTable(PEAKS.astype(np.float32), np.arange(3), AXIS, "nm", ("a", "b", "c"))
    steps = parse_steps("cut 450 650, savgol 5 2, snv")
    treated = treat_table(table, steps)
    assert treated.sample_names == ("a", "b", "c")
    assert len(treated.notes) == 3
    assert treated.spectra.dtype == np.float32
    np.testing.assert_array_equal(treated.axis, AXIS[50:251])
    pure = treat_pure_spectra(PEAKS, steps, AXIS)
    np.testing.assert_allclose(pure, treat("cut 450 650, savgol 5 2").spectra, atol=1e-6)
    assert treat_table(table, ()) is table
