"""What was left out of a fit is told by sample and band, and drawn."""

import csv

import numpy as np

from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.report.gmcr_sentences import left_out_sentence
from jaxhsi.report.left_out_values import (
    left_out_scores,
    plot_left_out_values,
    write_left_out_values,
)
from jaxhsi.report.spectra_plots import ESTIMATE_COLOUR, TRUTH_COLOUR
from tests.helpers.pictures import colours, rgb

SPECTRA = np.random.default_rng(0).random((4, 10)).astype(np.float32)
SPECTRA[2, 3:6] = 2.0
MISSING = np.zeros((4, 10), bool)
MISSING[3, 9] = True
LEFT_OUT = MISSING.copy()
LEFT_OUT[0, 1] = LEFT_OUT[2, 3] = LEFT_OUT[2, 4] = LEFT_OUT[2, 5] = True
TABLE = SpectraTable(
    SPECTRA,
    np.arange(4),
    np.linspace(100, 190, 10),
    sample_names=("a", "b", "c", "d"),
    missing_mask=MISSING,
)


def test_kinds_are_told_apart():
    scores = left_out_scores(TABLE, LEFT_OUT)
    assert (scores["spike"], scores["clipped"], scores["missing"]) == (1, 3, 1)
    sentence = left_out_sentence(scores)
    assert "1 spike (sample a at 110; --solver.mask_spikes false keeps them)" in sentence
    assert "3 clipped, 1 missing" in sentence


def test_the_file_has_a_row_for_each_value(tmp_path):
    write_left_out_values(tmp_path / "x.csv", TABLE, LEFT_OUT, np.ones((4, 10), np.float32))
    header, *rows = csv.reader((tmp_path / "x.csv").open())
    assert header == ["sample", "band", "measured", "expected", "kind"]
    assert rows[0] == ["a", "110", f"{SPECTRA[0, 1]:.9g}", "1", "spike"]
    assert rows[-1] == ["d", "190", "", "1", "missing"]
    assert len(rows) == LEFT_OUT.sum()


def test_every_kind_has_its_colour(tmp_path):
    plot_left_out_values(tmp_path / "x.png", TABLE, LEFT_OUT)
    drawn = colours(tmp_path / "x.png")
    assert rgb(TRUTH_COLOUR) in drawn
    assert rgb(ESTIMATE_COLOUR) in drawn
