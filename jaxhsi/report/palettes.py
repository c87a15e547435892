"""Colours of clusters and of true classes."""

import colorsys

import numpy as np
from jaxtyping import UInt8

INVALID_COLOUR = (0, 0, 0)

CLUSTER_PALETTE = (
    *((0, 112, 252), (196, 252, 56), (112, 56, 0), (168, 224, 252), (0, 168, 112), (28, 84, 84)),
    *((140, 168, 168), (84, 56, 140), (140, 112, 0), (112, 112, 140), (84, 112, 84)),
    *((140, 252, 224), (84, 168, 224), (28, 224, 140), (0, 0, 252), (196, 168, 0)),
)
"""Colours of the first 16 clusters. Found by a random search for the largest least CIEDE2000
difference of any two under normal vision, protanopia and deuteranopia (Machado et al. 2009): 14.5;
of matplotlib's tab20 it is 0.8. The first colours differ most."""

CLASS_PALETTE = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178)),
    *((213, 94, 0), (204, 121, 167), (240, 240, 240)),
)
"""Colours of the first true classes: those of Okabe and Ito (2008), which people with any kind of
colour vision tell apart, with near white in the place of black."""

GOLDEN_RATIO = 0.618034
"""Steps of the hue by this share of the circle keep any number of hues apart."""


def cluster_colours(num_clusters: int) -> UInt8[np.ndarray, "k 3"]:
    """A colour for each cluster: a fixed palette, then hues in steps of the golden ratio.

    Args:
        num_clusters: number of colours.

    >>> cluster_colours(2).tolist()
    [[0, 112, 252], [196, 252, 56]]
    """
    more_colours = [
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(GOLDEN_RATIO * i % 1, 0.6, 0.85))
        for i in range(max(num_clusters - len(CLUSTER_PALETTE), 0))
    ]
    return np.array([*CLUSTER_PALETTE, *more_colours][:num_clusters], np.uint8).reshape(-1, 3)


def class_colours(num_classes: int) -> UInt8[np.ndarray, "c 3"]:
    """A colour for each true class, the same in all pictures of a run.

    Args:
        num_classes: number of colours.

    >>> class_colours(1).tolist()
    [[230, 159, 0]]
    """
    more_colours = cluster_colours(max(num_classes - len(CLASS_PALETTE), 0))
    own_colours = np.array(CLASS_PALETTE[:num_classes], np.uint8).reshape(-1, 3)
    return np.concatenate([own_colours, more_colours])
