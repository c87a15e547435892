"""Colours of pictures on disk."""

import numpy as np
from PIL import Image


def colours(path) -> set:
    picture = np.asarray(Image.open(path).convert("RGB"))
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def rgb(colour: str) -> tuple:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
