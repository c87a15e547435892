"""What a user is told of an unmixing result, in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxhsi.data.tables.pretreatment import nonlinear_steps
from jaxhsi.gmcr.goodness_of_fit import NONLINEARITY_THRESHOLD, REDUCED_CHI2_THRESHOLD

_WIDE_RANGE = 5.0
"""Degrees between the extremes of a component above which a user is told. Set by hand: spectra
5 degrees apart (cosine 0.996) look different on a plot."""

_POOR_SHARE = 0.01
"""Share of poorly explained spectra above which a user is told. Set by hand."""

_FLAT_OFFSET = 0.02
"""An offset whose range is below this share of its largest value is told as one number."""


def component_count_sentence(
    scores: Mapping[str, Any], num_components: int, *, requested: bool = False
) -> str:
    """The number of components, which others are plausible, and what restarts found.

    Args:
        scores: of `jaxhsi.report.component_count.diagnostic_scores`.
        num_components: of the result.
        requested: whether this many were asked for.

    >>> component_count_sentence({"plausible_counts": [3, 4], "restarts": [3, 4]}, 3)
    '3 components; 3 to 4 are plausible; restarts found 3, 4'
    """
    low, high = scores["plausible_counts"]
    sentence = f"{num_components} components" + ", as asked for" * requested
    sentence += (
        "; no other number is plausible" if low == high else f"; {low} to {high} are plausible"
    )
    restarts = scores.get("restarts", [])
    if len(restarts) > 1 or (requested and restarts):
        sentence += f"; restarts found {', '.join(map(str, restarts))}"
    return sentence


def tolerance_sentences(scores: Mapping[str, Any], num_components: int) -> list[str]:
    """Numbers of components at the tolerance and at the noise; of images, what texture may be.

    Args:
        scores: of `jaxhsi.report.component_count.tolerance_scores`.
        num_components: of the result.

    >>> counts = {"0.1": 2, "0.03": 3, "0.01": 4, "0.003": 9}
    >>> image = {"tolerance": 0.0, "count_at_noise": 20, "counts": counts, "is_image": True}
    >>> tolerance_sentences(image, 20)[0][:61]
    '20 components stand above the noise; structure of an image be'
    """
    at_noise, tolerance = scores["count_at_noise"], scores["tolerance"]
    if tolerance > 0:
        return [
            f"{num_components} components at the tolerance of {100 * tolerance:.2g} % of the data; "
            f"{at_noise} stand above the noise (tolerance 0)"
        ]
    if not scores["is_image"]:
        return []
    others = ", ".join(
        f"{count} at {100 * float(name):g} %" for name, count in scores["counts"].items()
    )
    return [
        f"{at_noise} components stand above the noise; structure of an image beyond that is "
        f"texture and shading as well: {others} of the data (--tolerance 0.01 is 1 %; see "
        "pictures/count.png)"
    ]


def range_sentences(scores: Mapping[str, Any], component_names: Sequence[str]) -> list[str]:
    """A sentence for each component whose extremes lie apart, and what would bring them together.

    Args:
        scores: of `jaxhsi.report.component_ranges.range_scores`.
        component_names: names of the components.
    """
    rows = zip(component_names, scores["signal_share"], scores["angle_degrees"], strict=True)
    sentences = [
        f"{name} is not fixed by the data: {low:.1%} to {high:.1%} of the signal, with spectra "
        f"{angle:.0f} degrees apart, explain them as well"
        for name, (low, high), angle in rows
        if angle > _WIDE_RANGE
    ]
    if sentences:
        sentences.append(
            "such components are shaded in pictures/components.png; samples without one of them, "
            "or knowledge of it (--known, --priors), would fix it"
        )
    return sentences


def noise_sentences(scores: Mapping[str, Any]) -> list[str]:
    """What was assumed about the noise.

    Args:
        scores: of `jaxhsi.report.noise.noise_scores`.
    """
    first = f"noise: {100 * scores['share']:.2g} % of the signal"
    details = list(_noise_details(scores))
    return [first, *details] if details else [f"{first}, white"]


def _noise_details(scores: Mapping[str, Any]) -> Iterator[str]:
    if scores["correlated_bands"]:
        yield f"noise is correlated over {_plural(scores['correlated_bands'], 'band')}"
    elif scores["correlation"]:
        yield "noise of neighbouring bands is correlated weakly"
    if scores["band_ratio"]:
        yield (
            f"noise differs from band to band, by a factor of {scores['band_ratio']:.3g} between"
            " its noisiest and its quietest fiftieth"
        )
    if scores["baseline"]:
        yield (
            f"every spectrum has a smooth baseline of its own, {scores['baseline']:.2g} times the "
            "noise"
        )
    if scores["offset"] or any(scores["offset_range"]):
        low, high = scores["offset_range"]
        varies = high - low > _FLAT_OFFSET * abs(high)
        shape = f", from {low:.3g} to {high:.3g}" if varies else ""
        yield f"all spectra have an offset of {scores['offset']:.3g}{shape}; it was subtracted"


def left_out_sentence(scores: Mapping[str, Any]) -> str:
    """What was left out, the first spikes by sample and band.

    Args:
        scores: of `jaxhsi.report.left_out_values.left_out_scores`.

    >>> scores = {"spike": 5, "clipped": 0, "missing": 2, "first_spikes": [["a", 500.0]]}
    >>> left_out_sentence(scores).split(";")[0]
    'left out of the fit: 5 spikes (sample a at 500, ...'
    """
    parts = []
    for kind in ("spike", "clipped", "missing"):
        number = scores[kind]
        if not number:
            continue
        text = _plural(number, kind) if kind == "spike" else f"{number:,} {kind}"
        if kind == "spike":
            places = ", ".join(
                f"sample {name} at {band:g}" for name, band in scores["first_spikes"]
            )
            more = ", ..." if number > len(scores["first_spikes"]) else ""
            text += f" ({places}{more}; --solver.mask_spikes false keeps them)"
        parts.append(text)
    where = "see left_out_values.csv and pictures/left_out_values.png"
    return f"left out of the fit: {', '.join(parts)}; {where}"


def mixing_sentence(
    reduced_chi2: float,
    nonlinearity_score: float,
    mixing: str,
    pretreatment: str | None = None,
) -> str | None:
    """A warning where the mixing model does not explain the data, else None.

    Args:
        reduced_chi2: of all residuals; about 1 is noise alone.
        nonlinearity_score: test statistic of nonlinear mixing, see `jaxhsi.gmcr.goodness_of_fit`.
        mixing: name of the mixing model.
        pretreatment: steps before unmixing, see `jaxhsi.data.tables.pretreatment`.
    """
    if reduced_chi2 > REDUCED_CHI2_THRESHOLD:
        return (
            f"{mixing} mixing leaves {reduced_chi2:.3g} times the noise variance; do not trust it"
        )
    if nonlinearity_score < NONLINEARITY_THRESHOLD:
        return None
    sentence = (
        f"what {mixing} mixing leaves is not noise: curved mixing would explain "
        f"{nonlinearity_score:.3g} times as much of it as of noise ({NONLINEARITY_THRESHOLD:g} is "
        "suspect)"
    )
    steps = nonlinear_steps(pretreatment)
    if steps:
        bends = "is no linear step and bends" if len(steps) == 1 else "are no linear steps and bend"
        return (
            f"{sentence}; a likely cause is the pre-treatment: {', '.join(steps)} {bends} mixtures "
            "a little. Compare with a run with another or none; if all of them warn, try another "
            "--mixing"
        )
    return f"{sentence}; try another --mixing"


def unsettled_sentences(
    num_components: int, converged: bool, requested_components: int | None = None
) -> list[str]:
    """Warnings where the solver did not converge, or not to the number that was asked for.

    >>> unsettled_sentences(3, True, 5)
    ['3 components in the place of 5: no spectrum would use more']
    """
    sentences = []
    if requested_components is not None and num_components < requested_components:
        sentences.append(
            f"{num_components} components in the place of {requested_components}: no spectrum "
            "would use more"
        )
    if not converged:
        sentences.append(
            f"the answer, {num_components} components, still changed when the solver ended after "
            "its largest number of phases or refinements; take it as uncertain"
        )
    return sentences


def local_mixing_sentence(mixing: str) -> str:
    """New spectra under a mixing whose parameters belong to each spectrum."""
    return (
        f"{mixing} mixing has parameters of each spectrum, which networks do not know: new spectra "
        "are unmixed as linear mixtures"
    )


def poor_fit_sentences(scores: Mapping[str, Mapping[str, Any]], refine_steps: int) -> list[str]:
    """A sentence for each cube or table with spectra that hold more than components and noise.

    Args:
        scores: of each, see `jaxhsi.workflows.fit_counts.count_scores`.
        refine_steps: that were taken.
    """
    remedy = "train on data that hold them"
    if not refine_steps:
        remedy = "--refine_steps 10 may help, or train on them"
    return [
        f"{name}: {row['poorly_explained']:.1%} of the spectra hold more than the components and "
        f"noise explain (more than twice the noise's variance is left); {remedy}"
        for name, row in scores.items()
        if row["poorly_explained"] > _POOR_SHARE
    ]


def result_sentences(
    scores: Mapping[str, Any],
    component_names: Sequence[str],
    mixing: str,
    requested_components: int | None = None,
    pretreatment: str | None = None,
) -> list[str]:
    """All sentences about a run of ``jaxhsi train gmcr``.

    Args:
        scores: of the run, see `jaxhsi.workflows.gmcr_scores.result_scores`.
        component_names: names of the components.
        mixing: name of the mixing model.
        requested_components: number of components that was asked for.
        pretreatment: steps before unmixing.
    """
    num_components = scores["num_components"]
    converged = bool(scores.get("converged", True))
    sentences = unsettled_sentences(num_components, converged, requested_components)
    if "goodness_of_fit" in scores:
        fit = scores["goodness_of_fit"]
        warning = mixing_sentence(
            fit["reduced_chi2"], fit["nonlinearity_score"], mixing, pretreatment
        )
        sentences += [] if warning is None else [warning]
    if not scores.get("networks", {}).get("used", True):
        sentences.append(
            "the networks did not learn this result; new spectra are unmixed by non-negative least "
            "squares in their place, more slowly"
        )
    if "share" in scores["noise"]:
        sentences += noise_sentences(scores["noise"])
    if "left_out" in scores:
        sentences.append(left_out_sentence(scores["left_out"]))
    if "tolerance" in scores and requested_components is None:
        sentences += tolerance_sentences(scores["tolerance"], num_components)
    if "ranges" in scores:
        sentences += range_sentences(scores["ranges"], component_names)
    if "diagnostics" in scores:
        requested = num_components == requested_components
        sentences.append(
            component_count_sentence(scores["diagnostics"], num_components, requested=requested)
        )
    return sentences


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
