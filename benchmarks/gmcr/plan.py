"""The rows of the benchmark, by groups; a row says all that a process needs to measure it.

Keys: group, case (a name for tables), at (the number that a curve runs over), method, seed, make
(`gmcr_cases.open_case`), and for jaxhsi what it is told: solver, mixing, priors, num_components,
num_candidates, new (whether networks for new spectra are trained too).
"""

from collections.abc import Callable, Iterator

Rows = Iterator[dict]
LONG = 512 * 2048  # components times spectra of a row that comes after all others

SIZES = (16, 32, 48, 64, 96, 128, 160, 192, 224, 256)
LEVELS = (20.0, 30.0)
RIVAL_SIZES = (16, 64, 256)
COUNTED = 64  # largest number for which NMF's count is cross-validated

NOISE = {
    "correlated .8": {"correlation": 0.8},
    "channels .5": {"channel_spread": 0.5},
    "offset .05": {"offset": 0.05},
    "drift .1": {"drift": 0.1},
    "drift .3": {"drift": 0.3},
    "all together": {"correlation": 0.8, "channel_spread": 0.5, "offset": 0.05, "drift": 0.1},
}
NOISE_SEEDS = {16: 3, 64: 2, 256: 1}

# Curves of limits at N=16: options of the mixtures at each number, and samples where not 64.
CURVES: dict[str, dict[float, dict]] = {
    "cosine of twins": {c: {"twin_cosine": c} for c in (0.8, 0.9, 0.95, 0.98, 0.99)},
    "samples of 4 rare components": {n: {"rare": 4, "rare_samples": n} for n in (1, 2, 3, 5, 10)},
    "SNR in dB": {snr: {"snr_db": float(snr)} for snr in (5, 10, 15, 20)},
    "mixed at most": {m: {"max_mixed": m} for m in (4, 6, 8, 12, 16)},
    "samples per component": {n: {} for n in (1, 2, 4, 8)},
    "bands, for 32 components": {c: {"num_components": 32, "bands": c} for c in (24, 32, 48)},
    "Gaussian peaks per spectrum": {
        p: {"spectra": "gaussian", "peaks": p} for p in (1, 2, 4, 8, 16)
    },
}
CURVE_SEEDS = 3

MIXINGS = {
    "bilinear": "bilinear",
    "detector_saturation": "detector_saturation",
    "polynomial": "polynomial",
    "stray_light": "stray_light",
    "generalised_bilinear": "generalised_bilinear",
}
"""Mixing of the data, and the model of it."""

LIBRARIES = {
    "20 of the library": (20, 0),
    "15 of the library, 5 unknown": (15, 5),
    "20 unknown": (0, 20),
}

REAL_METHODS = {
    "carbs": ("VCA + FCLS, given N", "NMF, given N", "MCR-ALS, given N", "classical route"),
    "jasper": ("VCA + FCLS, given N", "NMF, given N"),
    "samson": ("VCA + FCLS, given N", "NMF, given N"),
}

NAMED = {"jasper": 4, "samson": 3}
"""Materials that a person names in images."""

GROWTH = ((16, 512), (64, 512), (256, 512), (512, 512), (512, 2048), (1024, 2048))

ABLATIONS = {
    "as it is": {},
    "gates never move": {"gate_rate": 0.0},
    "no falling pressure": {"evidence_factor_start": 1.2, "later_evidence_factor_start": 1.2},
    "spectra move between phases alone": {"newton_step_size": 0.0},
    "half-closed gates do not damp": {"gate_ridge": 0.0},
    "coefficients never dear": {"initial_penalty": 1.0, "second_pass_penalty": 0.0},
    "coefficients never dearer": {"second_pass_penalty": 0.0},
    "two rounds": {"refits": 2},
    "one component doubted": {"prune_candidates": 1},
    "two phases": {"max_phases": 2},
    "margin 1": {"evidence_factor": 1.0},
}


def _row(group: str, case: str, seed: int, make: dict, method: str = "jaxhsi", **more) -> dict:
    return {"group": group, "case": case, "method": method, "seed": seed, "make": make} | more


def _mixtures(n: int, snr: float = 20.0, times: int = 4, **options) -> dict:
    """N components and so many samples for each."""
    options = {"num_components": n, "snr_db": snr} | options
    return {"kind": "mixtures", "samples": times * n, "options": options}


def paper() -> Rows:
    """Upstream's benchmark: 512 bands, 4N samples that mix one to four components."""
    for n in SIZES:
        for snr in LEVELS:
            for seed in range(5):
                new = n in RIVAL_SIZES and seed == 0
                make = _mixtures(n, snr)
                yield _row("paper", f"N={n}, {snr:g} dB", seed, make, at=n, new=new)


def dense() -> Rows:
    """More components in a sample than in upstream's benchmark."""
    for seed in range(2):
        for n in (64, 256):
            for snr in LEVELS:
                make = _mixtures(n, snr, 8, max_mixed=8)
                yield _row("dense", f"N={n}, {snr:g} dB, 8N samples of 1 to 8", seed, make, at=n)
        for n in (16, 64):
            for times in (4, 16):
                make = _mixtures(n, 20.0, times, min_mixed=8, max_mixed=16)
                name = f"N={n}, 20 dB, {times}N samples of 8 to 16"
                yield _row("dense", name, seed, make, at=n)
                wide = {"max_active": 16}
                yield _row("dense", name, seed, make, "jaxhsi, most 16", at=n, solver=wide)


