"""Options of ``python -m jaxhsi.train dgc``, and the method that they describe."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import optax

from jaxhsi.config.files import above_zero, at_least
from jaxhsi.dgc.algorithm import DGC, Options, teacher_student
from jaxhsi.dgc.networks import patch_encoder
from jaxhsi.dgc.views import ViewOptions
from jaxhsi.upstream.dgc.algorithm import PrototypeOptions
from jaxhsi.upstream.dgc.algorithm import prototype_dgc
from jaxhsi.upstream.dgc.encoder import upstream_encoder
from jaxhsi.upstream.dgc.windows import over_windows


@dataclass(frozen=True)
class EncoderOptions:
    """Size of the default encoder.

    Attributes:
        hidden: width of the per-pixel layer.
        channels: width of the spatial blocks.
        depth: number of spatial blocks; each reaches two pixels further.
        dtype: of the products and convolutions; sums and losses stay float32.
    """

    hidden: int = 48
    channels: int = 16
    depth: int = 2
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class UpstreamEncoderOptions:
    """Size of upstream's encoder, its values by default.

    Attributes:
        embed_dim: d of the embedding and width of every layer.
        layers: convolutions over the flattened row.
        kernel: their length in pixels.
        bias: whether the convolutions have one.
        dtype: of the convolutions; sums and losses stay float32.
    """

    embed_dim: int = 32
    layers: int = 3
    kernel: int = 9
    bias: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class OptimizerOptions:
    """AdamW behind a bound on the norm of the gradient.

    Attributes:
        learning_rate: step size.
        weight_decay: decoupled decay of all parameters.
        clip: largest norm of the gradient.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    clip: float = 1.0


@dataclass(frozen=True)
class StreamOptions:
    """How the cubes are read.

    Attributes:
        batch: windows of a step, over all devices; each gives one pair of views.
        sample: spectra that the closed-form start is fitted to.
        threads: that read concurrently.
        ahead: windows read before they are needed.
        tile: side of the tiles that a cube is labelled by.
        standardise_cubes: standardise each band over its own cube first, as upstream does.
    """

    batch: int = 4
    sample: int = 16384
    threads: int = 4
    ahead: int = 16
    tile: int = 128
    standardise_cubes: bool = False


@dataclass(frozen=True)
class WatchOptions:
    """How a run is looked at on its way, without labels.

    Attributes:
        every: steps between looks.
        windows: about so many windows are looked at, the same each time.
        patience: looks in a row that find the run fallen apart before it is ended; null never
            ends it.
        margin: share of the best mutual information that a state has lost where it has fallen
            apart.
    """

    every: int = 25
    windows: int = 16
    patience: int | None = 10
    margin: float = 0.1


@dataclass(frozen=True)
class SceneOptions:
    """The built-in leaf scenes, used where no data is given.

    Attributes:
        size: side of a scene in pixels, 64 to 4096.
        train: scenes to train on.
        test: other scenes, never trained on, which are labelled and scored.
        seed: of the first scene.
    """

    size: int = 256
    train: int = 6
    test: int = 4
    seed: int = 0


