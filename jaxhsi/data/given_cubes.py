"""Cubes as a caller of the library gives them: arrays, paths, URLs or open cubes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxhsi.data.cube import Cube
from jaxhsi.data.data_arrays import cube_from_data_array, is_labelled_array
from jaxhsi.data.manifest import check_band_counts, manifest
from jaxhsi.data.memory_cube import cube_from_array
from jaxhsi.data.open import open_cubes

GivenCubes = Any
"""A cube or a sequence of cubes: arrays (H, W, C), paths, URLs or open cubes."""


def open_given_cubes(
    given_cubes: GivenCubes,
    *,
    required_bands: Mapping[str, int] | None = None,
    **reading_options: Any,
) -> tuple[Cube, ...]:
    """Open cubes given as arrays (of NumPy, JAX or xarray), paths, URLs or open cubes.

    Args:
        given_cubes: one or a sequence of them.
        required_bands: number of bands that the cubes must have, by what asks for it.
        **reading_options: how files are read, see :func:`jaxhsi.data.open.open_cubes`.

    Raises:
        ValueError: no cube, equal names, or cubes that cannot be used together.
    """
    cube_list = [given_cubes] if is_single_cube(given_cubes) else list(given_cubes)
    if not cube_list:
        raise ValueError("no cube was given; give an array (H, W, C), a path, or a list of them")
    opened: list[Cube] = []
    for index, each in enumerate(cube_list):
        if isinstance(each, Cube):
            opened.append(each)
        elif isinstance(each, str | Path):
            opened.extend(open_cubes(each, **reading_options))
        elif is_labelled_array(each):
            name = str(getattr(each, "name", None) or "array")
            is_alone = is_single_cube(given_cubes)
            opened.append(cube_from_data_array(each, name if is_alone else f"{name}-{index}"))
        else:
            name = "array" if is_single_cube(given_cubes) else f"array-{index}"
            opened.append(cube_from_array(each, name))
    cube_names = [cube.name for cube in opened]
    if repeated_names := sorted({name for name in cube_names if cube_names.count(name) > 1}):
        raise ValueError(
            "cubes need different names, by which labels are named; several are called "
            f"{', '.join(repeated_names)}"
        )
    check_band_counts(dict(required_bands or {}) | {cube.url: cube.shape[2] for cube in opened})
    manifest(opened, tolerance=reading_options.get("tolerance"))
    return tuple(opened)


def is_single_cube(given_cubes: GivenCubes) -> bool:
    """Whether one cube was given: a path, an open cube, a Dataset, or anything that has a shape.

    Args:
        given_cubes: as for :func:`open_given_cubes`.

    >>> is_single_cube("scene.zarr"), is_single_cube(["a.zarr", "b.zarr"])
    (True, False)
    """
    is_one = isinstance(given_cubes, str | Path) or hasattr(given_cubes, "shape")
    return is_one or is_labelled_array(given_cubes)


def source_arrays(given_cubes: GivenCubes) -> tuple[Any, ...]:
    """The xarray arrays among given cubes, None for others; empty where there are none.

    Args:
        given_cubes: as for :func:`open_given_cubes`.

    >>> source_arrays("scene.zarr")
    ()
    """
    cube_list = [given_cubes] if is_single_cube(given_cubes) else list(given_cubes)
    if not any(map(is_labelled_array, cube_list)):
        return ()
    if any(isinstance(each, str | Path) for each in cube_list):
        return ()  # a path may be several cubes: arrays of numbers for all
    return tuple(each if is_labelled_array(each) else None for each in cube_list)
