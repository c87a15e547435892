"""Picture of the rows of gmcr/quality.py: number found, where it ends, and time."""

from pathlib import Path

import numpy as np

from benchmarks.gmcr.plan import CURVES

COLOURS = {20.0: "tab:blue", 30.0: "tab:orange"}


def plot(rows: list[dict], path: Path) -> None:
    """Left the number found against the true one; then the limits, and seconds against N."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(13, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, 6)
    fine = [row for row in rows if "error" not in row]
    numbers(figure.add_subplot(grid[:, :2]), [r for r in fine if r["group"] == "paper"])
    places = [grid[i, j] for i in range(2) for j in range(2, 6)]
    limits = [row for row in fine if row["group"] == "limits"]
    for place, name in zip(places, CURVES, strict=False):
        curve(figure.add_subplot(place), name, [row for row in limits if row["case"] == name])
    times(figure.add_subplot(places[-1]), [r for r in fine if r["group"] in ("paper", "scale")])
    figure.savefig(path, dpi=110)
    plt.close(figure)


def numbers(axes, rows: list[dict]) -> None:
    """Found over true number, every seed a dot; seeds beside each other."""
    for snr, colour in COLOURS.items():
        mine = [row for row in rows if row["make"]["options"]["snr_db"] == snr]
        mine = [row for row in mine if row["method"] == "jaxhsi"]
        aside = 1 + 0.012 * (np.array([row["seed"] for row in mine]) - 2 + (6 if snr > 20 else 0))
        at = np.array([row["at"] for row in mine]) * aside
        share = [row["count"] / row["true_count"] for row in mine]
        axes.plot(at, share, ".", color=colour, label=f"{snr:g} dB", alpha=0.7)
    axes.axhspan(0.95, 1.05, color="0.92", zorder=0, label="within 5 %")
    axes.axhline(1, color="0.6", linewidth=0.8, zorder=0)
    axes.set(xscale="log", xlabel="N, true number", ylabel="found / true")
    axes.set_xlim(14, 300)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.9), max(high, 1.1))
    _ticks(axes, (16, 32, 64, 128, 256))
    axes.set_title("Number of components, all seeds", fontsize=10)
    axes.legend(fontsize=8, loc="lower left")


def curve(axes, name: str, rows: list[dict]) -> None:
    """Number found over the true one, and mean cosine of the affected components, by seeds."""
    at = sorted({row["at"] for row in rows})
    values = {
        "found / true": lambda row: row["count"] / row["true_count"],
        "cosine": lambda row: row["affected_cosine_mean"],
    }
    places = np.arange(len(at))
    for (label, value), style in zip(values.items(), ("o-", "s--"), strict=True):
        seeds = [[value(row) for row in rows if row["at"] == x] for x in at]
        axes.plot(places, [np.mean(each) for each in seeds], style, markersize=3, label=label)
        dots = [(x, y) for x, each in zip(places, seeds, strict=True) for y in each]
        axes.plot(*np.reshape(dots, (-1, 2)).T, ".", color="0.5", markersize=2, zorder=0)
    axes.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    axes.set_ylim(0, max(1.2, axes.get_ylim()[1]))
    axes.set_xticks(places, [f"{x:g}" for x in at])
    axes.tick_params(labelsize=7)
    axes.set_title(name, fontsize=8)
    if name == next(iter(CURVES)):
        axes.legend(fontsize=6)


def times(axes, rows: list[dict]) -> None:
    """Seconds of an answer, compilation included, 20 dB."""
    mine = [row for row in rows if row["make"]["options"]["snr_db"] == 20]
    mine = [row for row in mine if row["method"] == "jaxhsi"]
    if not mine:
        return
    for bands, style in ((512, "."), (2048, "x")):
        some = [row for row in mine if row["make"]["options"].get("bands", 512) == bands]
        at, seconds = [row["at"] for row in some], [row["seconds"] for row in some]
        axes.plot(at, seconds, style, label=f"{bands} bands", markersize=4)
    axes.set(xscale="log", yscale="log")
    _ticks(axes, (16, 64, 256, 1024))
    axes.tick_params(labelsize=7)
    axes.set_title("seconds against N", fontsize=8)
    axes.legend(fontsize=6)


def _ticks(axes, numbers: tuple[int, ...]) -> None:
    """These numbers, written out, on a logarithmic axis."""
    axes.set_xticks(numbers, map(str, numbers))
    axes.minorticks_off()
