"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure
from quire.jlcm.grouping import Groups

PROXIMAL, DISTANCE, SOFTMAX = "#c0392b", "#2980b9", "#8e44ad"
COLOURS = {
    "proximal": PROXIMAL,
    "JLCM": PROXIMAL,
    "distance": DISTANCE,
    "softmax": SOFTMAX,
    "softmax gradient": SOFTMAX,
    "soft forward": "#e67e22",
    "coordinate descent": "#27ae60",
    "M, JLCM": "#d98880",
}
GROUPS = ("#2980b9", "#e67e22", "#27ae60", "#8e44ad", "#c0392b", "#16a085", "#7f8c8d", "#2c3e50")


def neurons(weights: np.ndarray, groups: Groups) -> Figure:
    """Weights of every neuron, in the order of the model and in that of the groups, coloured by group."""
    figure, (panels,) = plots.axes(2, width=4.8, sharey=True)
    orders = {"as trained": np.arange(len(weights)), "re-ordered": groups.perm}
    for axes, (title, order) in zip(panels, orders.items(), strict=True):
        for place, neuron in enumerate(order):
            colour = GROUPS[groups.labels[neuron] % len(GROUPS)]
            axes.plot(np.full(weights.shape[1], place), weights[neuron], ".", ms=3, color=colour, alpha=0.6)
        axes.set(xlabel="neuron (one column each)", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
    for border in np.cumsum(groups.sizes)[:-1]:
        panels[1].axvline(border - 0.5, color="k", lw=0.8, ls="--")
    panels[0].set_ylabel("weight")
    return figure


def codebooks(weights: np.ndarray, books: Mapping[str, np.ndarray]) -> Figure:
    """A histogram of weights, and the codewords of several codebooks."""
    figure, ((axes,),) = plots.axes(width=6.4, height=3.4)
    axes.hist(weights.ravel(), bins=80, color=plots.GREY, alpha=0.4, density=True)
    styles = [("#2c3e50", ":"), ("#2980b9", "--"), (PROXIMAL, "-")]
    for (name, book), (colour, line) in zip(books.items(), styles, strict=False):
        for number, word in enumerate(book):
            axes.axvline(word, color=colour, ls=line, lw=1.6, label=name if number == 0 else None)
    axes.set(xlabel="weight", ylabel="density")
    axes.legend(frameon=False)
    return figure


def rules(found) -> Figure:
    """|derivative| by distance for all draws: the default rule from the soft value, the proximal one from the codeword in use."""
    figure, (panels,) = plots.axes(3, width=4.0, grid=True)
    books = found.codebooks
    soft = np.abs(books - books.mean(1, keepdims=True))
    used = np.abs(books - books[:, :1])[:, 1:]
    shown = [
        ("default", soft, found.default, SOFTMAX, "distance from the soft value"),
        ("default", used, found.default[:, 1:], SOFTMAX, "distance from the codeword in use"),
        ("proximal", used, found.proximal[:, 1:], PROXIMAL, "distance from the codeword in use"),
    ]
    for axes, (name, distance, derivative, colour, label) in zip(panels, shown, strict=True):
        axes.plot(distance.ravel(), np.abs(derivative).ravel(), ".", ms=2, color=colour, alpha=0.5)
        axes.set(xlabel=label, title=f"{name} rule")
    panels[0].set_ylabel("|derivative by the logit|")
    panels[2].set_yscale("log")
    return figure


def weightings(weights: Mapping[str, np.ndarray], difference: np.ndarray) -> Figure:
    """Weights of codewords by their signed distance from the one in use, for several phi; each relative to its largest."""
    figure, ((axes,),) = plots.axes(width=6, height=3.2, grid=True)
    for number, (name, values) in enumerate(weights.items()):
        for side in (difference < 0, difference > 0):
            label = name if side[-1] else None
            axes.plot(difference[side], values[side] / values.max(), "o-", ms=4, color=GROUPS[number], label=label)
    axes.set(xlabel="$C_c - C_h$, in gaps of the codebook", ylabel="weight / largest weight")
    axes.legend(frameon=False)
    return figure


def errors(values: Mapping[str, float | Sequence[float]]) -> Figure:
    """Relative output error by method, one number or one a seed."""
    figure, ((axes,),) = plots.axes(width=7, height=3.2)
    ordered = dict(sorted(values.items(), key=lambda item: -np.mean(item[1])))
    plots.seed_bars(axes, ordered, COLOURS)
    axes.set(ylabel="relative output error")
    axes.tick_params(axis="x", rotation=20)
    return figure


def learning(found, rates: Sequence[float], levels: Mapping[str, float]) -> Figure:
    """Test error of every rule by rate, and the loss of the chosen rate by step."""
    figure, ((left, right),) = plots.axes(2, width=5.2, height=3.6, grid=True)
    for name, outcome in found.items():
        tested = np.asarray(outcome.tested)
        left.plot(rates[-len(tested) :], tested, "o-", ms=4, color=COLOURS[name], label=name)
        steps, means = plots.smooth(outcome.losses, 20)
        right.semilogy(steps, means, color=COLOURS[name], label=name)
    for name in ("nearest", "coordinate descent"):
        plots.level(left, levels[name], name)
    plots.log_ticks(left, rates)
    left.tick_params(axis="x", rotation=45)
    left.set(xlabel="rate of the mapping", ylabel="relative output error, test", yscale="log")
    right.set(xlabel="step", ylabel="relative error of the batch")
    right.legend(frameon=False)
    return figure


def accuracies(values: Mapping[str, float], bits: Mapping[str, np.ndarray]) -> Figure:
    """Test accuracy by the size of the weights, all that is stored included, and a dashed line for float32."""
    figure, ((axes,),) = plots.axes(width=7.6, height=4.2, grid=True)
    shown = [(float(bits[name]), 100 * values[name], name) for name in bits]
    for size, accuracy, name in shown:
        axes.plot(size, accuracy, "o", color=COLOURS.get(name, plots.GREY), ms=7)
    _labels(axes, shown)
    plots.level(axes, 100 * values["float32"], "float32")
    axes.set(xlabel="bits a weight, codebooks and scales included", ylabel="test accuracy (%)")
    return figure


def _labels(axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Names to the right of points, moved apart where they would lie on each other."""
    low, high = min(y for _, y, _ in points), max(y for _, y, _ in points)
    gap, widest = 0.045 * (high - low or 1), max(x for x, _, _ in points) - min(x for x, _, _ in points)
    for x in sorted({x for x, _, _ in points}):
        place = -np.inf
        for _, y, name in sorted((p for p in points if p[0] == x), key=lambda p: p[1]):
            place = max(place + gap, y)
            axes.annotate(name, (x, y), (x + 0.03 * widest, place), va="center", fontsize="small", annotation_clip=False)
    axes.margins(x=0.25)
    axes.set_ylim(low - 2 * gap, high + 6 * gap)


def layers(proximal: np.ndarray, softmax: np.ndarray) -> Figure:
    """Reconstruction error of every layer by step, `[layers, steps]`, with the proximal rule and with the default one."""
    figure, (panels,) = plots.axes(len(proximal), width=3.6, height=3.0, grid=True, sharey=True)
    for number, axes in enumerate(panels):
        for name, curves, colour in (("proximal", proximal, PROXIMAL), ("softmax gradient", softmax, SOFTMAX)):
            steps, means = plots.smooth(curves[number], 10)
            axes.semilogy(steps, means, color=colour, label=name)
        axes.set(xlabel="step", title=f"layer {number + 1}")
    panels[0].set_ylabel("relative output error")
    panels[-1].legend(frameon=False)
    return figure
