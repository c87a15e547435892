"""Colours of clusters and of true classes."""

import colorsys

import numpy as np
from jaxtyping import UInt8

INVALID_COLOUR = (0, 0, 0)

CLUSTER_PALETTE = (
    *((31, 119, 180), (255, 187, 51), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    *((140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207)),
    *((174, 199, 232), (255, 152, 150), (152, 223, 138), (197, 176, 213), (219, 219, 141)),
)
"""Colours of the first clusters: those of matplotlib's tab20, but for a lighter orange."""

CLASS_PALETTE = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178)),
    *((213, 94, 0), (204, 121, 167), (153, 153, 153)),
)
"""Colours of the first true classes: those of Okabe and Ito (2008), which people with any kind of
colour vision tell apart, with grey in the place of black."""

GOLDEN_RATIO = 0.618034
"""Steps of the hue by this share of the circle keep any number of hues apart."""


def cluster_colours(num_clusters: int) -> UInt8[np.ndarray, "k 3"]:
    """A colour for each cluster: a fixed palette, then hues in steps of the golden ratio.

    Args:
        num_clusters: number of colours.

    >>> cluster_colours(2).tolist()
    [[31, 119, 180], [255, 187, 51]]
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
