"""Markdown of the rows of gmcr/quality.py, a table for each group.

Counts are those of all seeds ("16 x4, 17"), cosines the mean over seeds of the mean, and the worst
of all; other numbers are medians over seeds. R2 stands beside that of the true mixture on the same
data: more than that is fitted noise.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

Rows = list[dict]
Column = tuple[str, Callable[[Rows], str]]

UPSTREAM = {
    20: "R2 >= 0.98, count within 5 % up to N=256",
    30: "R2 >= 0.99, count near exact",
}
"""What arXiv 2507.23600 (EB-gMCR) says of the data of the group `paper`; not measured here."""


def counts(rows: Rows) -> str:
    found = Counter(row["count"] for row in rows if "count" in row)
    if not found:
        return "-"
    return ", ".join(f"{n} x{times}" if times > 1 else f"{n}" for n, times in sorted(found.items()))


def true_count(rows: Rows) -> str:
    return str(rows[0].get("true_count", "-"))


def middle(name: str, form: str = ".4f") -> Callable[[Rows], str]:
    """The median of a number, "-" where no row has it."""

    def cell(rows: Rows) -> str:
        values = [row[name] for row in rows if name in row]
        return format(float(np.median(values)), form) if values else "-"

    return cell


def cosine(kind: str = "matched") -> Callable[[Rows], str]:
    """Mean over seeds of the mean, and the worst of all."""

    def cell(rows: Rows) -> str:
        rows = [row for row in rows if f"{kind}_cosine_mean" in row]
        if not rows:
            return "-"
        mean = np.mean([row[f"{kind}_cosine_mean"] for row in rows])
        return f"{mean:.4f} ({min(row[f'{kind}_cosine_min'] for row in rows):.3f})"

    return cell


def active(rows: Rows) -> str:
    told = middle("active", ".2f")(rows)
    return told if told == "-" else f"{told} ({middle('true_active', '.2f')(rows)})"


def r2(rows: Rows) -> str:
    told = middle("r2")(rows)
    return told if told == "-" else f"{told} ({middle('r2_of_truth')(rows)})"


def ended(rows: Rows) -> str:
    """Seeds that ended by themselves, and phases of the first solution."""
    known = [row for row in rows if "converged" in row]
    done = sum(row["converged"] for row in known)
    return f"{done}/{len(known)}, {middle('phases', '.0f')(known)}" if known else "-"


def amounts(rows: Rows) -> str:
    values = [row["analyte_r2"] for row in rows if "analyte_r2" in row]
    return ", ".join(f"{v:.3f}" for v in np.median(values, axis=0)) if values else "-"


def sums(name: str) -> Callable[[Rows], str]:
    return lambda rows: str(sum(row.get(name, 0) for row in rows))


FOUND: list[Column] = [("seeds", lambda rows: str(len(rows))), ("found", counts)]
FOUND += [("true", true_count)]
QUALITY: list[Column] = [
    ("cosine, mean (worst)", cosine()),
    ("R2 noise-free", middle("r2_noise_free")),
    ("R2 (of the truth)", r2),
]
CODES: list[Column] = [
    ("active (true)", active),
    ("concentration error", middle("concentration_error", ".3f")),
]
COST: list[Column] = [("seconds", middle("seconds", ".1f")), ("MiB", middle("peak_mib", ".0f"))]
ENDED: Column = ("ended, phases", ended)
EVERY = [*FOUND, *QUALITY, *CODES, ENDED, *COST]
COLUMNS: dict[str, list[Column]] = {
    "noise": [*EVERY, ("offset", middle("offset")), ("offset found", middle("offset_found"))],
    "limits": [
        *FOUND,
        ("cosine of those affected, mean (worst); missing ones 0", cosine("affected")),
        *QUALITY[1:],
        *CODES,
        ENDED,
    ],
    "mixing": [*FOUND, *QUALITY, ("curvature", middle("curvature", ".1f")), *CODES[1:], *COST],
    "library": [
        *FOUND,
        ("named rightly, all seeds", sums("named_rightly")),
        ("wrongly", sums("named_wrongly")),
        ("not named", sums("named_too_few")),
        *QUALITY,
        *COST,
    ],
    "real": [
        *FOUND,
        ("angle, mean", middle("angle_mean", ".2f")),
        ("worst component", middle("angle_max", ".2f")),
        ("RMSE of fractions", middle("fraction_rmse", ".3f")),
        ("R2 of glucose, ethanol", amounts),
        ("R2 noise-free", middle("r2_noise_free")),
        ("R2 (of the truth)", r2),
        *COST,
    ],
}
NOTES = {
    "library": "Rows of all seeds together: spectra of the library among the fixed components.",
    "real": (
        "Angles in degrees, fractions of matched components that sum to one; the truth of images "
        "is itself a product of unmixing. Amounts: ten folds held out; the R2 of rows "
        "without the amounts is by least squares on concentrations."
    ),
    "mixing": "Curvature: about 1 for noise, above 6 the run warns that mixing is another.",
}


def tables(rows: Rows) -> str:
    """A section for each group."""
    groups = dict.fromkeys(row["group"] for row in rows)
    return "\n\n".join(section(name, [r for r in rows if r["group"] == name]) for name in groups)


def section(group: str, rows: Rows) -> str:
    """Heading, notes and table of a group."""
    lines = [f"### {group}", ""]
    if group in NOTES:
        lines += [NOTES[group], ""]
    if group == "paper":
        published = "; ".join(f"{snr} dB: {said}" for snr, said in UPSTREAM.items())
        lines += [f"Published for upstream (arXiv 2507.23600), not measured here: {published}.", ""]
    lines += table(rows, COLUMNS.get(group, EVERY))
    if group == "scale":
        lines += ["", *growth(rows)]
    return "\n".join(lines)


def table(rows: Rows, columns: list[Column]) -> list[str]:
    """Lines of Markdown; columns that say nothing in any row are left out."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    keys = list(dict.fromkeys(key(row) for row in rows))
    keys.sort(key=lambda k: (cases.index(k[0]), k[1] or 0))
    cells = [_cells(k, [row for row in rows if key(row) == k], columns) for k in keys]
    titles = ["data", "method", *(title for title, _ in columns)]
    kept = [i for i in range(len(titles)) if any(row[i] != "-" for row in cells)]
    lines = ["| " + " | ".join(titles[i] for i in kept) + " |", "|---" * len(kept) + "|"]
    return lines + ["| " + " | ".join(row[i] for i in kept) + " |" for row in cells]


