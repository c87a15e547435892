"""Tables below each other: one axis, samples in their order, what all have beside the bands."""

import numpy as np
import pytest

from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.stacked_tables import stack_tables
from jaxhsi.data.tables.stored_table import Reference

AXIS = np.arange(10.0)


def table(name: str, axis: np.ndarray | None = AXIS, rows: int = 3, **more) -> SpectraTable:
    bands = 10 if axis is None else len(axis)
    spectra = np.tile(np.arange(bands, dtype=np.float32) if axis is None else axis, (rows, 1))
    return SpectraTable(
        spectra.astype(np.float32),
        np.arange(rows),
        axis,
        source_name=name,
        source_rows=rows,
        **more,
    )


def test_samples_follow_each_other_with_what_all_have_beside_them():
    first = table("a.csv", references=(Reference("pH", (1.0, 2.0, 3.0)), Reference("x", "abc")))
    second = table("b.csv", rows=2, references=(Reference("pH", (4.0, 5.0)),))
    both = stack_tables([first, second])
    assert both.spectra.shape == (5, 10)
    assert both.row_indices.tolist() == [0, 1, 2, 3, 4]
    assert both.references == (Reference("pH", ("1.0", "2.0", "3.0", "4.0", "5.0")),)
    assert both.source_rows == 5
    assert both.sample_axis is None


def test_axes_that_differ_slightly_are_brought_to_their_common_range():
    both = stack_tables([table("a.csv"), table("b.csv", AXIS + 0.5)])
    assert both.axis.tolist() == AXIS[1:].tolist()
    np.testing.assert_allclose(both.spectra, np.tile(AXIS[1:], (6, 1)), atol=1e-6)
    assert "from 1 to 9" in both.notes[-1]


def test_tables_that_do_not_go_together_are_refused_by_name():
    with pytest.raises(ValueError, match=r"b.csv has 4 bands and a.csv 10"):
        stack_tables([table("a.csv", None), table("b.csv", AXIS[:4])])
    with pytest.raises(ValueError, match=r"axes that differ too much.*b.csv"):
        stack_tables([table("a.csv"), table("b.csv", AXIS + 100)])
