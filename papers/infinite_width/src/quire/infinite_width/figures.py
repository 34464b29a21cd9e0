"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {"muP": "#c0392b", "NTP": "#2c3e50", "SP, lr 1/n": "#7f8c8d", "SP": "#2980b9", "grey": "#95a5a6"}


def _width_ticks(axes, widths: Sequence[int]) -> None:
    plots.log_ticks(axes, widths, base=2)
    axes.set_xlabel("width n")


def movement(widths: Sequence[int], moved: Mapping[str, np.ndarray], fitted: Mapping[str, float]) -> Figure:
    """Movement `[draws, widths]` of the last features against width: the stable ones left, the unstable one right."""
    figure, ((left, right),) = plots.axes(2)
    for name, values in moved.items():
        axes = right if name == "SP" else left
        mean = np.exp(np.log(values.astype(float)).mean(0))
        axes.loglog(widths, mean, "o-", color=COLOURS[name], label=f"{name}: $n^{{{fitted[name]:.2f}}}$")
    for axes, title in ((left, "stable: features learned, or not"), (right, "unstable: SP with a fixed rate")):
        _width_ticks(axes, widths)
        axes.set_title(title, fontsize="medium")
        axes.legend(frameon=False)
    lowest = min(values.mean(0).min() for name, values in moved.items() if name != "SP")
    left.set(ylabel=r"rms of $\Delta x^L$ after 5 steps", ylim=(lowest / 12, None))
    left.legend(frameon=False, loc="lower left")
    right.set(ylabel=r"rms of $\Delta h^L$ after 5 steps")
    return figure


def phase_diagram(
    c: Sequence[float], readout: Sequence[float], phase: np.ndarray, points: Mapping[str, tuple[float, float]]
) -> Figure:
    """Kind of training (0 unstable, 1 trivial, 2 kernel, 3 feature) `[readout, c]`, with named parametrisations."""
    from matplotlib.colors import ListedColormap

    figure, ((axes,),) = plots.axes(width=6)
    colours = ["#d5d8dc", "#f2f4f4", "#5d6d7e", "#c0392b"]
    image = axes.pcolormesh(c, readout, phase, cmap=ListedColormap(colours), vmin=-0.5, vmax=3.5, shading="nearest")
    for name, (x, y) in points.items():
        axes.plot(x, y, "o", color="white", mec="black")
        axes.annotate(name, (x, y), (7, 5), textcoords="offset points", fontweight="bold")
    axes.set(xlabel="learning-rate exponent c", ylabel=r"readout exponent $a_{L+1} + b_{L+1}$")
    bar = figure.colorbar(image, ax=axes, ticks=range(4))
    bar.ax.set_yticklabels(["unstable", "trivial", "kernel", "feature learning"])
    return figure


def convergence(widths: Sequence[int], errors: np.ndarray, trivial: float) -> Figure:
    """Distance from the limit against width, with the line of slope -1/2 and the size of the limit itself."""
    figure, ((axes,),) = plots.axes()
    axes.loglog(widths, errors, "o-", color=COLOURS["muP"], label="finite networks")
    guide = errors[0] * (np.asarray(widths) / widths[0]) ** -0.5
    axes.loglog(widths, guide, "--", color=COLOURS["grey"], label=r"$n^{-1/2}$")
    axes.axhline(trivial, color=COLOURS["grey"], ls=":", label="predicting zero")
    _width_ticks(axes, widths)
    axes.set(ylabel="mean distance from the limit")
    axes.legend(frameon=False)
    return figure


def embeddings(losses: Mapping[str, float], kernel: Mapping[float, float], frequency: float) -> Figure:
    """Held-out loss by width, and of the kernel limit by learning rate."""
    figure, ((left, right),) = plots.axes(2)
    left.plot(range(len(losses)), list(losses.values()), "o-", color=COLOURS["muP"])
    left.set_xticks(range(len(losses)), list(losses))
    left.set(xlabel="width n", ylabel="held-out loss", title="wider is better, the limit best")
    right.semilogx(list(kernel), list(kernel.values()), "s-", color=COLOURS["NTP"], label="kernel limit")
    right.axhline(losses["∞"], color=COLOURS["muP"], label="muP limit")
    right.axhline(frequency, color=COLOURS["grey"], ls=":", label="word frequencies")
    right.set(xlabel="learning rate of the kernel limit", ylabel="held-out loss", title="without features")
    right.legend(frameon=False)
    return figure