def key(row: dict) -> tuple:
    """Rows of the same key are seeds of each other."""
    return row["case"], row.get("at"), row["method"]


def _cells(key: tuple, rows: Rows, columns: list[Column]) -> list[str]:
    case, at, method = key
    title = f"{case}: {at:g}" if rows[0]["group"] == "limits" else case
    fit = [row for row in rows if "error" not in row]
    failed = [row["error"] for row in rows if "error" in row]
    if not fit:
        return [title, method, "failed: " + failed[0], *("-" for _ in columns[1:])]
    values = [f(fit) for _, f in columns]
    if failed:
        values[0] += f" (and {len(failed)} failed: {failed[0]})"
    return [title, method, *values]


def growth(rows: Rows) -> list[str]:
    """Slopes of logarithms against that of N, by least squares, for each number of bands."""
    lines = []
    for bands in sorted({_bands(row) for row in rows if "error" not in row}):
        mine = [row for row in rows if "error" not in row and _bands(row) == bands]
        if len(mine) > 1:
            told = (f"{name} grow as N^{slope(mine, name):.2f}" for name in ("seconds", "peak_mib"))
            few = "" if len(mine) > 2 else " (two points)"
            lines.append(f"{bands} bands{few}: {', '.join(told)}.")
    return lines


def slope(rows: Rows, name: str) -> float:
    n, values = (np.log([row[key] for row in rows]) for key in ("at", name))
    return float(np.polyfit(n, values, 1)[0])


def _bands(row: dict) -> int:
    return row["make"]["options"].get("bands", 512)
