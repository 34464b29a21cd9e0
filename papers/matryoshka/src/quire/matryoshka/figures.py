"""Pictures of the claims and of the notebook."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from quire.common import plots
from quire.common.plots import Axes, Figure


class Style(TypedDict):
    """Colour and marker of a method."""

    color: str
    marker: str


STYLES: dict[str, Style] = {
    "MRL": {"color": "C0", "marker": "o"},
    "FF": {"color": "C1", "marker": "s"},
    "MRL-E": {"color": "C2", "marker": "^"},
    "largest MRL classifier, sliced": {"color": "C7", "marker": "x"},
    "FF prefix": {"color": "C3", "marker": "v"},
    "random features": {"color": "C7", "marker": "x"},
    "PCA of FF": {"color": "C5", "marker": "d"},
}
"""Of every method, the same in all pictures."""

NAMES = {
    "FF": "FF-m, one training per m",
    "FF prefix": "FF-{d}, its prefix",
    "random features": "FF-{d}, random numbers of it",
} | {
    "PCA of FF": "FF-{d}, principal axes",
    "largest MRL classifier, sliced": "MRL's largest classifier, sliced",
}


def _curves(axes: Axes, sizes: Sequence[int], accuracies: Mapping[str, np.ndarray]) -> None:
    """Accuracy in percent `[sizes]` by method, against the size."""
    for name, values in accuracies.items():
        label = NAMES.get(name, name).format(d=sizes[-1])
        axes.plot(sizes[: len(values)], values, **STYLES[name], ms=5, lw=1.5, label=label)
    plots.log_ticks(axes, sizes, base=2)
    axes.set(xlabel="dimensions m")


def accuracy_against_dimension(
    sizes: Sequence[int], heads: Mapping[str, np.ndarray], neighbours: Mapping[str, np.ndarray]
) -> Figure:
    """Accuracy of the classifiers of every size, and of the nearest neighbour, percent."""
    figure, ((left, right),) = plots.axes(2, width=5, height=3.8, grid=True, sharey=True)
    _curves(left, sizes, heads)
    _curves(right, sizes, neighbours)
    left.set(ylabel="test accuracy (%)", title="classifiers")
    right.set(title="nearest neighbour")
    for axes in (left, right):
        axes.legend(fontsize="small", loc="lower right")
    return figure


def gaps(sizes: Sequence[int], gap: np.ndarray, title: str) -> Figure:
    """Differences in points `[sizes]`."""
    figure, ((axes,),) = plots.axes(width=5, grid=True)
    axes.bar(range(len(sizes)), gap, color="C0", width=0.6)
    axes.axhline(0, color="k", lw=0.8)
    axes.set_xticks(range(len(sizes)), [str(m) for m in sizes])
    axes.set(xlabel="dimensions m", ylabel="difference (points)", title=title)
    return figure


def cascade(
    sizes: Sequence[int], fixed: np.ndarray, caps: Sequence[tuple[float, float]], oracle: tuple[float, float], used: np.ndarray
) -> Figure:
    """Accuracy against the expected dimension, of fixed prefixes, cascades up to every stage, and the oracle; and who answered.

    Args:
        sizes: the nesting list.
        fixed: accuracy in percent of every size.
        caps: expected dimension and accuracy of the cascade that ends at each stage, the first one included.
        oracle: the same of the smallest size that is right.
        used: shares of the examples that each stage of the whole cascade answers.
    """
    figure, ((left, right),) = plots.axes(2, width=4.8, height=3.6, grid=True)
    left.plot(sizes, fixed, "o-", color="C7", label="fixed prefix")
    left.plot(*np.transpose(caps), "D-", color="C0", label="cascade, up to each stage")
    left.plot(*oracle, "*", color="C8", ms=12, label="oracle: smallest size that is right")
    plots.log_ticks(left, sizes, base=2)
    left.set(xlabel="(expected) dimensions", ylabel="accuracy (%)", title="Adaptive classification")
    left.legend(fontsize="small", loc="lower right")
    right.bar(range(len(sizes)), 100 * used, color="C0", width=0.6)
    right.set_xticks(range(len(sizes)), [str(m) for m in sizes])
    right.set(xlabel="dimensions of the stage", ylabel="examples answered (%)", title="Who answers")
    return figure


def retrieval(
    exact: tuple[Sequence[float], Sequence[float]], sizes: Sequence[int], points: Mapping[str, tuple[float, float]]
) -> Figure:
    """mAP against operations for each query.

    Args:
        exact: operations and mAP of exact search by prefixes.
        sizes: of those prefixes.
        points: operations and mAP of adaptive searches, by name.
    """
    figure, ((axes,),) = plots.axes(width=6.4, height=4, grid=True)
    axes.semilogx(*exact, "o-", color="C7", label="exact search by m dimensions")
    for m, x, y in zip(sizes, *exact, strict=True):
        axes.annotate(str(m), (x, y), (7, -10), textcoords="offset points", ha="center", fontsize="small", color="0.35")
    for i, (name, point) in enumerate(points.items()):
        axes.plot(*point, "*" if "funnel" in name else "D", color=f"C{i}", ms=11 if "funnel" in name else 7, label=name)
    axes.set(xlabel="operations per query", ylabel="mAP", title="Adaptive retrieval")
    axes.legend(fontsize="small", loc="lower right")
    return figure


def by_size(
    sizes: Mapping[str, Sequence[int]], curves: Mapping[str, np.ndarray], nesting: Sequence[int], ylabel: str, title: str
) -> Figure:
    """One curve for each name against the number of dimensions; filled markers where the loss saw the size, open ones elsewhere.

    Args:
        sizes: of every curve.
        curves: percent.
        nesting: the sizes of the loss.
        ylabel, title: of the axes.
    """
    figure, ((axes,),) = plots.axes(width=6, height=3.8, grid=True)
    for i, (name, values) in enumerate(curves.items()):
        trained = [m in nesting for m in sizes[name]]
        axes.plot(sizes[name], values, "-o", ms=5, lw=1.2, color=f"C{i}", markevery=trained, label=name)
        axes.plot(sizes[name], values, "o", ms=5, color=f"C{i}", mfc="white", markevery=[not t for t in trained])
    plots.log_ticks(axes, nesting, base=2)
    axes.set(xlabel="dimensions m", ylabel=ylabel, title=title)
    axes.legend(fontsize="small", loc="lower right")
    return figure
