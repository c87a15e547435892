"""Spectra of labels against NumPy on all pixels at once."""

import numpy as np
import pytest

from jaxhsi import label_spectra
from jaxhsi.data.tiles import split_into_tiles

LABELS = np.random.default_rng(0).integers(-1, 3, (40, 50))
SPECTRA = np.random.default_rng(1).normal(100.0, 1.0, (40, 50, 6)).astype(np.float32)
SPECTRA += LABELS[..., None].astype(np.float32) * np.arange(6, dtype=np.float32)


def gathered(tile: int, labels=LABELS, spectra=SPECTRA, num_labels=4):
    """Label 3 has no pixel."""
    total = label_spectra.empty_label_spectra(num_labels, spectra.shape[-1])
    for place in split_into_tiles(labels.shape, (tile, tile)):
        priorities = label_spectra.pixel_priorities("a", *place.slices, labels.shape[1])
        total = label_spectra.add_window(
            total, labels[place.slices], spectra[place.slices], priorities
        )
    return total


@pytest.mark.parametrize("tile", [7, 64])
def test_moments_are_those_of_all_pixels(tile):
    total = gathered(tile)
    for label in range(3):
        pixels = SPECTRA[label == LABELS].astype(np.float64)
        assert total.pixel_counts[label] == len(pixels)
        np.testing.assert_allclose(total.means[label], pixels.mean(0), rtol=1e-7)
        np.testing.assert_allclose(total.deviations[label], pixels.std(0, ddof=1), rtol=1e-5)
    assert total.pixel_counts[3] == 0
    assert np.isnan(total.deviations[3]).all()
    assert np.isnan(total.quartiles()[3]).all()


def test_quartiles_are_exact_for_few_pixels():
    labels = np.where(np.random.default_rng(2).random(LABELS.shape) < 0.2, LABELS, -1)
    total = gathered(7, labels)
    for label in range(3):
        expected = np.quantile(SPECTRA[labels == label], (0.25, 0.5, 0.75), axis=0)
        np.testing.assert_allclose(total.quartiles()[label], expected, rtol=1e-6)


def test_quartiles_of_many_pixels_are_those_of_a_uniform_sample():
    labels = np.zeros((300, 300), np.int64)
    spectra = np.random.default_rng(3).normal(size=(300, 300, 40)).astype(np.float32)
    # A gradient over the rows: a sample of the first pixels would be far off.
    spectra += np.linspace(0, 20, 300, dtype=np.float32)[:, None, None]
    total = gathered(64, labels, spectra, 1)
    assert len(total.sample_labels) == label_spectra.SAMPLE_SIZE
    expected = np.quantile(spectra.reshape(-1, 40), (0.25, 0.5, 0.75), axis=0)
    errors = (total.quartiles()[0] - expected) / spectra.std()
    assert np.abs(errors).max() < 0.3  # five standard errors
    assert np.abs(errors.mean(1)).max() < 0.2


def test_the_sample_does_not_depend_on_the_windows():
    spectra = np.repeat(SPECTRA, 12, axis=1)
    labels = np.repeat(LABELS, 12, axis=1)
    small, large = gathered(31, labels, spectra), gathered(600, labels, spectra)
    np.testing.assert_array_equal(small.sample_priorities, large.sample_priorities)
    np.testing.assert_array_equal(small.sample_spectra, large.sample_spectra)


def test_groups_are_as_if_their_pixels_had_been_labelled_so():
    group_indices = np.array([1, 0, 1, 0])
    grouped = gathered(16).grouped(group_indices, 2)
    labels = np.where(LABELS < 0, -1, group_indices[LABELS])
    direct = gathered(16, labels, num_labels=2)
    np.testing.assert_array_equal(grouped.pixel_counts, direct.pixel_counts)
    np.testing.assert_allclose(grouped.means, direct.means, rtol=1e-7)
    np.testing.assert_allclose(grouped.deviations, direct.deviations, rtol=1e-5)
    np.testing.assert_array_equal(grouped.sample_priorities, direct.sample_priorities)
    np.testing.assert_allclose(grouped.quartiles(), direct.quartiles())


def test_pixels_of_two_cubes_have_other_priorities():
    here, there = (
        label_spectra.pixel_priorities(name, slice(0, 20), slice(0, 20), 20) for name in "ab"
    )
    assert len(np.unique(np.concatenate([here, there]))) == 800
