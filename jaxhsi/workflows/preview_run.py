"""A cube under each normalisation before anything is trained: closed-form labels side by side.

No rule without labels picks the best normalisation; a person can at a glance, and a few labelled
pixels can.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from rich.console import Console
from rich.table import Table

from jaxhsi.config.preview import PreviewConfig
from jaxhsi.data.cube import Cube
from jaxhsi.data.far_pixels import READING_DEVIATIONS, limited_reader, typical_spectra
from jaxhsi.data.labels.clicks import Click, read_clicks
from jaxhsi.data.open import open_cubes
from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.windows import WindowReader, read_window
from jaxhsi.dgc.gaussian_mixture import fit_mixture, posterior
from jaxhsi.dgc.options import DGCOptions
from jaxhsi.dgc.pca_embedding import embed, fit_pca_embedding
from jaxhsi.normalisation_names import NORMALISATIONS
from jaxhsi.report.contact_sheet import Panel, save_contact_sheet
from jaxhsi.report.label_pictures import FalseColourPicture
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.progress import ProgressBars

DEFAULT_PAIR = ("snv", "band")
CANDIDATES: tuple[tuple[str, ...], ...] = (*((name,) for name in NORMALISATIONS), DEFAULT_PAIR)
"""Normalisations that are shown: each alone, and the pair that training takes by default."""

NUM_SPECTRA, NUM_STARTS = 4096, 8
"""Spectra that a segmentation is fitted to and starts of its mixture. Set by hand for seconds: the
training takes 16,384 and 64."""

WINDOW_SIDE = 1024
"""Side in pixels of the middle part of a larger cube that is shown. Set by hand for seconds."""

PICTURE_SIDE = 256
"""Rows or columns of a panel at most. Set by hand."""


class Segmented(NamedTuple):
    """A closed-form segmentation.

    Attributes:
        normalisation: as ``--normalisation`` takes it.
        num_clusters: number of clusters that were asked for.
        shown_labels: of the pixels that are shown and valid.
        agreement: share of the labelled pixels that the others of their cluster name rightly; None
            without labelled pixels.
    """

    normalisation: str
    num_clusters: int
    shown_labels: Int[np.ndarray, " n"]
    agreement: float | None


def preview_cube(config: PreviewConfig) -> dict[str, Any]:
    """Draw the contact sheet of a cube, and rank its normalisations by labelled pixels.

    Args:
        config: the options.

    Returns:
        The picture, and each normalisation and number of clusters with its agreement.

    Raises:
        FileNotFoundError, ValueError: a cube or labelled pixels that cannot be used.
    """
    console, cube = PlainConsole(), _open_cube(config)
    clicks = [] if config.points is None else _clicks_of(config.points, cube)
    sample = typical_spectra((cube,), sample_spectra((cube,), NUM_SPECTRA, config.seed))
    reader = limited_reader(read_window, _largest_value(sample))
    step, values, valid, picture = _read_picture(cube, console, reader)
    clicked = [_spectrum(cube, click) for click in clicks]
    # One array for all that is embedded, so that each normalisation is compiled once.
    spectra = np.concatenate([sample, values[valid], np.reshape(clicked, (-1, sample.shape[1]))])
    names, segmented = [click.name for click in clicks], []
    with ProgressBars(console) as progress_bars:
        for number, normalisations in enumerate(CANDIDATES):
            progress_bars("segmenting", number, len(CANDIDATES))
            segmented += _segment(config, normalisations, spectra, len(sample), names)
        progress_bars("segmenting", len(CANDIDATES), len(CANDIDATES))
    out = config.out or Path(f"preview-{cube.name}.png")
    title = f"{cube.name}: {cube.shape[0]} x {cube.shape[1]} pixels, {cube.shape[2]} bands"
    places = _in_picture([(click.row, click.column) for click in clicks], cube, step)
    save_contact_sheet(out, title, picture, _panels(segmented, valid), places=places)
    _print_result(console, segmented, out)
    return {"picture": str(out), "segmentations": [_record(each) for each in segmented]}


def agreement(names: Sequence[str], labels: Int[np.ndarray, " n"]) -> float:
    """Share of labelled pixels whose name most of the others in their cluster have.

    A pixel that is alone in its cluster counts as wrong: nothing says what it is. So neither one
    cluster for all nor one for each pixel scores high.

    Args:
        names: of the pixels.
        labels: their clusters.

    >>> agreement(["leaf", "leaf", "soil", "soil"], np.array([0, 0, 1, 1]))
    1.0
    >>> agreement(["leaf", "leaf", "soil", "soil"], np.array([0, 1, 2, 3]))
    0.0
    """
    name_array = np.asarray(names)
    num_right = 0
    for i, (name, label) in enumerate(zip(names, labels, strict=True)):
        is_other = labels == label
        is_other[i] = False
        others, counts = np.unique(name_array[is_other], return_counts=True)
        winners = others[counts == counts.max()] if len(others) else []
        num_right += len(winners) == 1 and winners[0] == name
    return num_right / len(names)


def _open_cube(config: PreviewConfig) -> Cube:
    names = ("key", "layout", "size", "raw", "no_data")
    cubes = open_cubes(config.cube, **{name: getattr(config, name) for name in names})
    if len(cubes) > 1:
        listed = ", ".join(cube.name for cube in cubes[:10])
        raise ValueError(f"{config.cube} holds {len(cubes)} cubes ({listed}); give one of them")
    return cubes[0]


def _clicks_of(path: Path, cube: Cube) -> list[Click]:
    """The labelled pixels of a cube, all of them valid.

    Raises:
        ValueError: none is of this cube, one lies outside of it or has no value, or all of them
            have one name.
    """
    clicks = [click for click in read_clicks(path) if click.cube == cube.name]
    if not clicks:
        raise ValueError(
            f"{path} holds no pixel of a cube called {cube.name}; check its first column"
        )
    if len({click.name for click in clicks}) < 2:
        raise ValueError(
            f"{path} names all pixels {clicks[0].name}; label pixels of two kinds at least"
        )
    for click in clicks:
        height, width = cube.shape[:2]
        if click.row >= height or click.column >= width:
            raise ValueError(
                f"{click.file_line}: row {click.row}, column {click.column} lies outside of "
                f"{cube.name}, which has {height} rows and {width} columns"
            )
        if not read_window(cube, click.row, click.column, 1, 1)[1].all():
            raise ValueError(
                f"{click.file_line}: the pixel has no value in some band; choose another"
            )
    return clicks


def _spectrum(cube: Cube, click: Click) -> Float[np.ndarray, " c"]:
    return read_window(cube, click.row, click.column, 1, 1)[0][0, 0]


def _shown_window(cube: Cube) -> tuple[int, int, int, int]:
    """Top, left, height and width of the part that is shown: the middle of a large cube."""
    height, width = (min(size, WINDOW_SIDE) for size in cube.shape[:2])
    return (cube.shape[0] - height) // 2, (cube.shape[1] - width) // 2, height, width


def _largest_value(sample: Float[np.ndarray, "n c"]) -> float:
    """Size of a value beyond which a pixel is not shown, as training has it."""
    return float(np.abs(sample.mean(axis=0)).max() + READING_DEVIATIONS * sample.std())


def _read_picture(
    cube: Cube, console: Console, window_reader: WindowReader
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Step between the pixels that are shown, their values, which are valid, and false colours."""
    top, left, height, width = _shown_window(cube)
    if (height, width) != cube.shape[:2]:
        console.print(
            f"shown are the middle {height} x {width} of {cube.shape[0]} x {cube.shape[1]} pixels; "
            "the spectra are drawn from all of them",
            soft_wrap=True,
        )
    step = max(1, -(-max(height, width) // PICTURE_SIDE))
    rows = []
    for row in range(top, top + height, step):  # a row at a time: the memory is that of a row
        values, valid = window_reader(cube, row, left, 1, width)
        rows.append((values[0, ::step], valid[0, ::step]))
    values, valid = (np.stack(parts) for parts in zip(*rows, strict=True))
    return step, values, valid, _false_colours(cube, values, valid)


def _false_colours(cube: Cube, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The picture of values that were read already."""
    picture = FalseColourPicture(cube, max(cube.shape[:2]))
    reader = picture.recording_reader(lambda *_: (values, valid))
    reader(cube, 0, 0, *valid.shape)
    return picture.picture()[: valid.shape[0], : valid.shape[1]]


def _in_picture(
    points: Sequence[tuple[int, int]], cube: Cube, step: int
) -> list[tuple[float, float]]:
    """Places of pixels in the picture, those that it shows."""
    top, left, height, width = _shown_window(cube)
    moved = [(row - top, column - left) for row, column in points]
    return [(y / step, x / step) for y, x in moved if 0 <= y < height and 0 <= x < width]


def _segment(
    config: PreviewConfig,
    normalisations: tuple[str, ...],
    spectra: Float[np.ndarray, "n c"],
    num_sampled: int,
    names: Sequence[str],
) -> list[Segmented]:
    """One segmentation for each number of clusters; a sample, shown and named spectra in turn."""
    options, num_bands = DGCOptions(), spectra.shape[1]
    sample = jnp.asarray(spectra[:num_sampled])
    dimensions = [options.resolved_dim(number, num_bands) for number in config.num_clusters]
    pca_embedding = fit_pca_embedding(sample, normalisations, max(dimensions))
    embedded = _embed(pca_embedding, normalisations, jnp.asarray(spectra))
    segmented = []
    for num_clusters, dimension in zip(config.num_clusters, dimensions, strict=True):
        key = jax.random.key(config.seed)
        # The leading axes of a PCA are those of a smaller one.
        v = embedded[:, :dimension]
        mixture = fit_mixture(key, v[:num_sampled], num_clusters, NUM_STARTS)
        labels = np.asarray(_posterior(v, mixture).argmax(-1))[num_sampled:]
        num_shown = len(labels) - len(names)
        agreed = agreement(names, labels[num_shown:]) if names else None
        name = "+".join(normalisations)
        segmented.append(Segmented(name, num_clusters, labels[:num_shown], agreed))
    return segmented


_embed = jax.jit(embed, static_argnums=1)
_posterior = jax.jit(posterior)


def _panels(segmented: Sequence[Segmented], valid: Bool[np.ndarray, "h w"]) -> list[Panel]:
    """Label maps of the pixels that are shown."""
    panels = []
    for each in segmented:
        labels = np.full(valid.shape, -1, np.int32)
        labels[valid] = each.shown_labels
        panels.append(Panel(each.normalisation, each.num_clusters, labels, each.agreement))
    return panels


def _record(segmented: Segmented) -> dict[str, Any]:
    return {
        "normalisation": segmented.normalisation,
        "num_clusters": segmented.num_clusters,
        "agreement": segmented.agreement,
    }


def _print_result(console: Console, segmented: Sequence[Segmented], out: Path) -> None:
    """The ranking, where pixels are labelled, and what to do next."""
    console.print(f"the contact sheet is {out}", soft_wrap=True)
    if segmented[0].agreement is None:
        console.print(
            "choose the picture that shows what you want to tell apart, then: jaxhsi train dgc "
            "--normalisation NAME; --points CSV ranks them by a few labelled pixels",
            soft_wrap=True,
        )
        return
    ranked = sorted(segmented, key=lambda each: (-(each.agreement or 0), each.num_clusters))
    table = Table("normalisation", "clusters", "agreement", title="by the labelled pixels")
    for each in ranked:
        table.add_row(each.normalisation, str(each.num_clusters), f"{each.agreement:.0%}")
    console.print(table)
    best = ranked[0]
    equals = [each for each in ranked if each.agreement == best.agreement]
    options = f"--normalisation {best.normalisation} --num_clusters {best.num_clusters}"
    console.print(f"take: jaxhsi train dgc {options}", soft_wrap=True)
    if len(equals) > 1:
        listed = ", ".join(f"{each.normalisation} with {each.num_clusters}" for each in equals[1:])
        note = f"as good by these pixels: {listed}; label more to tell them apart"
        console.print(note, soft_wrap=True)
