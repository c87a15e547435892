"""What an unmixing would read of a table of spectra."""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.config.inspect import InspectConfig
from jaxhsi.data.formats.band_files import list_band_files
from jaxhsi.data.formats.sensors import product_cube
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.tables.spectra_table import SpectraTable
from jaxhsi.data.tables.table import is_cube_path
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.workflows.gmcr_inputs import open_gmcr_inputs

CHANGING_OPTIONS = {
    "spectra": "--spectra",
    "references": "--references",
    "missing values": "--missing",
}
"""Option that changes each property, here and in ``jaxhsi train gmcr``."""


class TablePreview(NamedTuple):
    """What ``jaxhsi train gmcr`` would read of a table.

    Attributes:
        source: the file or folder.
        table: its spectra, with the notes that the run would print.
        command: that unmixes them.
    """

    source: Path
    table: SpectraTable
    command: str

    def properties(self) -> dict[str, str]:
        """The preview in words, by property."""
        table = self.table
        num_spectra, num_bands = table.spectra.shape
        mask = table.missing_mask  # estimates stand in the places of missing values
        values = table.spectra if mask is None else table.spectra[~mask]
        return {
            "table": "spectra to unmix, not a cube",
            "spectra": f"{num_spectra:,} of {num_bands} bands",
            "axis": _describe_axis(table),
            "samples": _describe_samples(table),
            "references": ", ".join(reference.name for reference in table.references) or "none",
            "missing values": f"{self.num_missing:,} masked" if self.num_missing else "none left",
            "values": f"{values.min():.6g}..{values.max():.6g}",
        }

    @property
    def num_missing(self) -> int:
        """Values that the fit leaves out."""
        mask = self.table.missing_mask
        return 0 if mask is None else int(mask.sum())

    def lines(self) -> list[str]:
        """The preview for the screen: properties, the notes of the run, the command."""
        lines = [str(self.source)]
        for name, text in self.properties().items():
            option = f"  [{CHANGING_OPTIONS[name]}]" if name in CHANGING_OPTIONS else ""
            lines.append(f"  {name:14} {text}{option}")
        lines += [f"  - {note}" for note in self.table.notes]
        return [*lines, f"  unmix it: {self.command}"]

    def to_json(self) -> dict[str, Any]:
        """The preview for a file of JSON."""
        table = self.table
        return {
            **{"file": str(self.source), "kind": "table"},
            **{"num_spectra": len(table.spectra), "num_bands": table.spectra.shape[1]},
            "axis": None if table.axis is None else table.axis.tolist(),
            "axis_name": table.axis_name,
            "sample_names": None if table.sample_names is None else list(table.sample_names),
            "sample_axis": None if table.sample_axis is None else table.sample_axis.tolist(),
            "sample_axis_name": table.sample_axis_name,
            "references": [reference.name for reference in table.references],
            "num_missing": self.num_missing,
            "notes": list(table.notes),
            "options": dict(CHANGING_OPTIONS),
            "command": self.command,
        }


def holds_table(path: Path, config: InspectConfig) -> bool:
    """Whether a path names a table, or a folder of spectra, rather than cubes.

    Raises:
        FileNotFoundError: nothing at the path.
        ValueError: a file that cannot be read.
    """
    if product_cube(path) is not None or (path.is_dir() and list_band_files(path)):
        return False
    return not is_cube_path(path, key=config.key, size=config.size)


def preview_table(path: Path, config: InspectConfig, options: IngestOptions) -> TablePreview:
    """Read a table as ``jaxhsi train gmcr`` would.

    Args:
        path: file, or folder of files with a spectrum each.
        config: of the command; its ``key`` names a table in the file.
        options: to the values of cubes, which a table has not.

    Raises:
        ImportError: a package that reads the file is not installed.
        ValueError: a table that cannot be read or unmixed, or an option of cubes beside it.
    """
    switches = ("keep_bands", "orthorectify", "raw")
    cube_options = [
        name for name in ("layout", "no_data", "scale") if getattr(config, name) is not None
    ]
    cube_options += [name for name in switches if getattr(options, name)]
    if cube_options:
        raise ValueError(
            f"{path} is a table of spectra, and --{cube_options[0]} belongs to cubes; leave it out"
        )
    names = (field.name for field in fields(TableOptions))
    choices = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    inputs = open_gmcr_inputs(GMCRConfig(data=str(path), **choices))
    options_text = "".join(f" --{name} {shlex.quote(value)}" for name, value in choices.items())
    command = f"jaxhsi train gmcr --data {shlex.quote(str(path))}{options_text}"
    return TablePreview(path, inputs.table, command)


def _describe_axis(table: SpectraTable) -> str:
    if table.axis is None:
        return "none in the file; bands are counted"
    name = f"{table.axis_name}, " if table.axis_name else ""
    return f"{name}{table.axis[0]:.6g}..{table.axis[-1]:.6g}"


def _describe_samples(table: SpectraTable) -> str:
    if table.sample_axis is not None:
        name = f"{table.sample_axis_name} " if table.sample_axis_name else "numbers "
        return f"{name}{table.sample_axis[0]:.6g}..{table.sample_axis[-1]:.6g}"
    if table.sample_names is None:
        return "without names"
    names = ", ".join(table.sample_names[:3])
    return f"{names}{', ...' if len(table.sample_names) > 3 else ''}"
