"""Colours that people with any kind of colour vision tell apart."""

import numpy as np
import pytest

from jaxhsi.report.palettes import class_colours, cluster_colours
from tests.helpers import colour_vision


def test_the_colour_difference_is_that_of_its_authors():
    """Pairs 1, 7 and 17 of the table of Sharma, Wu and Dalal (2005)."""
    first = np.array([[50, 2.6772, -79.7751], [50, 0, 0], [50, 2.5, 0]])
    second = np.array([[50, 0, -82.7485], [50, -1, 2], [73, 25, -18]])
    found = colour_vision.ciede2000(first, second)
    np.testing.assert_allclose(found, [2.0425, 2.3669, 27.1492], atol=1e-4)


def test_red_and_green_are_alike_without_red_cones_or_green_cones():
    """So the simulation is not the identity."""
    pair = np.array([[180, 90, 60], [110, 115, 60]])
    normal, blind = (
        colour_vision.smallest_distance(pair, kind) for kind in ("normal", "deuteranopia")
    )
    assert blind < 0.4 * normal


@pytest.mark.parametrize("vision", list(colour_vision.DEFICIENCIES))
def test_sixteen_clusters_are_told_apart(vision):
    assert colour_vision.smallest_distance(cluster_colours(16), vision) > 14
    # None is taken for a pixel that is not valid, which is black.
    with_black = np.concatenate([cluster_colours(16), [[0, 0, 0]]])
    assert colour_vision.smallest_distance(with_black, vision) > 14


@pytest.mark.parametrize("vision", list(colour_vision.DEFICIENCIES))
def test_eight_classes_are_told_apart(vision):
    assert colour_vision.smallest_distance(class_colours(8), vision) > 11


def test_many_colours_are_distinct_and_the_first_stay_the_same():
    many = cluster_colours(40)
    assert len(np.unique(many, axis=0)) == 40
    np.testing.assert_array_equal(cluster_colours(5), many[:5])
