"""Options of ``jaxhsi train dgc``; loads no JAX, see `jaxhsi.workflows.dgc_method`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from jaxhsi.closest_name import closest_name
from jaxhsi.config.files import check_at_least, check_positive
from jaxhsi.data.axis_layout import Layout
from jaxhsi.dgc.options import DGCOptions, ViewOptions
from jaxhsi.normalisation_names import NORMALISATIONS, Normalisation
from jaxhsi.upstream.dgc.options import PrototypeOptions


@dataclass(frozen=True)
class EncoderOptions:
    """Size of the default encoder.

    Attributes:
        hidden_width: width of the per-pixel layer.
        spatial_channels: width of the spatial blocks.
        num_blocks: number of spatial blocks; each reaches two pixels further.
        dtype: in files of earlier versions; precision takes its place.
    """

    hidden_width: int = 48
    spatial_channels: int = 16
    num_blocks: int = 2
    dtype: Literal["float32", "bfloat16"] | None = None


@dataclass(frozen=True)
class UpstreamEncoderOptions:
    """Size of upstream's encoder, its values by default.

    Attributes:
        embed_dim: d of the embedding and width of every layer.
        num_layers: convolutions over the flattened row.
        kernel_size: their length in pixels.
        use_bias: whether the convolutions have one.
        dtype: in files of earlier versions; precision takes its place.
    """

    embed_dim: int = 32
    num_layers: int = 3
    kernel_size: int = 9
    use_bias: bool = False
    dtype: Literal["float32", "bfloat16"] | None = None


@dataclass(frozen=True)
class OptimizerOptions:
    """AdamW behind a bound on the norm of the gradient.

    Attributes:
        learning_rate: step size.
        weight_decay: decoupled decay of all parameters.
        max_gradient_norm: largest norm of the gradient.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    max_gradient_norm: float = 1.0


@dataclass(frozen=True)
class StreamOptions:
    """How the cubes are read.

    Attributes:
        batch_size: windows of a step, over all devices; each gives one pair of views.
        sample_size: spectra that the closed-form start is fitted to.
        num_threads: that read concurrently.
        prefetch_windows: windows read before they are needed.
        tile_size: side of the tiles that a cube is labelled by.
        standardise_cubes: standardise each band over its own cube first, as upstream does.
    """

    batch_size: int = 4
    sample_size: int = 16384
    num_threads: int = 4
    prefetch_windows: int = 16
    tile_size: int = 128
    standardise_cubes: bool = False


@dataclass(frozen=True)
class MonitorOptions:
    """How a run is looked at on its way, without labels.

    Attributes:
        every: steps between looks.
        num_windows: about so many windows are looked at, the same each time.
        patience: looks in a row that find the run fallen apart before it is ended; null never
            ends it.
        max_information_loss: share of the best mutual information that a state may lose before
            it counts as fallen apart.
        no_improvement: looks in a row in which the mutual information has not improved before the
            run ends; null takes all steps, as upstream's method always does.
        min_improvement: share by which it rises in an improvement.
    """

    every: int = 25
    num_windows: int = 16
    patience: int | None = 10
    max_information_loss: float = 0.1
    no_improvement: int | None = 6
    min_improvement: float = 0.001


@dataclass(frozen=True)
class SceneOptions:
    """The built-in leaf scenes, used where no data is given.

    Attributes:
        image_size: side of a scene in pixels, 64 to 4096.
        num_train: scenes to train on.
        num_test: other scenes, never trained on, which are labelled and scored.
        seed: of the first scene.
    """

    image_size: int = 256
    num_train: int = 6
    num_test: int = 4
    seed: int = 0


