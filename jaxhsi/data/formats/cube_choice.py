"""Which of the arrays in a file is the cube."""

import re

from jaxhsi.data.formats.axis_names import axis_role
from jaxhsi.data.formats.band_wavelengths import find_band_wavelengths
from jaxhsi.data.formats.container import ArrayContainer, NamedArray

SIDE_PRODUCTS = (
    *("quality", "qa", "qc", "mask", "masks", "flag", "flags", "error", "err", "uncertainty"),
    *("unc", "std", "stddev", "variance", "sigma", "rgb", "browse", "preview", "quicklook"),
    *("thumbnail", "lat", "latitude", "lon", "longitude", "elevation", "geolocation", "angle"),
    *("angles", "zenith", "azimuth", "glt", "igm", "obs", "observation", "indicator", "labels"),
    *("label", "gt", "groundtruth", "abundance", "abundances", "covariance", "valid"),
)
"""Words in names of three-dimensional arrays that belong to a cube and are none."""


def kept_axes(array: NamedArray) -> tuple[int, int, int] | None:
    """The three axes of an array that can hold a cube, or None.

    Axes of length one that are no rows, columns or bands by their names are left out, the first
    ones before others.

    >>> kept_axes(NamedArray((1, 6, 5, 9), ("time", "y", "x", "band"), {}))
    (1, 2, 3)
    """
    if 0 in array.shape or len(array.shape) < 3:
        return None
    names = array.axis_names or ("",) * len(array.shape)
    singles = [axis for axis, length in enumerate(array.shape) if length == 1]
    singles.sort(key=lambda axis: axis_role(names[axis]) is not None)
    surplus = set(singles[: len(array.shape) - 3])
    axes = tuple(axis for axis in range(len(array.shape)) if axis not in surplus)
    return (axes[0], axes[1], axes[2]) if len(axes) == 3 else None


def squeezed(array: NamedArray) -> NamedArray:
    """An array as its three `kept_axes`."""
    axes = kept_axes(array)
    assert axes is not None
    return array._replace(
        shape=tuple(array.shape[axis] for axis in axes),
        axis_names=tuple(array.axis_names[axis] for axis in axes)
        if array.axis_names
        else ("",) * 3,
        axis_scales=tuple(array.axis_scales[axis] for axis in axes) if array.axis_scales else (),
    )


def choose_cube(container: ArrayContainer, key: str | None) -> tuple[str, tuple[str, ...]]:
    """The array to read, and notes on those that were passed over.

    Args:
        container: the file.
        key: the one to take; by default the only one of three axes that is no side product by its
            name, or the only one of these for which the file has wavelengths.

    Raises:
        ValueError: no such key, an array that is no cube, none, or several.
    """
    if key is not None:
        return _given_key(container, key), ()
    cubes = [name for name, array in container.arrays.items() if kept_axes(array) is not None]
    if not cubes:
        raise ValueError(
            f"{container.path} has no 3-D array; its numeric arrays are: "
            f"{container.describe_arrays()}{_remedy_without_cube(container)}"
        )
    candidates = cubes
    for narrowed in (_without_side_products, _with_wavelengths, _without_pictures):
        candidates = candidates if len(candidates) == 1 else narrowed(container, candidates)
    if len(candidates) != 1:
        listed = ", ".join(f"{name} {container.arrays[name].shape}" for name in candidates)
        raise ValueError(
            f"{container.path} has several 3-D arrays, choose one with --key: {listed}"
        )
    others = [f"{name} {container.arrays[name].shape}" for name in cubes if name != candidates[0]]
    notes = (f"other 3-D arrays not read (--key chooses): {', '.join(others)}",) if others else ()
    return candidates[0], notes


def _remedy_without_cube(container: ArrayContainer) -> str:
    """What helps where arrays have four long axes, or two."""
    for name, array in container.arrays.items():
        if len(array.shape) > 3 and kept_axes(array) is None and 0 not in array.shape:
            axis = array.axis_names[0] if array.axis_names and array.axis_names[0] else "0"
            return (
                f". {name} holds several cubes along axis {axis}; save one of them, in Python: "
                f"numpy.save('cube.npy', array[0])"
            )
    return (
        ". A table of pixels is read from .mat or .npy, (C, H * W), with --size '[H,W]'"
        if any(len(array.shape) == 2 for array in container.arrays.values())
        else ""
    )


def _given_key(container: ArrayContainer, key: str) -> str:
    name = key.strip("/")
    matches = (
        [name]
        if name in container.arrays
        else [each for each in container.arrays if each.endswith(f"/{name}")]
    )
    if len(matches) != 1:
        raise ValueError(
            f"{container.path} has no numeric array {key!r}; its numeric arrays are: "
            f"{container.describe_arrays()}"
        )
    array = container.arrays[matches[0]]
    if kept_axes(array) is None:
        raise ValueError(
            f"{container.path}: {key!r} has shape {array.shape}; a cube has three non-empty axes, "
            f"(H, W, C) or (C, H, W); choose another with --key: {container.describe_arrays()}"
        )
    return matches[0]


def _without_side_products(container: ArrayContainer, names: list[str]) -> list[str]:
    left = [name for name in names if not _is_side_product(name)]
    return left or names


def _is_side_product(name: str) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name.rpartition("/")[2])
    return any(word.lower() in SIDE_PRODUCTS for word in words)


def _with_wavelengths(container: ArrayContainer, names: list[str]) -> list[str]:
    """Those for which the file has wavelengths, if there are any."""
    left = []
    for name in names:
        axes = kept_axes(container.arrays[name])
        if axes is not None and find_band_wavelengths(container, name).values is not None:
            left.append(name)
    return left or names


def _without_pictures(container: ArrayContainer, names: list[str]) -> list[str]:
    """Those with more than the four bands of a picture at either end, if there are any."""
    shapes = {name: squeezed(container.arrays[name]).shape for name in names}
    return [name for name, shape in shapes.items() if min(shape[0], shape[-1]) > 4] or names