def accuracies(scores: Mapping[str, float]) -> Figure:
    """Few-shot accuracy of every model, in the order given; chance is 1/5."""
    figure, ((axes,),) = plots.axes(width=6.4)
    colours = [COLOURS["muP"] if name[0] in "∞0123456789" and "un" not in name else COLOURS["grey"] for name in scores]
    bars = axes.bar(list(scores), list(scores.values()), color=colours, width=0.65)
    axes.bar_label(bars, fmt="%.3f", padding=2, fontsize="small")
    axes.axhline(0.2, color=COLOURS["NTP"], ls=":", label="chance")
    axes.set(ylabel="test accuracy", xlabel="width, or model", ylim=(0, 1.3 * max(scores.values())))
    axes.legend(frameon=False, loc="upper left")
    return figure


def transfer(rates: Sequence[float], widths: Sequence[int], losses: Mapping[str, np.ndarray]) -> Figure:
    """Loss against learning rate, a curve for each width, under muP and SP: arrays `[widths, rates]`."""
    figure, (panels,) = plots.axes(2)
    finite = np.concatenate([x[np.isfinite(x)] for x in losses.values()])
    shades = np.linspace(0.3, 1, len(widths))
    for axes, (name, values) in zip(panels, losses.items(), strict=True):
        for width, row, shade in zip(widths, values, shades, strict=True):
            row = np.where(np.isfinite(row), row, np.nan)
            axes.plot(rates, row, ".-", color=COLOURS[name], alpha=shade, label=f"n = {width}")
            best = int(np.nanargmin(row))
            axes.plot(rates[best], row[best], "o", ms=8, color=COLOURS[name], alpha=shade)
        plots.log_ticks(axes, rates[::3], base=2)
        axes.set(xlabel="learning rate", title=name, ylim=(0.97 * finite.min(), min(finite.max(), 2.3)))
        axes.legend(frameon=False, fontsize="small")
    panels[0].set_ylabel("loss of the last steps")
    return figure


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, xlabel: str, ylabel: str) -> Figure:
    """Named curves in one panel."""
    figure, ((axes,),) = plots.axes(width=5)
    for name, (x, y) in lines.items():
        axes.plot(x, y, "--" if "limit" in name else ".-", label=name, lw=2 if "limit" in name else 1)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(frameon=False)
    return figure


def kernels(panels: Mapping[str, np.ndarray]) -> Figure:
    """Symmetric matrices side by side on one colour scale."""
    figure, (axes,) = plots.axes(len(panels), width=2.8, height=2.6, frame="none")
    limit = max(np.abs(k).max() for k in panels.values())
    for each, (name, values) in zip(axes, panels.items(), strict=True):
        image = each.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        each.set_title(name, fontsize="medium")
    figure.colorbar(image, ax=list(axes))
    return figure


def word_maps(panels: Mapping[str, np.ndarray], words: Sequence[str], groups: Sequence[int], names: Sequence[str]) -> Figure:
    """First two principal components `[words, 2]` of word vectors, a panel for each width, coloured by group."""
    rows = -(-len(panels) // 2)
    figure, axes = plots.axes(2, rows, width=4.5, height=3.6, frame="full")
    axes = axes.ravel()
    for spare in axes[len(panels) :]:
        spare.set_axis_off()
    of_word = np.asarray(groups)
    for each, (name, xy) in zip(axes, panels.items(), strict=False):
        for group, label in enumerate(names):
            each.scatter(*xy[of_word == group].T, s=18, color=f"C{group}", label=label)
        for word, point in list(zip(words, xy, strict=True))[:: max(1, len(words) // 12)]:
            each.annotate(word, point, fontsize=7, color="#555555", xytext=(3, 2), textcoords="offset points")
        each.set(title=f"width {name}", xticks=[], yticks=[])
    axes[0].legend(frameon=False, fontsize="small")
    return figure


def coordinate_checks(checks: Mapping[str, tuple[Sequence[int], Mapping[str, np.ndarray]]]) -> Figure:
    """Movement of every activation against width, a panel for each parametrisation."""
    figure, (panels,) = plots.axes(len(checks))
    for axes, (title, (widths, movement)) in zip(panels, checks.items(), strict=True):
        for i, (name, values) in enumerate(movement.items()):
            axes.loglog(widths, values, "o-", color=f"C{i}", label=name)
        _width_ticks(axes, widths)
        axes.set(title=title, ylabel="rms change in 3 steps")
        axes.legend(frameon=False)
    return figure
