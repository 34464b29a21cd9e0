"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, PURPLE, GREY = "#c0392b", "#2980b9", "#27ae60", "#8e44ad", plots.GREY
COLOURS = (RED, BLUE, GREEN, PURPLE, "#d35400", "#16a085")


def graph(A: np.ndarray, target: int, sites: Sequence[int] = ()) -> Figure:
    """A model as a graph: nodes on a circle, edges with their weights, the target red, the sites of interventions ringed."""
    figure, ((axes,),) = plots.axes(width=4.2, height=3.8, frame="none")
    turn = np.pi / 2 - 2 * np.pi * np.arange(len(A)) / len(A)
    place = np.stack([np.cos(turn), np.sin(turn)], 1)
    for i, j in zip(*np.nonzero(A), strict=True):
        style = {"arrowstyle": "-|>", "shrinkA": 15, "shrinkB": 15, "color": GREY, "lw": 1.4}
        axes.annotate("", place[i], place[j], arrowprops=style)
        spot = 0.62 * place[j] + 0.38 * place[i]
        axes.text(*spot, f"{A[i, j]:.1f}", fontsize=8, ha="center", va="center", bbox={"fc": "white", "ec": "none", "pad": 0.6})
    for i, (x, y) in enumerate(place):
        ring = "#d35400" if i in sites else "black"
        axes.plot(x, y, "o", ms=25, mfc=RED if i == target else "white", mec=ring, mew=2.6 if i in sites else 1)
        axes.text(x, y, "Y" if i == target else f"{i}", ha="center", va="center", color="white" if i == target else "black")
    axes.set(xlim=(-1.35, 1.35), ylim=(-1.3, 1.3), aspect="equal")
    return figure


def drifting_coefficients(drift: Mapping[str, np.ndarray]) -> Figure:
    """Best coefficients `[environments, k]` of several representations, environment by environment."""
    figure, (panels,) = plots.axes(len(drift), width=3.1, height=2.7, sharey=True)
    for axes, (name, w) in zip(panels, drift.items(), strict=True):
        for k, colour in zip(range(w.shape[1]), COLOURS, strict=False):
            axes.plot(w[:, k], "o-", ms=3, color=colour)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("environment")
    panels[0].set_ylabel("best coefficients")
    return figure


def violations(counts: Sequence[int], curves: Mapping[str, np.ndarray], random: float | None = None) -> Figure:
    """Violation rates `[counts]` or `[seeds, counts]` of the worst invariant representation, log-log, and the slope of 1/m."""
    figure, ((axes,),) = plots.axes(width=5.4, height=3.6)
    for (name, values), colour in zip(curves.items(), COLOURS, strict=False):
        plots.band(axes, counts, np.atleast_2d(values), color=colour, label=name, marker="o", ms=4)
    line = np.array(counts, float)
    axes.plot(line, 1 / line, ls=":", color="black", lw=1, label="1/m")
    if random is not None:
        plots.level(axes, random, "any representation")
    axes.set(yscale="log", ylim=(1.5e-3, 1.6), xlabel="training interventions m", ylabel="violation rate on unseen ones")
    plots.log_ticks(axes, [m for m in counts if m & (m - 1) == 0], base=2)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def needed(dims: Sequence[int], measured: np.ndarray, references: Mapping[str, np.ndarray]) -> Figure:
    """Interventions needed by number of nodes, `[dims]`, and other laws through the first point."""
    figure, ((axes,),) = plots.axes(width=4.8, height=3.2)
    axes.plot(dims, measured, "o-", color=RED, label="measured")
    for (name, values), style in zip(references.items(), ("--", ":", "-."), strict=False):
        axes.plot(dims, values, ls=style, color=GREY, label=name)
    axes.set(yscale="log", xlabel="nodes p", ylabel="interventions needed")
    ticks = [4, 8, 16, 32, 64]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    plots.log_ticks(axes, list(dims), base=2)
    axes.legend(frameon=False, fontsize=8)
    return figure


def by_family(panels: Mapping[str, tuple[Sequence[int], np.ndarray, np.ndarray]]) -> Figure:
    """Violation after a few interventions, a panel for each thing that varies: values, worst and mean rates `[seeds, values]`."""
    figure, (row,) = plots.axes(len(panels), width=3.3, height=3.1, sharey=True)
    for axes, (name, (values, worst, random)) in zip(row, panels.items(), strict=True):
        plots.band(axes, values, worst, color=RED, marker="o", ms=4, label="worst invariant one")
        plots.band(axes, values, random, color=GREY, marker="o", ms=4, label="any representation")
        axes.set(xlabel=name, ylim=(0, 1))
        axes.set_xticks(list(values))
    row[0].set_ylabel("violation rate, m = 8")
    row[0].legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def worst_risks(risks: Mapping[str, np.ndarray]) -> Figure:
    """Largest risks of learners over unseen environments, one point for every model, log scale; the line is the median."""
    figure, ((axes,),) = plots.axes(width=6.2, height=3.6)
    for place, (name, values) in enumerate(risks.items()):
        colour = RED if name == "invariant subset" else GREY
        spread = np.linspace(-0.22, 0.22, values.size)
        axes.plot(place + spread, values.ravel(), ".", color=colour, ms=4, alpha=0.6)
        axes.plot([place - 0.32, place + 0.32], [np.median(values)] * 2, color="black", lw=1.6)
    axes.set(yscale="log", ylabel="worst risk under strong interventions")
    axes.set_xticks(range(len(risks)), [name.replace(" ", "\n") for name in risks], fontsize=8)
    return figure


def bound(levels: Sequence[float], measured: Mapping[str, Sequence[float]], bounds: Sequence[float]) -> Figure:
    """Interventions that are enough by violation level, measured and by the bound."""
    figure, ((axes,),) = plots.axes(width=4.8, height=3.2)
    axes.plot(levels, bounds, "o--", color=GREY, label="bound, finite class")
    for (name, values), colour in zip(measured.items(), (RED, BLUE), strict=False):
        axes.plot(levels, values, "o-", color=colour, label=name)
    axes.set(yscale="log", xlabel="violation rate that is promised", ylabel="interventions")
    ticks = [4, 8, 16, 32, 64]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    return figure


def sampling(ns: Sequence[int], errors: np.ndarray) -> Figure:
    """Error of the gap by number of samples, log-log, and the slope -1/2."""
    figure, ((axes,),) = plots.axes(width=4.6, height=3.1)
    counts = np.array(ns)
    axes.loglog(counts, errors, "o-", color=RED, label="error of the gap")
    axes.loglog(counts, errors[0] * np.sqrt(counts[0] / counts), ":", color="black", lw=1, label="$n^{-1/2}$")
    axes.set(xlabel="samples from each environment n", ylabel="mean absolute error")
    axes.legend(frameon=False, fontsize=8)
    return figure


def ranks(values: Mapping[str, np.ndarray]) -> Figure:
    """Singular values of what interventions change in the covariance, by their order."""
    figure, ((axes,),) = plots.axes(width=4.8, height=3.1)
    for (name, one), colour in zip(values.items(), COLOURS, strict=False):
        axes.semilogy(np.arange(1, len(one) + 1), np.maximum(one, 1e-18), "o-", ms=4, color=colour, label=name)
    axes.set(xlabel="order", ylabel="singular value / largest")
    axes.legend(frameon=False, fontsize=8)
    return figure
