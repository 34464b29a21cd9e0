"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, GREY = "#c0392b", "#2980b9", "#27ae60", plots.GREY


def rows_and_codewords(rows: np.ndarray, codebook: np.ndarray, codes: np.ndarray) -> Figure:
    """Representations of two numbers and their codewords; `[n, 2]`, `[k, 2]`, `[n]`."""
    figure, ((axes,),) = plots.axes(width=4.6, height=4.2, frame="full")
    axes.scatter(*rows.T, s=9, c=codes, cmap="tab20", alpha=0.7)
    axes.scatter(*codebook.T, s=90, marker="x", c="black", label="codewords")
    axes.set(xlabel="first number", ylabel="second number", aspect="equal")
    axes.legend(frameon=False, loc="best")
    return figure


def kernels(dense: np.ndarray, restored: Mapping[str, np.ndarray]) -> Figure:
    """Weight matrices beside those that compressed forms restore."""
    names = {"trained": dense} | dict(restored)
    figure, (panels,) = plots.axes(len(names), width=2.5, height=2.7, frame="none")
    limit = np.abs(dense).max()
    for axes, (name, matrix) in zip(panels, names.items(), strict=True):
        axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
    return figure


def post_hoc(dims: Sequence[int], errors: Mapping[str, np.ndarray]) -> Figure:
    """Relative errors of trained weights by rank, stacked: what the rank leaves out, what clustering adds."""
    figure, ((axes,),) = plots.axes(width=5)
    places = np.arange(len(dims))
    axes.bar(places, errors["low rank"], color=GREY, label="left out by the rank")
    axes.bar(places, errors["clustering"], bottom=errors["low rank"], color=RED, label="added by clustering")
    axes.set(xticks=places, xticklabels=dims, xlabel="numbers a row d", ylabel="squared error / squared weights")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def trade_off(dims: Sequence[int], curves: Mapping[str, np.ndarray], majority: float) -> Figure:
    """Accuracies `[seeds, dims]` before clustering, after it, and after fine-tuning."""
    figure, ((axes,),) = plots.axes(width=5.4, height=3.6)
    for (name, curve), colour in zip(curves.items(), (BLUE, GREY, RED, GREEN), strict=False):
        mean, spread = 100 * curve.mean(0), 100 * curve.std(0)
        axes.plot(dims, mean, "o-", color=colour, label=name)
        axes.fill_between(dims, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)
    axes.axhline(100 * majority, color="black", lw=0.8, ls=":")
    axes.annotate("majority class", (dims[-1], 100 * majority), ha="right", va="bottom", fontsize=8)
    axes.set(xscale="log", xticks=dims, xticklabels=dims, xlabel="numbers a row d", ylabel="test accuracy (%)", ylim=(0, 100))
    axes.minorticks_off()
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def ratios(dims: Sequence[int], by_m: Mapping[int, np.ndarray], vq: Mapping[int, float]) -> Figure:
    """Compression ratios by rank, a line for every length of rows, and plain vector quantisation."""
    figure, ((axes,),) = plots.axes(width=5)
    for (m, values), colour in zip(by_m.items(), (RED, BLUE, GREEN), strict=False):
        axes.plot(dims, values, "o-", color=colour, label=f"m = {m}")
        axes.axhline(vq[m], color=colour, lw=1, ls=":")
    axes.plot([], [], color="black", lw=1, ls=":", label="plain quantisation of the rows")
    axes.set(xlabel="numbers a row d", ylabel="times smaller", ylim=(0, None), xticks=dims)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def law(codewords: np.ndarray, errors: Mapping[int, np.ndarray]) -> Figure:
    """Clustering error against codewords, log-log, and lines of slope -2/d through the first point."""
    figure, ((axes,),) = plots.axes(width=5)
    for (d, values), colour in zip(errors.items(), (RED, BLUE, GREEN), strict=False):
        axes.loglog(codewords, values, "o", color=colour, label=f"d = {d}")
        axes.loglog(codewords, values[0] * (codewords / codewords[0]) ** (-2 / d), color=colour, lw=1, ls="--")
    axes.plot([], [], color="black", lw=1, ls="--", label="slope -2/d")
    axes.set(xlabel="codewords k", ylabel="clustering error / variance")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def steps(accuracies: Mapping[str, float], majority: float) -> Figure:
    """Accuracy after every step of the order of work."""
    figure, ((axes,),) = plots.axes(width=5, height=3)
    colours = (BLUE, GREY, GREEN, RED)
    bars = axes.bar(list(accuracies), [100 * value for value in accuracies.values()], color=colours[: len(accuracies)])
    axes.bar_label(bars, fmt="%.1f", fontsize=9)
    axes.axhline(100 * majority, color="black", lw=0.8, ls=":")
    axes.set(ylabel="test accuracy (%)", ylim=(0, 108))
    return figure
