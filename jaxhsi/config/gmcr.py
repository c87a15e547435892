"""Options of ``jaxhsi train gmcr``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from jaxhsi.config.files import check_at_least, number_list
from jaxhsi.config.priors import PriorOptions
from jaxhsi.data.axis_layout import Layout
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.gmcr.options import AmortisedOptions, SolverOptions
from jaxhsi.upstream.gmcr.options import JointOptions

# What follows imports inside of functions: the help of the command is shown before JAX is loaded.


@dataclass(frozen=True)
class GMCRConfig:
    """Components of mixed spectra, their number and concentrations, by EB-gMCR.

    Attributes:
        data: a table of spectra, a folder of files with a spectrum each, or cubes; tables are text,
            workbooks, .npy, .npz, .mat, or files of instruments; of cubes (as for dgc) the pixels
            are the spectra; several tables are runs; built-in mixtures if not given.
        spectra: what the spectra are in the table; told by the file if not given: rows, columns,
            pairs of columns of axis and values, or a long table with a row for each value.
        separator: between the cells of a text table: comma, semicolon, tab, blank, bar, or another
            character; told by the file if not given.
        decimal: decimal character of a text table, "." or ","; told by the file if not given.
        references: columns of the table that are no bands (rows where spectra are columns), by
            names or by numbers from 1 with commas between, or none; told by the file if not given.
        missing: for missing values: mask, interpolate, drop_bands, drop_spectra; masked values take
            no part in the fit, interpolation is along the axis; data with missing values between
            others are refused if not given.
        truth: true components to score against, in any file of a table. A .npz or .mat file may
            also hold concentrations and clean data.
        truth_key: name of the true components inside a .npz or .mat file.
        pretreatment: steps before unmixing, such as "cut 500 1700, despike, snv"; others are
            "baseline arpls 1e5" and "savgol 11 2"; new spectra of a table go through the same; none
            if not given.
        fractions: write also fractions.csv; these are concentrations divided by their sum in each
            spectrum.
        ordered: samples are in an order, as of time; told by an axis of the samples if not given:
            then what is not smooth along them is no component, and concentrations are not sparse.
        runs: samples of each run in a table of several, such as 51,51; runs share components and
            have noise levels of their own.
        known: spectra of components that are present, as a file; the rest is found.
        absent: table of samples by components with 1 where a sample lacks one.
        known_concentrations: table of samples by components, empty where they are not known.
        library: known spectra to look for, of the same bands; .npz, .mat, .csv or .npy.
        out: folder of the run; a new one under runs/ if not given.
        num_components: how many components there are; found from the data if not given. Not
            together with a library.
        num_candidates: components to start from, more than there are; chosen if not given.
        restarts: fits, of which one is selected by a vote; five for small tables, one for those
            that take long, if not given.
        tolerance: relative misfit below which structure is no component; 0.01 is 1 percent of the
            data; that of replicates (equal sample names) beyond the noise, or the noise, if not
            given.
        ranges: find the range of each component over equally good fits; of up to 24 components; it
            takes the longer, the more there are.
        seed: of everything drawn at random.
        devices: number of devices to compute on; all if not given.
        precision: of the networks' products with spectra; the solver is float32; bfloat16 on
            accelerators, float32 on CPUs and for upstream's method if not given.
        key: name of the table or cube inside a .npz or .mat file.
        layout: order of the axes of a cube, where the file leaves doubt.
        size: height and width where a cube is kept as a table (C, H * W).
        raw: keep the stored values of files, whatever scale they state.
        no_data: value of a file that marks a missing measurement; in place of the file's own.
        num_pixels: spectra drawn from cubes to find the components. All pixels are then unmixed.
        num_samples: spectra of the built-in mixtures; four times the components if not given.
        mixing: how components mix; linear, or a forward model whose parameters are fitted: bilinear
            (Fan), generalised_bilinear (each pair of each spectrum), polynomial,
            detector_saturation, stray_light (absorbance by Beer and Lambert).
        priors: what else is known of components and concentrations.
        method: the gated solver, or upstream's joint training.
        epochs: of upstream's training, which does not end by itself.
        solver: of the default method.
        amortised: of the networks that unmix new spectra, trained on the solver's answer.
        joint: of upstream's training.
        mixture: the built-in data.
    """

    command: ClassVar[str] = "gmcr"
    example: ClassVar[str] = "jaxhsi train gmcr --data spectra.csv --out runs/mixtures"
    main_options: ClassVar[tuple[str, ...]] = (
        "data",
        "spectra",
        "missing",
        "truth",
        "pretreatment",
        "fractions",
        "ordered",
        "runs",
        "known",
        "absent",
        "library",
        "out",
        "num_components",
        "restarts",
        "ranges",
        "seed",
        "key",
        "mixing",
        "method",
    )

    data: tuple[str, ...] | str | None = None
    spectra: Literal["rows", "columns", "pairs", "long"] | None = None
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    references: str | None = None
    missing: Literal["mask", "interpolate", "drop_bands", "drop_spectra"] | None = None
    truth: Path | None = None
    truth_key: str | None = None
    pretreatment: str | None = None
    fractions: bool = False
    ordered: bool | None = None
    runs: str | None = None
    known: Path | None = None
    absent: Path | None = None
    known_concentrations: Path | None = None
    library: Path | None = None
    out: Path | None = None
    num_components: int | None = None
    num_candidates: int | None = None
    restarts: int | None = None
    tolerance: float | None = field(default=None, metadata={"method": "gated"})
    ranges: bool = True
    seed: int = 0
    devices: int | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    key: str | None = None
    layout: Layout | None = None
    size: tuple[int, int] | None = None
    raw: bool = False
    no_data: float | None = None
    num_pixels: int = 4096
    num_samples: int | None = None
    mixing: Literal[
        "linear",
        "bilinear",
        "generalised_bilinear",
        "polynomial",
        "detector_saturation",
        "stray_light",
    ] = "linear"
    priors: PriorOptions = field(default_factory=PriorOptions, metadata={"method": "gated"})
    method: Literal["gated", "upstream"] = "gated"
    epochs: int = field(default=1000, metadata={"method": "upstream"})
    solver: SolverOptions = field(default_factory=SolverOptions, metadata={"method": "gated"})
    amortised: AmortisedOptions = field(
        default_factory=AmortisedOptions, metadata={"method": "gated", "brief": True}
    )
    joint: JointOptions = field(default_factory=JointOptions, metadata={"method": "upstream"})
    mixture: MixtureOptions = field(default_factory=MixtureOptions, metadata={"brief": True})

    def __post_init__(self):
        """Refuse values that cannot work before anything long begins."""
        for name, least in (
            ("num_components", 1),
            ("num_candidates", 1),
            ("restarts", 1),
            ("num_samples", 3),
            ("num_pixels", 3),
            ("epochs", 1),
        ):
            if getattr(self, name) is not None:
                check_at_least(f"--{name}", getattr(self, name), least)
        self.run_lengths()
        self._check_constraints()
        if self.amortised.product_dtype != "float32" or self.joint.bfloat16:
            raise ValueError(
                "--amortised.product_dtype and --joint.bfloat16 follow from --precision; give "
                "--precision bfloat16"
            )
        if self.tolerance is not None:
            check_at_least("--tolerance", self.tolerance, 0)
        if self.method == "upstream" and (self.mixing != "linear" or self.priors != PriorOptions()):
            raise ValueError("--mixing and --priors belong to --method gated, the default")
        if self.num_components is not None:
            self._check_number(self.num_components)
        if self.data is None and self.truth is not None:
            raise ValueError(
                "--truth was given without --data; the built-in mixtures know their truth"
            )
        if self.truth is None and self.truth_key is not None:
            raise ValueError("--truth_key was given without --truth, whose array it names")
        self.table_options()
        if self.pretreatment is not None:
            from jaxhsi.data.tables.pretreatment import parse_steps

            parse_steps(self.pretreatment)

    def _check_constraints(self) -> None:
        """Refuse order, runs and constraints beside what knows nothing of them."""
        names = ("ordered", "runs", "known", "absent", "known_concentrations")
        given = [name for name in names if getattr(self, name)]
        if given and self.method == "upstream":
            raise ValueError(f"--{given[0]} belongs to --method gated, the default")
        constraints = [name for name in given if name not in ("ordered", "runs")]
        if constraints and (self.library is not None or self.mixing != "linear"):
            other = "--library" if self.library is not None else f"--mixing {self.mixing}"
            raise ValueError(f"--{constraints[0]} and {other} exclude each other; leave one out")

    def data_paths(self) -> tuple[str, ...]:
        """Files, folders or stores of the data; empty for the built-in mixtures."""
        return (self.data,) if isinstance(self.data, str) else self.data or ()

    def run_lengths(self) -> tuple[int, ...]:
        """Samples of each run, as asked for; empty if not."""
        return () if self.runs is None else number_list("--runs", self.runs)

    def table_options(self) -> TableOptions:
        """What is said of the table."""
        return TableOptions.from_choices(self)

    def _check_number(self, components: int) -> None:
        """Refuse a given number of components beside what cannot keep to it."""
        if self.method == "upstream":
            raise ValueError("--num_components belongs to --method gated, the default")
        if self.library is not None:
            raise ValueError(
                "--library says how many of its spectra are present; leave --num_components out"
            )
        if self.num_candidates is not None and self.num_candidates < components:
            raise ValueError(
                f"--num_candidates {self.num_candidates} are fewer than --num_components "
                f"{components}; give as many at least, or leave them out"
            )


RESUMABLE_CHANGES = (
    "out",
    "devices",
    "truth",
    "truth_key",
    "fractions",
    "amortised",
    "ranges",
    "tolerance",
    "epochs",
)
"""Options that a run may be resumed with other values of: the solver does not see them."""