def noise() -> Rows:
    """Noise that is not white, 20 dB."""
    for n, seeds in NOISE_SEEDS.items():
        for name, options in NOISE.items():
            for seed in range(seeds):
                yield _row("noise", f"{name}, N={n}", seed, _mixtures(n, **options), at=n)


def limits() -> Rows:
    """Where it ends: one thing is made harder at a time."""
    for name, points in CURVES.items():
        for at, options in points.items():
            options = {"num_components": 16} | options
            times = int(at) if name == "samples per component" else 4
            for seed in range(CURVE_SEEDS):
                make = _mixtures(options["num_components"], times=times, **_rest(options))
                yield _row("limits", name, seed, make, at=at)


def _rest(options: dict) -> dict:
    """Options but the number, as names that `_mixtures` takes."""
    kept = {name: value for name, value in options.items() if name != "num_components"}
    return {("snr" if name == "snr_db" else name): value for name, value in kept.items()}


def mixing() -> Rows:
    """Mixing that is not linear, with its model and with the linear one; N=16."""
    for seed in range(2):
        for name, model in MIXINGS.items():
            for strength in (0.1, 0.5):
                for snr in LEVELS:
                    make = _mixtures(16, snr, mixing=name, strength=strength)
                    case = f"{name} {strength:g}, {snr:g} dB"
                    yield _row("mixing", case, seed, make, at=strength)
                    yield _row("mixing", case, seed, make, f"jaxhsi, {model}", mixing=model)


def library() -> Rows:
    """500 known spectra, of which some are in the mixtures."""
    for seed in range(5):
        for name, (present, unknown) in LIBRARIES.items():
            for snr in LEVELS:
                parts = {"present": present, "unknown": unknown, "snr_db": snr}
                make = {"kind": "library", "size": 500} | parts
                yield _row("library", f"{name}, {snr:g} dB", seed, make)


def real() -> Rows:
    """Real spectra; closure where concentrations are fractions."""
    for seed in range(3):
        for name, methods in REAL_METHODS.items():
            make = {"kind": name}
            yield _row("real", name, seed, make)
            yield _row("real", name, seed, make, "jaxhsi, closure", priors={"closure": True})
            if name in NAMED:
                given = {"num_components": NAMED[name]}
                yield _row("real", name, seed, make, "jaxhsi, given N", **given)
            for method in methods:
                yield _row("real", name, seed, make, method)
        yield _row("real", "nir", seed, {"kind": "nir"})
    yield _row("real", "nir", 0, {"kind": "nir"}, "PLS, told the amounts")


def scale() -> Rows:
    """Time and memory against the number of components."""
    for n, bands in GROWTH:
        make = _mixtures(n, bands=bands)
        yield _row("scale", f"N={n}, {bands} bands", 0, make, at=n)


def ablation() -> Rows:
    """Parts switched off by options that users have."""
    for seed in range(3):
        for snr in LEVELS:
            for n in (16, 64):
                case, make = f"N={n}, {snr:g} dB", _mixtures(n, snr)
                for name, solver in ABLATIONS.items():
                    yield _row("ablation", case, seed, make, name, at=n, solver=solver)
                for name, times in (("start with N", 1), ("start with 2N", 2)):
                    many = times * n
                    yield _row("ablation", case, seed, make, name, num_candidates=many)


def rivals() -> Rows:
    """Other methods on upstream's benchmark."""
    for n in RIVAL_SIZES:
        for snr in LEVELS:
            case, make = f"N={n}, {snr:g} dB", _mixtures(n, snr)
            for method in ("classical route", "NMF, given N", "MCR-ALS, given N"):
                yield _row("rivals", case, 0, make, method, at=n)
            if n <= COUNTED:
                yield _row("rivals", case, 0, make, "NMF, cross-validated", at=n)


GROUPS: dict[str, Callable[[], Rows]] = {
    made.__name__: made
    for made in (paper, dense, noise, limits, mixing, library, real, scale, ablation, rivals)
}


def plan(groups: tuple[str, ...] = tuple(GROUPS)) -> list[dict]:
    """All rows: the first seed of everything, small ones first; the longest at the very end."""
    rows = [row for name in groups for row in GROUPS[name]()]
    return sorted(rows, key=lambda row: (_size(row) >= LONG, row["seed"], _size(row)))


def _size(row: dict) -> int:
    """Components times samples times bands, in units of 512 bands; a guess for other data."""
    make = row["make"]
    if make["kind"] != "mixtures":
        return 20 * 20 * 80 if make["kind"] in ("library", "carbs", "nir") else 64 * 512
    options = make["options"]
    return options["num_components"] * make["samples"] * options.get("bands", 512) // 512


def identity(row: dict) -> tuple:
    """What tells a row from all others."""
    return tuple(row.get(name) for name in ("group", "case", "at", "method", "seed"))
