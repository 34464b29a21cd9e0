"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, ORANGE, GREY = "#c0392b", "#2980b9", "#27ae60", "#d68910", plots.GREY
COLOURS = {
    "two-phase": RED,
    "true model": "black",
    "least squares": BLUE,
    "ridge": GREEN,
    "linear discriminant": BLUE,
    "logistic regression": GREEN,
    "end to end": ORANGE,
    "nothing learned": GREY,
    "majority class": GREY,
}
OUTSIDE = {"frameon": False, "loc": "upper left", "bbox_to_anchor": (1, 1), "fontsize": 9}


def loadings(truth: np.ndarray, fitted: np.ndarray, turned: np.ndarray) -> Figure:
    """Loadings `[d, r]` as they are, as found, and as found after the best rotation."""
    names = {"truth": truth, "maximum likelihood": fitted, "after a rotation": turned}
    figure, (panels,) = plots.axes(3, width=2.1, height=3.4, frame="none")
    limit = np.abs(truth).max()
    for axes, (name, matrix) in zip(panels, names.items(), strict=True):
        axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_title(name, fontsize=9)
        axes.set(xticks=range(matrix.shape[1]), yticks=[], xlabel="factor")
    return figure


def dimensions(dims: Sequence[int], risks: Mapping[str, np.ndarray]) -> Figure:
    """Excess risks at two dimensions, a pair of bars for every method."""
    figure, ((axes,),) = plots.axes(width=5.4)
    places = np.arange(len(risks))
    colours = [COLOURS[name] for name in risks]
    for i, alpha in enumerate((0.45, 1.0)):
        bars = axes.bar(places + 0.4 * i - 0.2, [values[i] for values in risks.values()], 0.36, color=colours, alpha=alpha)
        axes.bar_label(bars, [f"{values[i]:.2g}" for values in risks.values()], fontsize=7, padding=2)
    axes.set(yscale="log", ylabel="excess risk", xticks=places, title=f"d = {dims[0]} (pale) and d = {dims[1]}")
    axes.set_xticks(places, [name.replace(" ", "\n") for name in risks])
    return figure


def rates(ns: np.ndarray, curves: Mapping[str, np.ndarray], d: int, noise: float) -> Figure:
    """Excess risk against labels, log-log; the exact law of least squares and the slope -1 beside it."""
    figure, ((axes,),) = plots.axes(width=5, height=3.4)
    for name in ("nothing learned", "least squares", "ridge", "two-phase"):
        axes.loglog(ns, curves[name], "o-", color=COLOURS[name], label=name, ms=4)
    axes.loglog(ns, curves["true model"], "+", color="black", ms=10, label="true model, head learned")
    finer = np.geomspace(ns[0], ns[-1], 60)
    scale = curves["least squares"][-1] * (ns[-1] - d - 1) / d
    axes.loglog(finer, scale * d / (finer - d - 1), ":", color=BLUE, label="$d / (n - d - 1)$")
    axes.loglog(finer, 0.6 * curves["two-phase"][0] * ns[0] / finer, "--", color=GREY, lw=1, label="$1/n$")
    axes.set(xlabel="labels n", ylabel="excess risk")
    plots.log_ticks(axes, ns.tolist())
    axes.legend(**OUTSIDE)
    return figure


def crossover(ms: Sequence[int], ns: Sequence[int], risks: Mapping[str, np.ndarray]) -> Figure:
    """Two-phase by m, a line each, against what labels alone do; and the size of the term in m."""
    figure, ((left, right),) = plots.axes(2, width=4.6, height=3.4)
    for i, m in enumerate(ms):
        shade = 0.25 + 0.75 * i / max(len(ms) - 1, 1)
        left.loglog(ns, risks["two-phase"][i], "o-", color=RED, alpha=shade, ms=3, label=f"two-phase, m = {m}")
    for name in ("least squares", "ridge"):
        left.loglog(ns, risks[name], "s--", color=COLOURS[name], ms=3, label=name)
    left.set(xlabel="labels n", ylabel="excess risk")
    plots.log_ticks(left, ns)
    left.set_ylim(top=12 * left.get_ylim()[1])  # room for the names
    left.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    right.loglog(ms, risks["two-phase"][:, -1], "o-", color=RED, label=f"two-phase, n = {ns[-1]}")
    for name in ("least squares", "true model"):
        right.axhline(risks[name][-1], color=COLOURS[name], ls="--", lw=1, label=name)
    right.set(xlabel="unlabelled m")
    plots.log_ticks(right, ms)
    right.legend(frameon=False, fontsize=8)
    return figure


