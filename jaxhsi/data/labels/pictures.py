"""Label maps saved as PNG pictures, through Pillow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

# Palette indices, or greyscale of 1 to 32 bits.
SINGLE_BAND_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "F")


def load_picture(path: Path, image_size: tuple[int, int]) -> np.ndarray:
    """Values of a picture with one band: palette indices, or grey levels.

    Args:
        path: the file.
        image_size: (H, W) that it should have; a picture of another size is not decoded.

    Raises:
        ValueError: unreadable, more than one band, or another size.
    """
    with _open_picture(path, image_size) as image:
        if image.mode not in SINGLE_BAND_MODES:
            raise ValueError(
                f"{path} is a {image.mode} picture; labels are greyscale or indexed (palette) "
                "values, save it in one of these modes"
            )
        if image.size != image_size[::-1]:
            raise ValueError(
                f"{path} has shape {image.size[::-1]}, its cube has {image_size} pixels; give the "
                "labels of this cube, one value for each pixel"
            )
        return np.asarray(image)


@contextmanager
def _open_picture(path: Path, image_size: tuple[int, int]) -> Iterator[Image.Image]:
    """Open a picture; one as large as its cube is no attack, whatever Pillow's limit."""
    pixel_limit = Image.MAX_IMAGE_PIXELS
    try:
        if pixel_limit is not None:
            Image.MAX_IMAGE_PIXELS = max(pixel_limit, image_size[0] * image_size[1])
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read as an image; save it again ({error})") from error
    finally:
        Image.MAX_IMAGE_PIXELS = pixel_limit
