"""Spectra of another size than the run's are doubted, those of one size are not."""

import numpy as np
import pytest

from jaxhsi.workflows.unit_check import describe_other_units

SPECTRA = np.abs(np.random.default_rng(0).normal(0.5, 0.2, (5, 20))).astype(np.float32)


@pytest.mark.parametrize("factor", [0.1, 1, 10])
def test_samples_of_one_kind(factor):
    assert describe_other_units(SPECTRA * np.float32(factor), 0.5, "new", "run") is None


@pytest.mark.parametrize(("factor", "told"), [(1e4, "as large as"), (1e-3, "times below")])
def test_other_units(factor, told):
    warning = describe_other_units(SPECTRA * np.float32(factor), 0.5, "new.csv", "the run r")
    assert warning.startswith("new.csv: the spectra are ")
    assert f"{told} those of the run r" in warning
