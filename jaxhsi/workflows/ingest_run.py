"""Files of any format copied into stores, with a progress bar."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from jaxhsi.config.ingest import IngestConfig
from jaxhsi.data.cache import default_cache_folder
from jaxhsi.data.cube import Cube, is_store, open_cube
from jaxhsi.data.cube_files import list_cubes
from jaxhsi.data.formats.band_files import are_single_bands, write_band_stack
from jaxhsi.data.formats.raster_url import raster_url, write_url_raster
from jaxhsi.data.ingest.pipeline import holds_ingest, ingest, plan_ingest
from jaxhsi.data.statistics import stored_statistics
from jaxhsi.plain_text import plain_text
from jaxhsi.training.console import PlainTextColumn
from jaxhsi.workflows.command_parts import (
    PARTS_FOLDER,
    DividedCommand,
    complete_part,
    content_by_input,
    locked_part,
    log_part,
    part_to_do,
    read_parts,
    remove_parts,
)

PROGRESS_COLUMNS = (
    PlainTextColumn("{task.description}"),
    BarColumn(),
    DownloadColumn(),
    TransferSpeedColumn(),
    PlainTextColumn("left"),
    TimeRemainingColumn(),
)

MAX_LISTED_SOURCES = 8  # of a message


def pair_sources(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Each source with its store: the last path itself if it is one .zarr, else inside of it.

    Several files of one band each make one store, as a virtual raster in the cache folder.

    Raises:
        ValueError: no destination, or sources that would get the same name.
    """
    *sources, destination = paths
    sources = [local for source in sources for local in _local_sources(source)]
    if not sources:
        raise ValueError(f"only {destination} is given; give SRC... and then DST")
    if destination.suffix == ".zarr":
        if len(sources) == 1:
            return [(sources[0], destination)]
        if not are_single_bands(sources):
            names = ", ".join(source.name for source in sources[:MAX_LISTED_SOURCES])
            raise ValueError(
                f"{len(sources)} cubes do not fit into one store {destination}: {names}; give a "
                "folder for the stores, or name one of them. Only files of one band each are "
                "stacked into one"
            )
        stack = write_band_stack(sources, default_cache_folder(), destination.stem)
        return [(stack, destination)]
    if destination.is_file():
        raise ValueError(f"{destination} is a file; give a store NAME.zarr or a folder as the last")
    for name, count in Counter(source.stem for source in sources).items():
        if count > 1:
            raise ValueError(
                f"{count} sources are named {name}, and their stores would be too; ingest them one "
                "by one, to different names"
            )
    return [(source, destination / f"{source.stem}.zarr") for source in sources]


def _local_sources(source: Path) -> list[Path]:
    """A source as local files: what stands for an address, or the cubes of a folder."""
    url = raster_url(str(source))
    if url is not None:
        return [write_url_raster(url, default_cache_folder())]
    if not source.is_dir() or is_store(source):
        return [source]
    return [path for path in list_cubes(source) if isinstance(path, Path) and not is_store(path)]