@dataclass(frozen=True)
class DGCConfig:
    """Label-free segmentation of hyperspectral cubes by Deep Global Clustering.

    Attributes:
        data: a cube, a folder or a URL; built-in leaf scenes if not given.
        labels: true classes to score against; a file, or a folder of files named like the cubes.
        ignore_label: class in the labels that means unlabelled, e.g. 0.
        out: folder of the run; a new one under runs/ if not given.
        num_clusters: number of clusters.
        normalisation: of the spectra, such as l2 or snv+band; jaxhsi preview shows which suits.
            One or several, with + between, of none, band, l2, snv and log. The same as
            teacher_student.normalisations, which is used if not given.
        steps: training steps; 0 leaves the closed-form start.
        seed: of everything drawn at random.
        devices: number of devices; all if not given.
        precision: of the encoder's products; sums, losses and distances stay float32; bfloat16 on
            accelerators, float32 on CPUs and for upstream's method if not given.
        key: name of the cube inside a .mat file, where there are several.
        layout: order of the axes; by evidence if not given.
        size: height and width of the image where the array is a table (C, H * W).
        raw: keep the stored values of files, whatever scale they state.
        no_data: value of a file that marks a missing measurement.
        tolerance: nm by which the wavelengths of a band may differ between cubes; half of the
            smallest distance between two bands if not given.
        label_key: name of the labels in a file, or attribute of shapes.
        unlabelled_outside: pixels in no drawn shape have no class; false: background.
        method: the default method, or upstream's.
        log_every: steps between lines of metrics.
        save_every: steps between checkpoints.
        skip_bad_batches: leave out batches whose step is not finite; false: the run ends there.
        keep_state: the state that labels cubes, here and in predict; the best is by the mutual
            information of two views' labels.
        teacher_student: of the default method.
        encoder: of the default method.
        prototype: of upstream's algorithm.
        upstream_encoder: of upstream's algorithm.
        views: how pairs of overlapping views are drawn.
        optimizer: of the parameters.
        stream: how the cubes are read.
        monitor: how a run is looked at on its way.
        scenes: the built-in data.
    """

    command: ClassVar[str] = "dgc"
    example: ClassVar[str] = "jaxhsi train dgc --data cubes/ --num_clusters 8 --out runs/field"
    main_options: ClassVar[tuple[str, ...]] = (
        "data",
        "labels",
        "ignore_label",
        "out",
        "num_clusters",
        "normalisation",
        "steps",
        "seed",
        "devices",
        "key",
        "layout",
        "size",
        "no_data",
        "label_key",
        "method",
        "keep_state",
    )

    data: str | None = None
    labels: Path | None = None
    ignore_label: int | None = None
    out: Path | None = None
    num_clusters: int = 16
    normalisation: str | None = field(default=None, metadata={"method": "teacher_student"})
    steps: int = 300
    seed: int = 0
    devices: int | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    raw: bool = False
    no_data: float | None = None
    tolerance: float | None = None
    label_key: str | None = None
    unlabelled_outside: bool | None = None
    method: Literal["teacher_student", "upstream"] = "teacher_student"
    log_every: int = 10
    save_every: int = 100
    skip_bad_batches: bool = False
    keep_state: Literal["best", "last"] = "best"
    teacher_student: DGCOptions = field(
        default_factory=DGCOptions, metadata={"method": "teacher_student"}
    )
    encoder: EncoderOptions = field(
        default_factory=EncoderOptions, metadata={"method": "teacher_student"}
    )
    prototype: PrototypeOptions = field(
        default_factory=PrototypeOptions, metadata={"method": "upstream"}
    )
    upstream_encoder: UpstreamEncoderOptions = field(
        default_factory=UpstreamEncoderOptions, metadata={"method": "upstream"}
    )
    views: ViewOptions = field(default_factory=ViewOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    stream: StreamOptions = field(default_factory=StreamOptions)
    monitor: MonitorOptions = field(default_factory=MonitorOptions)
    scenes: SceneOptions = field(default_factory=SceneOptions, metadata={"brief": True})

    def __post_init__(self):
        """Refuse values that cannot work before anything long begins."""
        for name, least in (("num_clusters", 1), ("steps", 0), ("log_every", 1), ("save_every", 1)):
            check_at_least(f"--{name}", getattr(self, name), least)
        for name in ("batch_size", "sample_size", "num_threads", "prefetch_windows", "tile_size"):
            check_at_least(f"--stream.{name}", getattr(self.stream, name), 1)
        for name in ("num_train", "num_test"):
            check_at_least(f"--scenes.{name}", getattr(self.scenes, name), 1)
        for name in ("every", "num_windows", "patience", "no_improvement"):
            if (value := getattr(self.monitor, name)) is not None:
                check_at_least(f"--monitor.{name}", value, 1)
        if not 0 <= self.monitor.max_information_loss < 1:
            raise ValueError(
                f"--monitor.max_information_loss {self.monitor.max_information_loss} is out of "
                "range; give a share from 0 to 1"
            )
        if not 0 <= self.monitor.min_improvement < 1:
            raise ValueError(
                f"--monitor.min_improvement {self.monitor.min_improvement} is out of range; give "
                "a share from 0 to 1"
            )
        check_positive("--tolerance", self.tolerance)
        self._take_precision_of_encoder()
        if self.normalisation is not None:
            normalisations = parse_normalisations(self.normalisation)
            options = replace(self.teacher_student, normalisations=normalisations)
            object.__setattr__(self, "teacher_student", options)
        if self.stream.sample_size < self.num_clusters:
            raise ValueError(
                f"--stream.sample_size {self.stream.sample_size} spectra cannot start "
                f"{self.num_clusters} clusters; raise it or lower --num_clusters"
            )

    def _take_precision_of_encoder(self) -> None:
        """Files of earlier versions hold the precision as a type of the encoder."""
        encoder = self.upstream_encoder if self.method == "upstream" else self.encoder
        if encoder.dtype not in (None, self.precision or encoder.dtype):
            raise ValueError(
                f"the encoder's dtype {encoder.dtype} is not --precision {self.precision}; give "
                "--precision alone"
            )
        if encoder.dtype is not None:
            object.__setattr__(self, "precision", encoder.dtype)


RESUMABLE_CHANGES = (
    *("steps", "out", "devices", "log_every", "save_every", "labels", "ignore_label", "label_key"),
    *("unlabelled_outside", "skip_bad_batches"),
    *("stream.num_threads", "stream.prefetch_windows", "stream.tile_size"),
    *("keep_state", "monitor.patience", "monitor.max_information_loss"),
    *("monitor.no_improvement", "monitor.min_improvement"),
)
"""Options that a run may be resumed with other values of: none changes what a step computes."""


def parse_normalisations(text: str) -> tuple[Normalisation, ...]:
    """Normalisations given as text.

    Args:
        text: names with + between.

    Raises:
        ValueError: a name that there is not, or one twice.

    >>> parse_normalisations("snv+band")
    ('snv', 'band')
    """
    names = tuple(name.strip() for name in text.split("+"))
    for name in names:
        if name not in NORMALISATIONS:
            closest = closest_name(name, NORMALISATIONS)
            hint = f"did you mean {closest}? " if closest else ""
            raise ValueError(
                f"--normalisation {text}: there is no {name!r}; {hint}there are "
                f"{', '.join(NORMALISATIONS)}, and several with + between"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"--normalisation {text} names one twice; give each once")
    return names