def mixture(ns: Sequence[int], curves: Mapping[str, np.ndarray], bayes: float) -> Figure:
    """Errors against labels."""
    figure, ((axes,),) = plots.axes(width=4.6)
    for name, curve in curves.items():
        axes.plot(ns, curve, "o-", color=COLOURS[name], label=name)
    plots.level(axes, bayes, "Bayes")
    plots.log_ticks(axes, ns)
    axes.set(xlabel="labels n", ylabel="error", ylim=(0, None))
    axes.legend(frameon=False, fontsize=9)
    return figure


def components(x: np.ndarray, labels: np.ndarray, fits: Mapping[str, np.ndarray]) -> Figure:
    """Inputs `[n, 2]` in the plane of the first means, coloured by component, and means `[k, 2]` as fitted."""
    figure, (panels,) = plots.axes(len(fits), width=3.1, height=3.0, frame="full", sharex=True, sharey=True)
    for axes, (name, means) in zip(np.atleast_1d(panels), fits.items(), strict=True):
        axes.scatter(*x.T, s=4, c=labels, cmap="tab10", alpha=0.5, vmin=0, vmax=9)
        axes.scatter(*means.T, s=80, marker="x", c="black", lw=2)
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
    return figure


def contrast(ms: Sequence[int], errors: np.ndarray, risks: np.ndarray, rivals: Mapping[str, float]) -> Figure:
    """Error of the encoder after the best turn, and excess risk of a head on it, against pairs."""
    figure, ((left, right),) = plots.axes(2, width=3.8)
    left.loglog(ms, errors, "o-", color=RED, label="encoder")
    left.loglog(ms, errors[0] * np.sqrt(ms[0] / np.asarray(ms)), "--", color=GREY, lw=1, label="$m^{-1/2}$")
    left.set(xlabel="pairs m", ylabel="Procrustes error, relative")
    right.loglog(ms, risks, "o-", color=RED, label="two-phase")
    for name, value in rivals.items():
        right.axhline(value, color=COLOURS[name], ls="--", lw=1, label=name)
    right.set(xlabel="pairs m", ylabel="excess risk")
    for axes in (left, right):
        plots.log_ticks(axes, ms)
        axes.legend(frameon=False, fontsize=8)
    return figure


def likelihood(ms: Sequence[int], curves: Mapping[str, np.ndarray], parameters: Mapping[str, int]) -> Figure:
    """Squared Hellinger distances against inputs, and the asymptotic law, parameters / (8 m)."""
    figure, ((axes,),) = plots.axes(width=4.8)
    for (name, count), colour in zip(parameters.items(), (RED, BLUE), strict=True):
        axes.loglog(ms, curves[name], "o", color=colour, label=name)
        axes.loglog(ms, count / (8 * np.asarray(ms)), "--", lw=1, color=colour, label=f"{count} parameters / 8m")
    plots.log_ticks(axes, ms)
    axes.set(xlabel="unlabelled m", ylabel="squared Hellinger distance")
    axes.legend(**OUTSIDE)
    return figure


def informative(panels: Mapping[str, tuple[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]]) -> Figure:
    """Quotients of the two distances: for every model the name of its x axis, and curves by name."""
    figure, (row,) = plots.axes(len(panels), width=3.4, height=3.1)
    for axes, (title, (axis, curves)) in zip(np.atleast_1d(row), panels.items(), strict=True):
        for (name, (x, y)), colour in zip(curves.items(), (RED, BLUE, GREEN), strict=False):
            axes.plot(x, y, "o-", color=colour, label=name, ms=4)
        plots.log_ticks(axes, x.tolist())
        if np.max(y) > 20:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, None)
        axes.set_xlabel(axis)
        axes.set_title(title, fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    np.atleast_1d(row)[0].set_ylabel("TV of (x, z) / TV of what is seen")
    return figure


def ranks(fitted: Sequence[int], curves: Mapping[str, np.ndarray], truth: int) -> Figure:
    """Excess risk against the number of factors that is fitted, a line for every n."""
    figure, ((axes,),) = plots.axes(width=4.4)
    for (name, curve), colour in zip(curves.items(), (RED, ORANGE, GREEN), strict=False):
        axes.semilogy(fitted, curve, "o-", color=colour, label=name)
    axes.axvline(truth, color=GREY, ls=":", lw=1)
    axes.set(xlabel="factors fitted", ylabel="excess risk", xticks=fitted)
    axes.legend(frameon=False, fontsize=9)
    return figure