def ingest_all(
    config: IngestConfig,
    *,
    keep_bands: bool = False,
    orthorectify: bool = False,
    raw: bool = False,
    merge_parts: bool = False,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Check every source, then copy one after the other.

    Args:
        config: options.
        keep_bands: do not drop what the files mark as bad, and bands without measurements.
        orthorectify: bring the pixels to a map by the geolocation tables of the files.
        raw: do not apply scale and offset of the files.
        merge_parts: copy nothing; check that all parts are complete.
        overwrite: replace stores.

    Returns:
        Path, shape, type and share of valid pixels of each store, of a part those of its stores.

    Raises:
        ValueError, OSError, ImportError: as `ingest.pipeline.ingest`.
    """
    part, source = part_to_do(config, merge_parts=merge_parts, overwrite=overwrite)
    config = replace(config, part=None)
    switches = {"keep_bands": keep_bands, "orthorectify": orthorectify, "raw": raw}
    source_pairs = pair_sources(config.paths)
    ingest_arguments = {
        "key": config.key,
        "layout": config.layout,
        "size": config.size,
        "options": replace(config.ingest_options(), **switches),
    }
    if part.is_whole and not merge_parts:
        return _ingest_pairs(source_pairs, ingest_arguments, overwrite, len(source_pairs) > 1)
    stores = {store.stem: (path, store) for path, store in source_pairs}
    divided = DividedCommand(
        command="ingest",
        config=config,
        switches=switches,
        folder=_parts_folder(config.paths[-1]),
        locations={name: str(path) for name, (path, _) in stores.items()},
    )
    if merge_parts:
        records = content_by_input(read_parts(divided), "stores")
        for _, store in stores.values():
            open_cube(store)  # refuses what is not there, or not whole
        remove_parts(divided.folder)
        print(f"all {len(stores)} stores are in {config.paths[-1]}")
        return [records[name] for name in stores]
    log_part(divided, part, source, "files")
    names = list(divided.part_locations(part))
    if not names:
        return []
    with locked_part(divided, part, overwrite=overwrite):
        # Stores that are there are kept, so that a part which is complete is soon done again.
        pairs = [stores[name] for name in names]
        records = _ingest_pairs(pairs, ingest_arguments, overwrite, is_several=True)
        complete_part(divided, part, {"stores": dict(zip(names, records, strict=True))})
    return records


def _parts_folder(destination: Path) -> Path:
    """Where the parts of an ingest leave their records: hidden in the folder, or beside a store."""
    if destination.suffix == ".zarr":
        return destination.with_name(f".{destination.name}.{PARTS_FOLDER}")
    return destination / f".{PARTS_FOLDER}"


def _ingest_pairs(
    source_pairs: Sequence[tuple[Path, Path]],
    ingest_arguments: dict[str, Any],
    overwrite: bool,
    is_several: bool,
) -> list[dict[str, Any]]:
    """Check sources and copy them into their stores."""
    is_kept = {}
    for source, destination in source_pairs:
        # Of several, those that are whole are passed over: the others are gone on with.
        may_be_kept = is_several and not overwrite
        is_kept[destination] = may_be_kept and holds_ingest(source, destination, **ingest_arguments)
        if not is_kept[destination]:
            plan_ingest(source, destination, overwrite=overwrite, **ingest_arguments)
    records = []
    for source, destination in source_pairs:
        if is_kept[destination]:
            print(f"{destination} is there, made of the same file and options, and is kept")
            records.append(_record(destination, open_cube(destination)))
            continue
        with Progress(*PROGRESS_COLUMNS) as progress_bar:
            bar_task = progress_bar.add_task(source.name, total=None)

            def show(done: int, total: int, bar=progress_bar, task=bar_task) -> None:
                bar.update(task, completed=done, total=total)

            cube = ingest(
                source, destination, on_progress=show, overwrite=overwrite, **ingest_arguments
            )
        record = _record(destination, cube)
        records.append(record)
        shape = " x ".join(map(str, cube.shape))
        summary = f"{shape} {record['dtype']}, {_percent(record['valid_share'])} valid pixels"
        print(plain_text(f"{destination}: {summary}"))
    return records


def _record(destination: Path, cube: Cube) -> dict[str, Any]:
    """What a store holds, for ``--json``."""
    return {
        "store": str(destination),
        "shape": list(cube.shape),
        "dtype": cube.array.dtype.name,
        "valid_share": _valid_share(cube),
    }


def _valid_share(cube: Cube) -> float:
    """Share of the pixels with a value in every band."""
    statistics = stored_statistics(cube)
    assert statistics is not None  # every ingest keeps them
    return float(statistics.valid_share)


def _percent(share: float) -> str:
    """A share in per cent; 0 and 100 are exact."""
    return "100 %" if share == 1 else f"{min(max(share, 0.001), 0.999):.1%}".replace("%", " %")
