"""The spectra, truth and library of an unmixing run, opened from its options."""

from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float32

from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.data.synthetic.mixtures import mixtures
from jaxhsi.data.tables.negative_values import describe_negative_values
from jaxhsi.data.tables.pretreatment import Step, parse_steps, treat_pure_spectra, treat_table
from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.stacked_tables import stack_tables
from jaxhsi.data.tables.table import open_table
from jaxhsi.data.tables.truth import GroundTruth, load_component_spectra, load_ground_truth
from jaxhsi.data.tables.truth_units import match_units
from jaxhsi.gmcr.fit_arguments import MIN_BANDS
from jaxhsi.workflows.gmcr_constraints import KnownComponents, load_known_components
from jaxhsi.workflows.gmcr_samples import run_reference, sample_structure


@dataclass(frozen=True, eq=False)
class GMCRInputs:
    """Spectra to unmix and what is known about them.

    Attributes:
        table: the spectra.
        truth: true components to score against, or None.
        library: known spectra to look for, (l, c), or None.
        library_names: their names, or None.
        is_ordered: whether samples are in an order.
        run_lengths: samples of each run; one run if None.
        constraints: what is known of single components, or None.
        file_rows: samples of each file, where the table was put together from several.
    """

    table: SpectraTable
    truth: GroundTruth | None = None
    library: Float32[np.ndarray, "l c"] | None = None
    library_names: tuple[str, ...] | None = None
    is_ordered: bool = False
    run_lengths: tuple[int, ...] | None = None
    constraints: KnownComponents | None = None
    file_rows: tuple[int, ...] = ()


def open_gmcr_inputs(config: GMCRConfig) -> GMCRInputs:
    """Read and check the data, truth and library that a configuration names.

    Raises:
        FileNotFoundError, ValueError: see `jaxhsi.data.tables`; and
            fewer spectra than ``num_components`` or ``num_candidates``, or negative values that are
            not noise where none are allowed.
    """
    inputs = _built_in(config) if config.data is None else _from_files(config)
    if config.library is not None:
        library = load_component_spectra(config.library, inputs.table)
        table = inputs.table._replace(notes=(*inputs.table.notes, *library.notes))
        names = library.names
        inputs = replace(inputs, table=table, library=library.spectra, library_names=names)
    steps, raw_table = parse_steps(config.pretreatment), inputs.table
    inputs = _treated(inputs, steps, is_built_in=config.data is None)
    _check_counts(config, inputs.table)
    inputs = _with_structure(config, _with_constraints(config, inputs, steps, raw_table))
    is_gated = config.method == "gated"
    if config.solver.non_negative if is_gated else config.joint.pool.non_negative:
        option = "--solver.non_negative false" if is_gated else "--joint.pool.non_negative null"
        table = inputs.table
        negative_values = describe_negative_values(table.spectra, table.source_name, option)
        if negative_values:
            inputs = replace(inputs, table=table._replace(notes=(*table.notes, negative_values)))
    return inputs


def _with_constraints(
    config: GMCRConfig, inputs: GMCRInputs, steps: tuple[Step, ...], raw_table: SpectraTable
) -> GMCRInputs:
    """What is known of single components, from the files that the configuration names."""
    constraints = load_known_components(
        inputs.table,
        known=config.known,
        absent=config.absent,
        known_concentrations=config.known_concentrations,
        steps=steps,
        raw_table=raw_table,
    )
    if constraints is None:
        return inputs
    table = inputs.table._replace(notes=(*inputs.table.notes, *constraints.notes))
    return replace(inputs, table=table, constraints=constraints)


def _with_structure(config: GMCRConfig, inputs: GMCRInputs) -> GMCRInputs:
    """Order and runs of the samples, with what is to be told of them."""
    structure = sample_structure(config, inputs.table, inputs.file_rows)
    table = inputs.table._replace(notes=(*inputs.table.notes, *structure.notes))
    lengths = structure.run_lengths
    if len(lengths) > 1:
        table = table._replace(references=(run_reference(lengths), *table.references))
    return replace(
        inputs, table=table, is_ordered=structure.is_ordered, run_lengths=structure.run_lengths
    )


def _check_counts(config: GMCRConfig, table: SpectraTable) -> None:
    """Refuse more components than spectra and bands can tell apart."""
    num_spectra, num_bands = table.spectra.shape
    if config.method == "gated" and num_bands < MIN_BANDS:
        raise ValueError(
            f"{table.source_name}: spectra of {num_bands} bands cannot be unmixed; at least "
            f"{MIN_BANDS} bands are needed (are spectra in --spectra columns?)"
        )
    max_components = min(num_spectra, num_bands) - 1
    for name in ("num_components", "num_candidates"):
        number = getattr(config, name) or 0
        if config.method == "gated" and number > max_components:
            raise ValueError(
                f"{table.source_name}: {num_spectra} spectra of {num_bands} bands cannot tell "
                f"--{name} {number} components apart; give {max_components} at most"
            )


def _treated(inputs: GMCRInputs, steps: tuple[Step, ...], *, is_built_in: bool) -> GMCRInputs:
    """Table, truth and library after a pre-treatment, the truth in the units of the table."""
    axis, table, truth = inputs.table.axis, treat_table(inputs.table, steps), inputs.truth
    library = inputs.library
    if library is not None:
        library = treat_pure_spectra(library, steps, axis)
    if truth is not None:
        clean = None if truth.clean is None else treat_pure_spectra(truth.clean, steps, axis)
        components = treat_pure_spectra(truth.components, steps, axis)
        truth = truth._replace(components=components, clean=clean)
        if not is_built_in:  # that is in the units of its table
            truth = match_units(truth, table.spectra)
        table = table._replace(notes=(*table.notes, *truth.notes))
    return replace(inputs, table=table, truth=truth, library=library)


def _built_in(config: GMCRConfig) -> GMCRInputs:
    options = config.mixture
    num_samples = config.num_samples or 4 * options.num_components
    made = jax.device_get(mixtures(jax.random.key(config.seed), num_samples, options))
    noise_text = "no noise" if options.snr_db is None else f"{options.snr_db:g} dB"
    note = f"{num_samples} built-in mixtures of {options.num_components} components, {noise_text}"
    table = SpectraTable(
        made.data, np.arange(num_samples), source_name="the built-in mixtures", notes=(note,)
    )
    return GMCRInputs(table, GroundTruth(made.components, made.concentrations, made.clean))


def _from_files(config: GMCRConfig) -> GMCRInputs:
    paths = config.data_paths()
    tables = [_open_table(config, path) for path in paths]
    table = tables[0]
    if config.fractions and table.cubes:
        raise ValueError(f"--fractions belongs to tables; {paths[0]} holds cubes")
    file_rows = ()
    if len(tables) > 1:
        is_cube = [bool(each.cubes) for each in tables]
        if any(is_cube):
            raise ValueError(
                f"--data {paths[is_cube.index(True)]} holds cubes; several files are tables, and "
                "cubes go into one folder"
            )
        if config.truth is not None:
            raise ValueError("--truth belongs to one file; stack the files and give --runs")
        file_rows = tuple(each.source_rows for each in tables)
        table = stack_tables(tables)
    if config.truth is None:
        return GMCRInputs(table, file_rows=file_rows)
    return GMCRInputs(table, load_ground_truth(config.truth, table, config.truth_key))


def _open_table(config: GMCRConfig, path: str) -> SpectraTable:
    return open_table(
        path,
        config.table_options(),
        layout=config.layout,
        size=config.size,
        raw=config.raw,
        no_data=config.no_data,
        max_pixels=config.num_pixels,
        seed=config.seed,
    )
