"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {
    "FlexRound": "#c0392b",
    "AdaQuant": "#2980b9",
    "AdaRound": "#8e44ad",
    "s1 fixed": "#e67e22",
    "without s3": "#d98880",
    "only s1": plots.GREY,
    "RTN": plots.GREY,
}


def rounding_steps(u: np.ndarray, zero: float, bits: int, scales: Sequence[float]) -> Figure:
    """The code of a weight against `W / s1`, for several of its own scales S2."""
    figure, ((axes,),) = plots.axes(width=6, height=3.6, grid=True)
    for number, scale in enumerate(scales):
        codes = np.clip(np.round(u / scale) + zero, 0, 2**bits - 1) - zero
        colour = "k" if scale == 1 else f"C{number}"
        axes.step(u, codes, where="mid", color=colour, label=f"$S_2$ = {scale:g}" + (" (to nearest)" if scale == 1 else ""))
    axes.set(
        xlabel="$W / s_1$",
        ylabel="point of the grid, code $- z$",
        title="Large weights are moved furthest",
    )
    axes.legend(frameon=False)
    return figure


def reciprocal(w: np.ndarray, gradients: Mapping[str, np.ndarray]) -> Figure:
    """Size of the derivative by the number that moves a weight against the size of the weight, one panel a method."""
    figure, (panels,) = plots.axes(len(gradients), width=4.2, grid=True)
    for axes, (name, gradient) in zip(panels, gradients.items(), strict=True):
        axes.plot(np.abs(w).ravel(), np.abs(gradient).ravel(), ".", ms=3, color=COLOURS[name.split(":")[0]], alpha=0.6)
        axes.set(xlabel="|W|", ylabel="|derivative of the loss|", title=name, ylim=(0, 1.1 * np.abs(gradient).max()))
    return figure


def movement(w: np.ndarray, scale: float, updates: Mapping[str, np.ndarray], shifts: Mapping[str, np.ndarray]) -> Figure:
    """How far each weight was moved, in steps of the grid, against the weight; rings: the code moved by 2 or more."""
    figure, (panels,) = plots.axes(len(updates), width=4.6, height=3.6, grid=True, sharey=True)
    for axes, (name, update) in zip(panels, updates.items(), strict=True):
        x, far = w.ravel() / scale, np.abs(shifts[name]).ravel() >= 2
        axes.plot(x, update.ravel(), ".", ms=3, color=COLOURS[name], alpha=0.5)
        axes.plot(x[far], update.ravel()[far], "o", ms=6, mfc="none", color="k")
        axes.axhline(0, color="k", lw=0.6)
        axes.set(xlabel="$W / s_1$", title=f"{name}: {far.sum()} codes moved by 2 or more (rings)")
    panels[0].set_ylabel("moved before rounding (steps)")
    return figure


def errors(by_width: Mapping[int, Mapping[str, np.ndarray]]) -> Figure:
    """Relative output error of every method, `[seeds]` each, one panel a width."""
    figure, (panels,) = plots.axes(len(by_width), width=5.6, height=3.4)
    for axes, (bits, values) in zip(panels, by_width.items(), strict=True):
        plots.seed_bars(axes, values, COLOURS)
        axes.set(ylabel="relative output error", title=f"{bits} bits")
        axes.tick_params(axis="x", rotation=30)
    return figure


def shifts(by_width: Mapping[int, Mapping[str, np.ndarray]]) -> Figure:
    """How many grid points the codes lie away from rounding to nearest: share of the weights, log scale, one panel a width."""
    figure, (panels,) = plots.axes(len(by_width), width=4.6, grid=True, sharey=True)
    for axes, (bits, found) in zip(panels, by_width.items(), strict=True):
        longest = max(int(np.abs(moved).max()) for moved in found.values())
        for place, (name, moved) in enumerate(found.items()):
            share = [np.mean(np.abs(moved) == k) for k in range(longest + 1)]
            width = 0.8 / len(found)
            axes.bar(
                np.arange(longest + 1) + (place - (len(found) - 1) / 2) * width, share, width, color=COLOURS[name], label=name
            )
        axes.set(
            yscale="log", xlabel="grid points away from rounding to nearest", title=f"{bits} bits", xticks=range(longest + 1)
        )
    panels[0].set_ylabel("share of the weights")
    panels[-1].legend(frameon=False)
    return figure


def accuracies(values: Mapping[str, np.ndarray], full: float, bits: int) -> Figure:
    """Test accuracy of every method, `[seeds]` each, in per cent, and that in full precision."""
    figure, ((axes,),) = plots.axes(width=5, height=3.4)
    plots.seed_bars(axes, {name: 100 * np.asarray(x) for name, x in values.items()}, COLOURS)
    plots.level(axes, 100 * full, "full precision")
    low = 100 * min(np.min(x) for x in values.values())
    axes.set(ylabel="test accuracy (%)", ylim=(low - 3, 101.5), title=f"Weights of {bits} bits, one scale a layer")
    return figure


def perplexities(by_width: Mapping[int, Mapping[str, np.ndarray]], full: float) -> Figure:
    """Perplexity of every method, `[seeds]` each, one panel a width, and that in full precision."""
    figure, (panels,) = plots.axes(len(by_width), width=3.8, height=3.4, sharey=True)
    top = max(np.max(x) for values in by_width.values() for x in values.values())
    for axes, (bits, values) in zip(panels, by_width.items(), strict=True):
        plots.seed_bars(axes, values, COLOURS)
        axes.axhline(full, color="k", lw=0.9, ls="--", label="full precision")
        axes.set(title=f"{bits} bits", ylim=(full - 0.4 * (top - full), top + 0.1 * (top - full)))
    panels[0].set_ylabel("perplexity of the test text")
    panels[-1].legend(frameon=False, loc="upper right")
    return figure


def block_losses(losses: Mapping[str, np.ndarray]) -> Figure:
    """Reconstruction error of every block while its rounding is learned, relative to the first step."""
    figure, ((axes,),) = plots.axes(width=6, height=3.4, grid=True)
    for name, values in losses.items():
        steps, means = plots.smooth(np.asarray(values) / np.mean(values[:10]), 10)
        axes.semilogy(steps, means, label=name)
    axes.set(xlabel="step", ylabel="error / first error", title="Reconstruction of one block")
    axes.legend(frameon=False)
    return figure