@dataclass(frozen=True)
class DGCConfig:
    """Label-free segmentation of hyperspectral cubes by Deep Global Clustering.

    Attributes:
        data: a cube (.mat, .npy, a Zarr store or its URL) or a folder of cubes; built-in leaf
            scenes if not given.
        labels: true classes, to score against: a file for one cube, or a folder of .npy, .mat or
            .png files with the stems of the cubes.
        ignore_label: class in the labels that means unlabelled, e.g. 0.
        out: folder of the run; a new one under runs/ if not given.
        num_clusters: number of clusters.
        steps: training steps; 0 leaves the closed-form start as it is.
        seed: of everything drawn at random.
        devices: number of devices to spread over; all that divide the batch if not given.
        key: name of the cube inside a .mat file, where there are several.
        layout: order of the axes of a .mat or .npy file; told from their lengths if not given.
        size: height and width of the image where the array is a table (C, H * W).
        tolerance: nm by which the wavelengths of a band may differ between cubes; half of the
            smallest distance between two bands if not given.
        label_key: name of the labels inside a .mat file; a table (k, H * W) of abundances gives
            the largest of each pixel.
        method: the default method, or upstream's algorithm for comparison.
        log_every: steps between lines of metrics.
        save_every: steps between checkpoints.
        keep: the state that labels cubes, here and in predict: the best by the mutual information
            of two views' labels, or the last.
        teacher_student: of the default method.
        encoder: of the default method.
        prototype: of upstream's algorithm.
        upstream_encoder: of upstream's algorithm.
        views: how pairs of overlapping views are drawn.
        optimizer: of the parameters.
        stream: how the cubes are read.
        watch: how a run is looked at on its way.
        scenes: the built-in data.
    """

    data: str | None = None
    labels: Path | None = None
    ignore_label: int | None = None
    out: Path | None = None
    num_clusters: int = 16
    steps: int = 300
    seed: int = 0
    devices: int | None = None
    key: str | None = None
    layout: Literal["hwc", "chw"] | None = None
    size: tuple[int, int] | None = None
    tolerance: float | None = None
    label_key: str | None = None
    method: Literal["teacher_student", "upstream"] = "teacher_student"
    log_every: int = 10
    save_every: int = 100
    keep: Literal["best", "last"] = "best"
    teacher_student: Options = field(default_factory=Options)
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    prototype: PrototypeOptions = field(default_factory=PrototypeOptions)
    upstream_encoder: UpstreamEncoderOptions = field(default_factory=UpstreamEncoderOptions)
    views: ViewOptions = field(default_factory=ViewOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    stream: StreamOptions = field(default_factory=StreamOptions)
    watch: WatchOptions = field(default_factory=WatchOptions)
    scenes: SceneOptions = field(default_factory=SceneOptions)

    def __post_init__(self):
        """Refuse values that cannot work before anything long begins."""
        for name, least in (("num_clusters", 1), ("steps", 0), ("log_every", 1), ("save_every", 1)):
            at_least(f"--{name}", getattr(self, name), least)
        for name in ("batch", "sample", "threads", "ahead", "tile"):
            at_least(f"--stream.{name}", getattr(self.stream, name), 1)
        for name in ("train", "test"):
            at_least(f"--scenes.{name}", getattr(self.scenes, name), 1)
        for name in ("every", "windows", "patience"):
            if (value := getattr(self.watch, name)) is not None:
                at_least(f"--watch.{name}", value, 1)
        if not 0 <= self.watch.margin < 1:
            raise ValueError(
                f"--watch.margin {self.watch.margin} is out of range; give a share from 0 to 1"
            )
        above_zero("--tolerance", self.tolerance)
        if self.stream.sample < self.num_clusters:
            raise ValueError(
                f"--stream.sample {self.stream.sample} spectra cannot start "
                f"{self.num_clusters} clusters; raise it or lower --num_clusters"
            )


FREE_TO_CHANGE = (
    *("steps", "out", "devices", "log_every", "save_every", "labels", "ignore_label", "label_key"),
    *("stream.threads", "stream.ahead", "stream.tile"),
    *("keep", "watch.patience", "watch.margin"),
)
"""Options that a run may be resumed with other values of: none changes what a step computes."""


def build_optimizer(options: OptimizerOptions) -> optax.GradientTransformation:
    """AdamW behind a bound on the gradient's norm."""
    return optax.chain(
        optax.clip_by_global_norm(options.clip),
        optax.adamw(options.learning_rate, weight_decay=options.weight_decay),
    )


def build_method(config: DGCConfig, bands: int) -> DGC:
    """The method that a configuration describes, for cubes of so many bands."""
    if config.method == "upstream":
        return _upstream_method(config, bands)
    encoder = patch_encoder(
        bands,
        config.teacher_student.normalisations,
        config.teacher_student.dimensions(config.num_clusters, bands),
        hidden=config.encoder.hidden,
        channels=config.encoder.channels,
        depth=config.encoder.depth,
        dtype=jnp.dtype(config.encoder.dtype),
    )
    return teacher_student(
        encoder,
        build_optimizer(config.optimizer),
        config.num_clusters,
        config.teacher_student,
        config.views,
    )


def _upstream_method(config: DGCConfig, bands: int) -> DGC:
    size = config.upstream_encoder
    encoder = upstream_encoder(
        bands, size.embed_dim, size.layers, size.kernel, size.bias, jnp.dtype(size.dtype)
    )
    optimizer = build_optimizer(config.optimizer)
    method = prototype_dgc(
        encoder, config.num_clusters, size.embed_dim, optimizer, config.prototype
    )
    return over_windows(method, config.num_clusters, config.views)
