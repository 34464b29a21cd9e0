"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, GREY = "#c0392b", "#2980b9", "#27ae60", plots.GREY


def _plane(x: np.ndarray) -> np.ndarray:
    """The two leading principal directions."""
    x = x - x.mean(0)
    return x @ np.linalg.svd(x, full_matrices=False)[2][:2].T


def curves_and_features(x: np.ndarray, features: np.ndarray, labels: np.ndarray) -> Figure:
    """Points and their features after both stages, in their two leading directions; cosines below, points sorted by curve."""
    order = np.argsort(labels, kind="stable")
    figure, (above, below) = plots.axes(3, 2, width=2.9, height=2.7, frame="full")
    for axes, points, name in zip(above, (x, *features), ("inputs", "features after TCR", "features after MLC"), strict=True):
        axes.scatter(*_plane(points).T, c=labels, cmap="Set1", vmax=8, s=8)
        axes.set(title=name, xticks=[], yticks=[])
    for axes, points in zip(below, (x, *features), strict=True):
        image = axes.imshow(np.abs(points[order] @ points[order].T), cmap="Blues", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
    figure.colorbar(image, ax=below[-1], shrink=0.8, label="|cosine|")
    return figure


def rates(total: np.ndarray, clusters: np.ndarray) -> Figure:
    """R and R_c during stage 2, `[seeds, steps]`, as shares of their start."""
    figure, ((axes,),) = plots.axes(width=5)
    steps = np.arange(1, total.shape[1] + 1)
    for curve, colour, name in ((total, BLUE, "R, all features"), (clusters, RED, "R_c, the clusters")):
        plots.band(axes, steps, 100 * curve / curve[:, :1], color=colour, label=name)
    axes.set(xlabel="step of stage 2", ylabel="% of the rate at its start", ylim=(None, 103))
    axes.legend(frameon=False)
    return figure


def gammas(memberships: Mapping[str, np.ndarray]) -> Figure:
    """Memberships of points that are sorted by class; square roots, so that faint ones show."""
    figure, (panels,) = plots.axes(len(memberships), width=2.9, height=2.9, frame="full")
    for axes, (name, gamma) in zip(panels, memberships.items(), strict=True):
        axes.imshow(np.sqrt(gamma), cmap="viridis", interpolation="nearest")
        axes.set(title=name, xticks=[], yticks=[])
    return figure


def sparsity(etas: Sequence[float], entropies: np.ndarray, limit: float) -> Figure:
    """Mean entropy of a row of Gamma against eta, and that of the uniform matrix."""
    figure, ((axes,),) = plots.axes(width=4.6)
    axes.plot(etas, entropies, "o-", color=RED)
    plots.level(axes, limit, "uniform")
    axes.set(xscale="log", xlabel="weight of the entropy, eta", ylabel="entropy of a row (nats)")
    return figure


def mixtures(steps: np.ndarray, values: np.ndarray) -> Figure:
    """The objective along segments between two memberships `[draws, steps]`, less its linear interpolation."""
    figure, ((axes,),) = plots.axes(width=4.6)
    chord = values[:, :1] + (values[:, -1:] - values[:, :1]) * steps
    axes.plot(steps, (values - chord).T, color=BLUE, lw=0.6, alpha=0.5)
    axes.axhline(0, color="black", lw=0.8)
    axes.set(xlabel="t", ylabel="R - R_c, less the chord (nats)")
    return figure


def by_eta(etas: Sequence[float], accuracy: np.ndarray, diagonal: np.ndarray) -> Figure:
    """Accuracy and mean diagonal of Gamma after stage 2 `[seeds, etas]`."""
    figure, ((left, right),) = plots.axes(2, width=4)
    for axes, values, name in ((left, 100 * accuracy, "accuracy (%)"), (right, diagonal, "mean diagonal of Gamma")):
        plots.band(axes, etas, values, color=RED, marker="o")
        plots.log_ticks(axes, etas)
        axes.set(xlabel="weight of the entropy, eta", ylabel=name, ylim=(0, None))
    plots.level(right, 0.5, "warning")
    return figure


def scores(values: Mapping[str, np.ndarray]) -> Figure:
    """Accuracies `[seeds]` of all methods, one row each."""
    figure, ((axes,),) = plots.axes(width=6.4, height=0.32 * len(values) + 1)
    for row, (name, accuracy) in enumerate(values.items()):
        colour = RED if name == "MLC" else BLUE if name == "TCR" else GREY
        axes.barh(row, 100 * accuracy.mean(), color=colour, alpha=0.4, height=0.7)
        axes.plot(100 * accuracy, row + np.linspace(-0.15, 0.15, len(accuracy)), "o", color=colour, ms=4)
    axes.set(yticks=range(len(values)), yticklabels=list(values), xlabel="clustering accuracy (%)", xlim=(0, 100))
    axes.invert_yaxis()
    return figure
