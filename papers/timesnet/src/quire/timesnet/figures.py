"""Figures of the claims and of the notebook; matplotlib figures, closed."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.claims.measurement import Numbers
from quire.common.plots import Figure

COLOURS = {
    "TimesNet": "#c0392b",
    "1-D blocks": "#2471a3",
    "DLinear": "#117a65",
    "TimesNet, k = 1": "#d68910",
    "linear interpolation": "#7d3c98",
    "repeat last day": "#7d3c98",
    "repeat last season": "#7d3c98",
}
GREY, DARK = "#95a5a6", "#2c3e50"


def periods(x: np.ndarray, frequency: Sequence[int], period: Sequence[int], amplitude: np.ndarray) -> Figure:
    """A series, and its spectrum with the frequencies that a block would choose."""
    figure, ((left, right),) = plots.axes(2, width=4.8, height=2.8)
    left.plot(x, color=DARK, lw=1)
    left.set(xlabel="step", ylabel="value", title="one channel")
    right.bar(range(len(amplitude)), amplitude, color=GREY, width=1)
    for f, p in zip(frequency, period, strict=True):
        right.bar(f, amplitude[f], color=COLOURS["TimesNet"], width=1)
        right.annotate(f"period {p}", (f, amplitude[f]), (4, 2), textcoords="offset points", fontsize="small")
    right.set(xlabel="cycles in the window", ylabel="amplitude", title="spectrum, batch average")
    return figure


def folded_maps(maps: Mapping[str, np.ndarray]) -> Figure:
    """A series folded by several periods, one row a cycle."""
    figure, (axes,) = plots.axes(len(maps), width=3.4, height=2.8, frame="full")
    limit = max(np.abs(values).max() for values in maps.values())
    for each, (name, values) in zip(axes, maps.items(), strict=True):
        image = each.imshow(values, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        each.set(xlabel="phase", title=name)
    axes[0].set_ylabel("cycle")
    figure.colorbar(image, ax=list(axes), label="value")
    return figure


def forecasts(shown: Mapping[str, np.ndarray], methods: Sequence[str]) -> Figure:
    """What was read, what came, and forecasts; `shown` holds `[windows, steps]` by name."""
    known, target = shown["known"], shown["target"]
    figure, (axes,) = plots.axes(len(known), width=4.0, height=2.8)
    past, coming = np.arange(known.shape[1]), known.shape[1] + np.arange(target.shape[1])
    for place, each in enumerate(axes):
        each.plot(past, known[place], color=GREY, lw=1)
        each.plot(coming, target[place], color=DARK, lw=1.4, label="truth")
        for name in methods:
            each.plot(coming, shown[name][place], color=COLOURS[name], lw=1.4, label=name)
        each.set(xlabel="step")
    axes[0].legend(frameon=False, fontsize="small")
    return figure


def imputations(shown: Mapping[str, np.ndarray], methods: Sequence[str]) -> Figure:
    """One series, what is missing of it, and what was filled in; `shown` holds `[steps]` by name."""
    figure, ((axes,),) = plots.axes(width=9, height=2.8)
    steps, missing = np.arange(len(shown["truth"])), shown["mask"] == 0
    axes.plot(steps, shown["truth"], color=GREY, lw=1, label="truth")
    axes.plot(steps[~missing], shown["truth"][~missing], ".", color=DARK, ms=4, label="observed")
    for name in methods:
        axes.plot(steps, np.where(missing, shown[name], np.nan), "-o", ms=3, lw=1.2, color=COLOURS[name], label=name)
    axes.set(xlabel="step", ylabel="value")
    axes.legend(frameon=False, fontsize="small", ncols=2)
    return figure


def detections(shown: Mapping[str, np.ndarray], name: str) -> Figure:
    """Telemetry with its anomalies in the background, and the score under it."""
    figure, ((top,), (bottom,)) = plots.axes(1, 2, width=9, height=1.9, sharex=True)
    top.plot(shown["value"], color=DARK, lw=0.8)
    bottom.semilogy(np.maximum(shown["score"], 1e-8), color=COLOURS["TimesNet"], lw=0.8)
    truth = np.concatenate([[0], shown["truth"].astype(int), [0]])
    for first, last in zip(np.flatnonzero(np.diff(truth) == 1), np.flatnonzero(np.diff(truth) == -1), strict=True):
        for each in (top, bottom):
            each.axvspan(first, last, color="#f5b7b1", alpha=0.6, lw=0)
    top.set(ylabel="telemetry", title=name)
    bottom.set(xlabel="step", ylabel="squared error")
    return figure


def confusion(labels: np.ndarray, guesses: np.ndarray, classes: Sequence[str]) -> Figure:
    """How often each class is taken for each."""
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (labels, guesses), 1)
    figure, ((axes,),) = plots.axes(width=4.2, height=3.6, frame="full")
    image = axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", xticks=range(len(classes)), yticks=range(len(classes)))
    axes.set_xticklabels(classes)
    axes.set_yticklabels(classes)
    figure.colorbar(image, label="share of the class")
    return figure


def bars(values: Mapping[str, Numbers], ylabel: str, *, line: tuple[str, float] | None = None) -> Figure:
    """Every seed of every method as a point, the mean as a bar."""
    figure, ((axes,),) = plots.axes(width=1.5 + 1.05 * len(values), height=2.8)
    plots.seed_bars(axes, values, COLOURS, default=GREY)
    if line:
        plots.level(axes, line[1], line[0])
    axes.set_xticks(range(len(values)), [textwrap.fill(name, 11) for name in values], fontsize="small")
    axes.set_ylabel(ylabel)
    return figure


def by_channel(values: Mapping[str, Mapping[str, float]], ylabel: str) -> Figure:
    """Methods side by side, a group for each channel."""
    figure, ((axes,),) = plots.axes(width=1.4 * len(values) + 1, height=2.8)
    methods = list(next(iter(values.values())))
    palette = (COLOURS["TimesNet"], GREY, COLOURS["1-D blocks"])
    for place, (method, colour) in enumerate(zip(methods, palette, strict=False)):
        across = np.arange(len(values)) + 0.27 * (place - 1)
        axes.bar(across, [numbers[method] for numbers in values.values()], 0.25, color=colour, label=method)
    axes.set_xticks(range(len(values)), list(values), fontsize="small")
    axes.set(ylabel=ylabel, ylim=(0, 1.25))
    axes.legend(frameon=False, fontsize="small", ncols=3, loc="upper left")
    return figure


def period_counts(found: Mapping[int, int], divisors: Sequence[int]) -> Figure:
    """How often every period was drawn and found."""
    figure, ((axes,),) = plots.axes(width=5.5, height=2.8)
    axes.bar(range(len(divisors)), [found.get(p, 0) for p in divisors], color=COLOURS["TimesNet"], alpha=0.7)
    axes.set_xticks(range(len(divisors)), [str(p) for p in divisors])
    axes.set(xlabel="period", ylabel="times found")
    return figure
