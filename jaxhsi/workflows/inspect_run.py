"""What would be read of files, and the option that changes it."""

from pathlib import Path
from typing import Any

from jaxhsi.command_errors import USER_ERRORS
from jaxhsi.command_line import IncompleteResultError
from jaxhsi.config.inspect import InspectConfig
from jaxhsi.data.cube import Cube, is_store, lacks_metadata, open_cube, refuse_damaged_store
from jaxhsi.data.formats import readable_files
from jaxhsi.data.formats.band_files import list_band_files
from jaxhsi.data.formats.sensors import product_cube
from jaxhsi.data.ingest.options import IngestOptions
from jaxhsi.data.ingest.preview import CHANGING_OPTIONS, IngestPreview, preview_ingest
from jaxhsi.data.statistics import stored_statistics
from jaxhsi.data.tables.table import is_cube_path
from jaxhsi.plain_text import plain_text
from jaxhsi.workflows.inspect_table import TablePreview, holds_table, preview_table


def inspect_all(
    config: InspectConfig,
    *,
    keep_bands: bool = False,
    orthorectify: bool = False,
    raw: bool = False,
) -> list[dict[str, Any]]:
    """Look at every path and print what would be read of it.

    Args:
        config: options.
        keep_bands: keep bad and empty bands.
        orthorectify: look at the cube on its map.
        raw: do not apply scale and offset of the files.

    Returns:
        What is printed of each file, in JSON; an ``error`` where it cannot be read.

    Raises:
        IncompleteResultError: files that were named cannot be read, after all were looked at.
    """
    options = IngestOptions(
        no_data=config.no_data,
        scale=config.scale,
        keep_bands=keep_bands,
        orthorectify=orthorectify,
        raw=raw,
    )
    records, failures = [], []
    for given in config.paths:
        for path in _files_of(given):
            try:
                is_table = path == given and holds_table(path, config)
                look = preview_table if is_table else _inspect_path
                record = look(path, config, options)
            except USER_ERRORS as error:
                record = {"file": str(path), "error": str(error)}
                if path == given:
                    failures.append(str(error))  # printed at the end, by what is raised
                    records.append(record)
                    continue
            records.append(record if isinstance(record, dict) else record.to_json())
            _print_record(record)
    if failures:
        raise IncompleteResultError("\n".join(failures), records)
    return records


def _files_of(path: Path) -> list[Path]:
    """A file, store, folder of bands or of spectra itself; else the cubes in a folder."""
    path = product_cube(path) or path
    if not path.is_dir() or is_store(path) or lacks_metadata(path):
        return [path]
    if list_band_files(path) or not is_cube_path(path):
        return [path]
    folders = [entry for entry in path.iterdir() if entry.is_dir()]
    stores = [entry for entry in folders if is_store(entry) or lacks_metadata(entry)]
    return sorted([*readable_files(path), *stores])


def _inspect_path(
    path: Path, config: InspectConfig, options: IngestOptions
) -> IngestPreview | dict[str, Any]:
    for name in ("spectra", "separator", "decimal", "references", "missing"):
        if getattr(config, name) is not None:
            raise ValueError(f"{path} is a cube, and --{name} belongs to tables; leave it out")
    refuse_damaged_store(path)
    if path.is_dir() and is_store(path):
        return _describe_store(open_cube(path))
    return preview_ingest(
        path, key=config.key, layout=config.layout, size=config.size, options=options
    )


def _describe_store(cube: Cube) -> dict[str, Any]:
    statistics = stored_statistics(cube)
    return {
        **{"file": cube.url, "shape": list(cube.shape), "dtype": cube.array.dtype.name},
        "wavelengths_nm": None if cube.wavelengths is None else cube.wavelengths.tolist(),
        **{"no_data": cube.no_data, "units": cube.units},
        "valid_share": None if statistics is None else statistics.valid_share,
        "georeference": cube.georeference and cube.georeference.to_json(),
        "history": list(cube.history),
    }


def _print_record(record: IngestPreview | TablePreview | dict[str, Any]) -> None:
    """Properties with the options that change them, then notes and warnings."""
    if isinstance(record, TablePreview):
        lines = record.lines()
    elif isinstance(record, dict):
        properties = {name: str(value) for name, value in record.items() if name != "file"}
        if record.get("wavelengths_nm"):
            properties["wavelengths_nm"] = f"{len(record['wavelengths_nm'])} values"
        lines = [record["file"], *(f"  {name:16} {text}" for name, text in properties.items())]
    else:
        lines = [str(record.source)]
        for name, text in record.properties().items():
            option = f"  [{CHANGING_OPTIONS[name]}]" if name in CHANGING_OPTIONS else ""
            lines.append(f"  {name:14} {text}{option}")
        notes = (*record.plan.history[1:], *record.plan.hints, *record.warnings)
        lines += [f"  - {note}" for note in notes]
    print("\n".join(map(plain_text, lines)))
