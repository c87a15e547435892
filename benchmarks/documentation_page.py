"""Write docs/benchmarks.md from benchmarks/results, so that tables and results cannot differ.

python -m benchmarks.documentation_page
"""

import json

from benchmarks.dgc.quality import markdown as dgc_quality_table
from benchmarks.dgc.stability import table as dgc_stability_table
from benchmarks.gmcr.field import table as gmcr_field_table
from benchmarks.gmcr.ranges import table as gmcr_ranges_table
from benchmarks.gmcr.tables import tables as gmcr_quality_tables
from benchmarks.machine import REPOSITORY
from benchmarks.runtime.outcomes import table as faults_table

RESULTS = REPOSITORY / "benchmarks" / "results"
UNITS = {"step": "view", "monitor": "window", "starts": "start", "label": "tile"}
"""What the units of the rows of `benchmarks.runtime.scaling` are."""
PAGE = REPOSITORY / "docs" / "benchmarks.md"


def report(name: str) -> dict:
    """A result file."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def rows_of(name: str) -> list[dict]:
    """Rows of a result file."""
    return report(name)["rows"]


def markdown_table(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def speed_table(name: str) -> str:
    """Median seconds and peak memory of implementations side by side."""
    rows = [
        [
            row["task"],
            row["implementation"],
            f"{row['median_seconds']:.3g} s",
            f"{row['peak_mib']:,.0f} MiB",
            f"{row['ratio']:.1f}x",
        ]
        for row in rows_of(name)
    ]
    return markdown_table(["task", "implementation", "median", "peak memory", "speed"], rows)


def memory_table() -> str:
    """Peak memory against the size of a cube."""
    rows = [
        [
            f"{row['side']} x {row['side']}",
            row["command"],
            f"{row['raw_mib']:,.0f} MiB",
            f"{row['peak_mib']:,.0f} MiB",
            f"{row['seconds']:.0f} s",
        ]
        for row in rows_of("memory")
    ]
    return markdown_table(["cube", "command", "raw size", "peak memory", "time"], rows)


def ingest_table() -> str:
    """Formats read into a store, beside a copy of the same bytes."""
    rows = [
        [
            row["format"],
            f"{row['bytes'] / 2**20:,.0f} MiB",
            *(f"{row[state]['share_of_copy']:.2f}" for state in ("cold", "warm")),
            f"{row['decode_seconds']:.1f} s",
            f"{min(row['warm']['ingest_seconds']):.1f} s",
            f"{row['peak_mb']:.0f} MB",
        ]
        for row in rows_of("ingest")
    ]
    header = ["format", "size", "from disk", "in memory", "read", "ingest", "peak memory"]
    return markdown_table(header, rows)


def scale_table() -> str:
    """A million pixels unmixed by a finished run."""
    rows = [
        [
            f"{row['side']} x {row['side']}",
            str(row["refine"]),
            f"{row['pixels_per_second']:,.0f}",
            f"{row['peak_mib']:,.0f} MiB",
        ]
        for row in report("unmix_scale")["unmix"]
    ]
    return markdown_table(["pixels", "--refine_steps", "pixels a second", "peak memory"], rows)


def scaling_table() -> str:
    """Work and traffic of a device."""
    rows = [
        [
            row["case"],
            str(row["devices"]),
            str(row["processes"]),
            f"{row['units']} {UNITS[row['case']]}{'s' if row['units'] > 1 else ''}",
            f"{row['gflop']:.3g}",
            f"{row['mib']:,.0f} MiB",
            str(sum(kind["calls"] for kind in row["moved"].values())),
            f"{sum(kind['bytes'] for kind in row['moved'].values()) / 2**10:,.1f} KiB",
            f"{row['overhead']:+.1%}" if "overhead" in row else "",
        ]
        for row in report("scaling")["rows"]
    ]
    titles = ["phase", "devices", "processes", "of one device", "GFLOP", "memory"]
    return markdown_table([*titles, "collectives", "moved", "overhead"], rows)


def projection_table() -> str:
    """A step on more devices, on paper."""
    rows = [
        [
            str(row["devices"]),
            str(row["batch"]),
            f"{1e3 * row['compute_seconds']:.2f} ms",
            f"{1e3 * row['traffic_seconds']:.2f} ms",
            f"{row['windows_per_second']:,.0f}",
            f"{row['efficiency']:.0%}",
        ]
        for row in report("scaling")["projection"]
    ]
    titles = ["devices", "windows a step", "compute", "traffic", "windows a second", "efficiency"]
    return markdown_table(titles, rows)


def assumptions() -> str:
    """Of the projection."""
    return ", ".join(f"{name} {value}" for name, value in report("scaling")["assumptions"].items())


def machine(name: str) -> str:
    """What a result file was measured on."""
    found = report(name)
    parts = {key: value for key, value in found["machine"].items() if key != "load"}
    described = ", ".join(f"{key} {value}" for key, value in parts.items())
    versions = ", ".join(f"{key} {value}" for key, value in found["versions"].items())
    return f"Measured on: {described}; {versions}."


def page() -> str:
    """The whole page."""
    stream = report("stream")
    gmcr_groups = gmcr_quality_tables(rows_of("gmcr_quality")).replace("### ", "### Group: ")
    return f"""# Benchmarks

This page is generated from `benchmarks/results` by `benchmarks/documentation_page.py`. Every
row of the result files, their schema and units are described in `benchmarks/README.md`.

## Segmentation: quality

