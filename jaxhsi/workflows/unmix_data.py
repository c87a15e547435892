"""New spectra for a finished run of gmcr: tables or cubes, checked against the run."""

import logging
from pathlib import Path
from typing import NamedTuple

from jax.sharding import Mesh

from jaxhsi.config.files import read_config
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.config.unmix import UnmixConfig
from jaxhsi.data.cube import Cube
from jaxhsi.data.manifest import check_wavelengths_agree
from jaxhsi.data.open import cube_locations
from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.tables.pretreatment import Step, parse_steps, treat_table
from jaxhsi.data.tables.spectra_table import SpectraTable, check_same_axis, turn_like_axis
from jaxhsi.data.tables.table import is_cube_path, open_table
from jaxhsi.training.run_folder import CONFIG_FILE
from jaxhsi.workflows.run_cubes import open_cubes_of_run
from jaxhsi.workflows.unit_check import describe_other_units
from jaxhsi.workflows.unmixing_model import UnmixingModel

NUM_COMPARED = 256
"""Pixels of a cube whose size is compared with that of the run."""


class NewData(NamedTuple):
    """What to unmix: tables by the stems of their files, or cubes."""

    tables: dict[str, SpectraTable]
    cubes: tuple[Cube, ...] = ()


class DataLocations(NamedTuple):
    """Where what is to be unmixed lies, without opening it.

    Attributes:
        paths: of tables or cubes, by name, in their order.
        are_cubes: whether they are cubes.
    """

    paths: dict[str, str]
    are_cubes: bool


def locate_data(config: UnmixConfig) -> DataLocations:
    """List the tables or cubes that options name.

    Args:
        config: the options.

    Raises:
        FileNotFoundError, ValueError: nothing there, both kinds at once, or equal names.
    """
    path_is_cube = {
        path: is_cube_path(path, key=config.key, size=config.size) for path in config.data
    }
    if all(path_is_cube.values()):
        if config.fractions:
            raise ValueError(f"--fractions belongs to tables; {config.data[0]} is a cube")
        return DataLocations(cube_locations(config.data, size=config.size), True)
    if any(path_is_cube.values()):
        example_paths = {kind: path for path, kind in path_is_cube.items()}
        raise ValueError(
            f"{example_paths[False]} is a table and {example_paths[True]} a cube; "
            "unmix one kind a time"
        )
    paths: dict[str, str] = {}
    for path in config.data:
        if (file_stem := Path(path).stem) in paths:
            raise ValueError(
                f"two tables have the stem {file_stem}, which results are named by: {path}"
            )
        paths[file_stem] = path
    return DataLocations(paths, False)


def open_data(
    config: UnmixConfig, model: UnmixingModel, locations: DataLocations, mesh: Mesh | None
) -> NewData:
    """Open tables or cubes, and compare them with the run.

    Args:
        config: the options.
        model: the run.
        locations: of what is to be opened.
        mesh: devices that compute what the model expects; None for one.

    Returns:
        The data; in the place of values that are to be masked is what the model expects.

    Raises:
        FileNotFoundError, ValueError: data that cannot be used.
    """
    if locations.are_cubes:
        return NewData({}, _open_cubes(config, model, tuple(locations.paths.values())))
    tables = {name: _open_table(config, path, model) for name, path in locations.paths.items()}
    return _with_expected_values(NewData(tables), model, config.refine_steps, mesh)


def _open_table(config: UnmixConfig, path: str, model: UnmixingModel) -> SpectraTable:
    table = open_table(path, config.table_options(), min_spectra=1)
    table = treat_table(table, run_pretreatment(config.run))
    run_name = _run_name(config)
    if table.spectra.shape[1] != model.components.shape[1]:
        raise ValueError(
            f"{path}: its spectra have {table.spectra.shape[1]} bands, those of {run_name} "
            f"{model.components.shape[1]}; give spectra of the same bands (are they in --spectra "
            "columns?)"
        )
    table = turn_like_axis(table, model.axis)
    check_same_axis(run_name, model.axis, table, config.tolerance)
    return table


def run_pretreatment(folder: Path) -> tuple[Step, ...]:
    """The steps that the spectra of a run went through; none of a model saved from Python."""
    config_path = folder / CONFIG_FILE
    if not config_path.is_file():
        return ()
    return parse_steps(read_config(GMCRConfig, config_path).pretreatment)


def _open_cubes(
    config: UnmixConfig, model: UnmixingModel, paths: tuple[str, ...]
) -> tuple[Cube, ...]:
    if run_pretreatment(config.run):
        raise ValueError(
            f"the spectra of {_run_name(config)} were pre-treated, which belongs to tables; "
            f"{paths[0]} is a cube"
        )
    run_name, num_bands = _run_name(config), model.components.shape[1]
    has_wavelengths = model.axis is not None and _is_wavelength(model.axis_name)
    cubes = open_cubes_of_run(
        paths,
        model.axis if has_wavelengths else None,
        **{"key": config.key, "layout": config.layout, "size": config.size},
        **{"raw": config.raw, "no_data": config.no_data},
        tolerance=config.tolerance,
        expected_band_counts={run_name: num_bands},
    )
    cube_wavelengths = {cube.url: cube.wavelengths for cube in cubes}
    if model.axis is None or has_wavelengths:
        check_wavelengths_agree({run_name: model.axis} | cube_wavelengths, config.tolerance)
    else:
        logging.getLogger(__name__).warning(
            "the axis of %s is %s; wavelengths of cubes are not compared with it",
            *(run_name, model.axis_name or "without a name"),
        )
    return cubes


def unit_warnings(config: UnmixConfig, model: UnmixingModel, data: NewData) -> dict[str, str]:
    """What is said of spectra of another size than the run's, by the names of tables or cubes.

    Args:
        config: the options.
        model: the run.
        data: to compare; of cubes a few spectra are looked at.
    """
    samples = {name: (each.source_name, each.spectra) for name, each in data.tables.items()}
    for cube in data.cubes:
        spectra = sample_spectra((cube,), NUM_COMPARED, 0, max_tiles=4).spectra
        samples[cube.name] = cube.url, spectra
    warnings = {
        name: describe_other_units(spectra, model.data_unit, place, _run_name(config))
        for name, (place, spectra) in samples.items()
    }
    return {name: text for name, text in warnings.items() if text is not None}


def _run_name(config: UnmixConfig) -> str:
    return f"the run {config.run}"


def _is_wavelength(axis_name: str) -> bool:
    return "wavelength" in axis_name.lower() or axis_name.lower() in ("wl", "lambda")


def _with_expected_values(
    data: NewData, model: UnmixingModel, refine_steps: int, mesh: Mesh | None
) -> NewData:
    """The data with what the model expects in the place of values that are to be masked."""
    tables = {
        name: table
        if table.missing_mask is None
        else table._replace(
            spectra=model.fill_missing(table.spectra, table.missing_mask, refine_steps, mesh)
        )
        for name, table in data.tables.items()
    }
    return data._replace(tables=tables)
