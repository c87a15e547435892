"""Any cube, written by a writer of its format and ingested, is the same cube; so are labels."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.ingest.pipeline import ingest
from jaxhsi.data.ingest.plan import NO_WAVELENGTHS_NOTE
from jaxhsi.data.labels.label_files import load_labels
from jaxhsi.data.windows import read_window
from tests.helpers.cube_formats import CUBE_FORMATS
from tests.helpers.format_examples import examples
from tests.helpers.format_table import PAGE, page_with_table
from tests.helpers.format_writers import CRS, TRANSFORM

by_format = pytest.mark.parametrize("cube_format", CUBE_FORMATS, ids=lambda each: each.name)


@by_format
@settings(max_examples=12, deadline=None)
@given(example=examples())
def test_cubes(cube_format, example):
    if not cube_format.scale:
        example = example._replace(scale=None)
    if not cube_format.states_offset:
        example = example._replace(offset=None)
    if cube_format.mask == "NaN" and not example.is_float:
        example = example._replace(missing=np.zeros_like(example.missing))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / cube_format.file_name
        cube_format.write(path, example)
        layout = "hwc" if cube_format.needs_layout else None
        cube = ingest(path, Path(folder) / "a.zarr", layout=layout)
        values, valid = read_window(cube, 0, 0, *cube.shape[:2])
    assert cube.shape == example.stored.shape
    np.testing.assert_array_equal(valid, ~example.missing)
    np.testing.assert_allclose(values[valid], example.values[valid], rtol=1e-5, atol=1e-6)
    if cube_format.wavelengths:
        np.testing.assert_allclose(cube.wavelengths, example.waves, rtol=1e-6)
    else:
        assert (cube.wavelengths, NO_WAVELENGTHS_NOTE in cube.history) == (None, True)
    if cube_format.crs:
        assert cube.georeference.crs is not None
        assert same_crs(cube.georeference.crs)
        np.testing.assert_allclose(cube.georeference.transform, TRANSFORM)
    else:
        assert cube.georeference is None or cube.georeference.crs is None


def same_crs(crs: str) -> bool:
    from rasterio.crs import CRS as RasterCRS

    return RasterCRS.from_user_input(crs) == RasterCRS.from_user_input(CRS)


@pytest.mark.parametrize(
    "cube_format", [each for each in CUBE_FORMATS if each.write_labels], ids=lambda each: each.name
)
@settings(max_examples=5, deadline=None)
@given(size=st.tuples(st.integers(2, 33), st.integers(2, 33)), seed=st.integers(0, 99))
def test_labels(cube_format, size, seed):
    labels = np.random.default_rng(seed).integers(0, 5, size).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / cube_format.file_name
        cube_format.write_labels(path, labels)
        np.testing.assert_array_equal(load_labels(path, size), labels)


def test_the_documentation_says_what_these_tests_hold():
    page = PAGE.read_text()
    assert page == page_with_table(page), "run python -m tests.helpers.format_table"
