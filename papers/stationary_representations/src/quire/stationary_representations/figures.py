"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Axes, Figure
from quire.stationary_representations.compatibility import curves

COLOURS = {
    "HOC": "#c0392b",
    "simplex-only": "#e67e22",
    "ER": "#34495e",
    "LwF": "#27ae60",
    "BCT": "#2980b9",
    "fixed": "#c0392b",
    "learnable": "#34495e",
}


def simplexes(flat: np.ndarray, solid: np.ndarray) -> Figure:
    """Three class vectors `[3, 2]` in the plane and four `[4, 3]` in space."""
    figure = plots.axes(2, width=3.2, height=3.2, frame="none")[0]
    figure.clear()
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d")
    turn = np.linspace(0, 2 * np.pi, 100)
    left.plot(np.cos(turn), np.sin(turn), color=plots.GREY, lw=0.8)
    for i, (x, y) in enumerate(flat):
        left.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->", "lw": 2, "color": f"C{i}"})
        left.annotate(f"$w_{i + 1}$", (1.14 * x, 1.14 * y), ha="center", va="center")
    left.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal", title="K = 3, cosines -1/2")
    left.set_axis_off()
    for i, vector in enumerate(solid):
        right.plot(*np.stack([np.zeros(3), vector]).T, color=f"C{i}", lw=2)
        right.text(*(1.25 * vector), f"$w_{i + 1}$")
        for other in solid[i + 1 :]:
            right.plot(*np.stack([vector, other]).T, color=plots.GREY, lw=0.8)
    right.set(title="K = 4, cosines -1/3", box_aspect=None)
    right.set_box_aspect((1, 1, 1))
    right.set_axis_off()
    return figure


def class_cosines(tables: Mapping[str, np.ndarray]) -> Figure:
    """Cosines `[classes, classes]` of one network's class means with another's, by kind of classifier."""
    figure, (panels,) = plots.axes(len(tables), width=3.4, height=3.2, frame="full")
    for panel, (kind, table) in zip(panels, tables.items(), strict=True):
        image = panel.imshow(table, vmin=-1, vmax=1, cmap="RdBu_r")
        panel.set(title=f"{kind} classifier", xlabel="class, network B", ylabel="class, network A")
    figure.colorbar(image, ax=list(panels), label="cosine of class means", shrink=0.8)
    return figure


def matrices(found: Mapping[str, np.ndarray], replace_at: Sequence[int]) -> Figure:
    """Compatibility matrices `[T, T]` by method in percent; lines where the model was replaced, bold where M[i, j] > M[j, j]."""
    figure, (panels,) = plots.axes(len(found), width=2.6, height=2.9, frame="full", sharey=True)
    for panel, (name, matrix) in zip(panels, found.items(), strict=True):
        _matrix(panel, matrix, replace_at)
        panel.set(title=name, xlabel="gallery by model")
    panels[0].set_ylabel("queries by model")
    return figure


def _matrix(panel: Axes, matrix: np.ndarray, replace_at: Sequence[int]) -> None:
    count = len(matrix)
    panel.imshow(np.where(np.tri(count, dtype=bool), matrix, np.nan), vmin=0, vmax=1, cmap="viridis")
    size = 9 if count <= 4 else 6
    for i, j in zip(*np.tril_indices(count), strict=True):
        good = i > j and matrix[i, j] > matrix[j, j]
        colour = "black" if matrix[i, j] > 0.6 else "white"
        panel.text(
            j,
            i,
            f"{100 * matrix[i, j]:.0f}",
            ha="center",
            va="center",
            color=colour,
            fontsize=size,
            weight="bold" if good else None,
        )
    for task in replace_at:
        panel.axhline(task - 0.5, color="#c0392b", lw=1.5)
        panel.axvline(task - 0.5, color="#c0392b", lw=1.5)
    panel.set(xticks=range(count), xticklabels=range(1, count + 1), yticks=range(count), yticklabels=range(1, count + 1))


def tasks(found: Mapping[str, np.ndarray], replace_at: Sequence[int]) -> Figure:
    """After every task: AA in percent, AC, and the newest model's own search accuracy, means of matrices `[seeds, T, T]`."""
    figure, (panels,) = plots.axes(3, width=3.4, height=3.0)
    labels = {"AA": "AA (%)", "AC": "AC", "own": "own search accuracy"}
    for panel, (what, label) in zip(panels, labels.items(), strict=True):
        for name, seeds in found.items():
            values = np.mean([curves(matrix)[what] for matrix in seeds], axis=0)
            after = np.arange(1, 1 + len(values))
            panel.plot(after, values, "o-", color=COLOURS.get(name, plots.GREY), label=name, ms=4)
        for task in replace_at:
            panel.axvline(task + 0.5, color=plots.GREY, ls="--", lw=1)
        panel.set(xlabel="after task", ylabel=label, xticks=after)
    panels[0].legend(frameon=False, fontsize="small")
    return figure


def search(segment: Mapping[str, np.ndarray], across: Mapping[str, np.ndarray], pixels: float, chance: float) -> Figure:
    """Search accuracy with new queries in old galleries by method, every seed a point: without and with a replacement between."""
    figure, (panels,) = plots.axes(2, width=4.0, height=3.2, sharey=True)
    for panel, values, title in zip(panels, (segment, across), ("no replacement between", "across a replacement"), strict=True):
        plots.seed_bars(panel, values, COLOURS)
        plots.level(panel, pixels, "raw-pixel templates")
        plots.level(panel, chance, "chance")
        panel.set(title=title, xlim=(-0.6, len(values) + 0.4), ylim=(0, 1))
        panel.tick_params(axis="x", labelsize="small")
    panels[0].set_ylabel("search accuracy")
    return figure


def shares(found: Mapping[str, Mapping[str, float]]) -> Figure:
    """Share of pairs that satisfy each inequality, by kind of classifier."""
    figure, ((panel,),) = plots.axes(width=4.6, height=3.0)
    for shift, (kind, values) in zip((-0.2, 0.2), found.items(), strict=True):
        places = np.arange(len(values)) + shift
        panel.bar(places, list(values.values()), 0.36, color=COLOURS[kind], alpha=0.8, label=f"{kind} classifier")
        for place, value in zip(places, values.values(), strict=True):
            panel.annotate(f"{value:.2f}", (place, value), (0, 2), textcoords="offset points", ha="center", fontsize="small")
    panel.set(xticks=[0, 1], xticklabels=["same class:\nnew pair no farther", "two classes:\nnew pair no nearer"], ylim=(0, 1.12))
    panel.set_ylabel("share of pairs")
    panel.legend(frameon=False, fontsize="small", loc="upper left")
    return figure