`python -m benchmarks.dgc.quality --out dgc_quality.json --real FOLDER`. Every method is told
the number of clusters K. Leaf scenes: mean intersection over union of background and tissue
(K=2), and of background, tissue and lesion after the best merge (K=16). Other scenes: overall
accuracy / normalised mutual information of labelled pixels, or against the largest reference
abundance, after Hungarian matching. Median seed, and the worst seed in brackets. "start" is the
closed form before training. Rivals: the best of four normalisations of MiniBatchKMeans on 16
principal components, a Gaussian mixture with full covariances, SLIC superpixels with K-means,
Leiden on a spatial graph.

{dgc_quality_table(rows_of("dgc_quality"))}

"noise" adds white noise of 1.5 deviations to every band, "stripes" unequal columns (20 %),
"glare" a flat spectrum in patches.

{machine("dgc_quality")}

## Segmentation: stability of training

`python -m benchmarks.dgc.stability --out dgc_stability.json --real FOLDER`. Upstream's method,
repaired step by step (each row includes the repairs above it; "or" replaces the floor on
shares); then the default, and the default without one of its parts. Mean intersection over
union at the start, at best, at the end (worst seed); then clusters in use at the end (fewest).

{dgc_stability_table(rows_of("dgc_stability"))}

![Scores against the training step, upstream's method repaired step by step](stability.png)

![The same with parts of the default left out](stability_parts.png)

## Segmentation: speed and memory

`python -m benchmarks.dgc.step --reference CLONE --out dgc_step.json`: implementations in
processes side by side, runs alternating; 301 bands, 8 crops of 64 x 64 pixels, a cube of 256 x
256.

{speed_table("dgc_step")}

{machine("dgc_step")}

`python -m benchmarks.data.memory --out memory.json`: the most memory that a process held,
imports and compilation included.

{memory_table()}

![Peak memory against the size of the cube](memory.png)

Reading: training waits for data {stream["train"]["wait_share"]:.2%} of its time
(`python -m benchmarks.data.stream`); the stream alone gives
{stream["stream_warm"]["windows_per_second"]:.0f} windows a second.

`python -m benchmarks.data.ingest --out ingest.json`: a cube of 512 bands of uint16 beside a copy
of its uncompressed bytes. Copy over ingest from disk, and where the file is in memory; seconds
that the format's own library takes to read it, and that the ingest takes; peak of the process.

{ingest_table()}

## Segmentation: many devices

`python -m benchmarks.runtime.scaling --out scaling.json`: a step, the evaluation of 16 windows, the
64 starts of the mixture, and a tile on each device, at the default options and 200 bands; CPU
devices forced by XLA, and processes of `jax.distributed` with a device each. "of one device": what
the busiest one computes in a call; GFLOP, bytes read and written, and what its collectives move,
as XLA counts them in its program, a loop once; on one device, the time over that of a plain
`jax.jit`, in turns.

{scaling_table()}

{machine("scaling")}

On paper, from the work and the traffic of a step on eight devices: on one device; on eight of one
host, a view of the four windows on each; and with 32 windows a device on one host and on 32 hosts.
The times are assumed, not measured: {assumptions()}. Traffic is not overlapped with computation,
collectives are not combined, and windows are read in time. The default step is so small that the
latency of its collectives outweighs what eight such devices save: they pay with larger batches
(`--stream.batch_size`), or a run each.

{projection_table()}

## Unmixing: quality

`python -m benchmarks.gmcr.quality --out gmcr_quality.json`. Upstream's benchmark: N components
of 512 bands, 4N spectra that mix one to four of them. R2 against noise-free data; on the noisy
data the true mixture itself reaches a limit, and more is fitted noise.

{gmcr_groups}

![The number found against what makes it hard](gmcr.png)

{machine("gmcr_quality")}

## Unmixing: tables as laboratories measure them

`python -m benchmarks.gmcr.field --out gmcr_field.json`: 60 spectra of 300 bands, 3 to 5 components
nearly all of which mix, and noise as instruments make it; a chromatogram of 240 x 200 whose short
waves a solvent blinds; measured Raman spectra of carbohydrates. jaxhsi finds the number (one
restart); pyMCR and NMF are told it; the last three give a number alone.

{gmcr_field_table(rows_of("gmcr_field"))}

{machine("gmcr_field")}

`python -m benchmarks.gmcr.ranges --out gmcr_ranges.json`: shares of the true entries that lie
within the ranges of all solutions of equal fit, median over seeds and the least; width of the
ranges over the mean of the entries. Spectra have unit length: where one band is a thousand times as
noisy as another, their length is of noise, and the ranges do not hold it.

{gmcr_ranges_table(rows_of("gmcr_ranges"))}

## Unmixing: speed

`python -m benchmarks.gmcr.epoch --reference CLONE --out gmcr_epoch.json`: an epoch of
upstream's training.

{speed_table("gmcr_epoch")}

`python -m benchmarks.gmcr.unmix_scale --out unmix_scale.json`: 200 bands, 12 components, a
finished run.

{scale_table()}

## Faults

`python -m benchmarks.runtime.faults --out faults.json`: each command on tiny data, killed before a
change of the disk or at any time and given again; its files with a bit flipped, cut, with a stretch
of zeros or gone, and read; on a disk that is full, then with room again; on one that is read-only;
twice at once; with odd cubes and tables, and with files made to harm. *Right*: the result is that
of an undisturbed command, bit for bit, or says by name which file it is without. *Refused*: an
error names what is at fault, and the same command, or the one that it names, leads to the result.
*Lost*: what was there before is gone. *Stuck*: no command leads on, or one takes longer than 150 s.
*Wrong*: another result without a word. *Unclear*: an error that names nothing. What has no row was
not tried by this version.

{faults_table(rows_of("faults"))}
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
