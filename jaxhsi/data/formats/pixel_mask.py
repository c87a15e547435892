"""A mask of pixels that a file keeps as an array beside the cube."""

import math
import re
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool

from jaxhsi.data.formats.container import ArrayContainer
from jaxhsi.data.formats.value_marks import plain_name

VALID_NAMES = ("validmask", "maskvalid", "validpixels", "validpixel", "isvalid", "valid")
"""Names, as `value_marks.plain_name` writes them, of arrays that are 1 where a pixel is valid."""

MAX_PIXELS = 2**26  # of a mask that is looked at whole

MaskReader = Callable[[slice, slice], Bool[np.ndarray, "h w"]]


def find_pixel_mask(
    container: ArrayContainer, key: str, roles: tuple[str | None, ...]
) -> tuple[MaskReader | None, tuple[str, ...]]:
    """The mask of valid pixels beside a cube, and what is said of it and of other masks.

    A mask is applied where its name says what 1 means and it holds 0 and 1 alone.

    Args:
        container: the file.
        key: of the cube, which has three axes.
        roles: of these, see `axis_names.axis_roles`.
    """
    shape = container.arrays[key].shape
    image_shapes = {tuple(np.delete(shape, axis).tolist()) for axis in range(3)}
    group = key.rpartition("/")[0]
    candidates = [
        name
        for name, array in container.arrays.items()
        if array.shape in image_shapes and name.rpartition("/")[0].startswith(group)
    ]
    for name in candidates:
        is_small = math.prod(container.arrays[name].shape) <= MAX_PIXELS
        if plain_name(name.rpartition("/")[2]) in VALID_NAMES and is_small:
            mask = np.asarray(container.read_array(name, (slice(None), slice(None))))
            if np.isin(mask, (0, 1)).all():
                is_transposed = "w" in roles and roles.index("w") < roles.index("h")
                reader = _mask_reader((mask.T if is_transposed else mask) != 0)
                return reader, (f"pixels where {name} is 0 are not valid",)
    masks = [
        name
        for name in candidates
        if "mask" in re.findall(r"[a-z]+", name.rpartition("/")[2].lower())
    ]
    if not masks:
        return None, ()
    return None, (
        f"{', '.join(masks)}: not applied, as its name does not say which pixels are valid; "
        "mark these by a no-data value, or call the array valid_mask",
    )


def _mask_reader(valid: Bool[np.ndarray, "H W"]) -> MaskReader:
    return lambda rows, columns: valid[rows, columns]
