"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.bt2.head import BT2Head
from quire.common import plots
from quire.common.metrics.pca import principal_axes
from quire.common.plots import Axes, Figure

COLOURS = {
    "old": "#b7950b",
    "independent": "#2980b9",
    "independent, unit": "#2980b9",
    "matching": "#16a085",
    "BCT": "#8e44ad",
    "naive extra": "#e67e22",
    "Procrustes": "#34495e",
    "Procrustes, unit": "#34495e",
    "least squares": "#95a5a6",
    "least squares, unit": "#95a5a6",
    "BT²": "#c0392b",
    "raw pixels": "#bdc3c7",
}


def folded_matrix(head: BT2Head) -> Figure:
    """The matrix that a head is folded into: which part of the embedding is made of what."""
    matrix, extra, d_old = np.asarray(head.folded().matrix).T, head.extra, head.d_old
    figure, ((panel,),) = plots.axes(width=5.2, height=4.4, frame="full")
    bound = np.abs(matrix).max()
    image = panel.imshow(matrix, cmap="RdBu_r", vmin=-bound, vmax=bound)
    panel.axhline(d_old - 0.5, color="black", lw=1.5)
    panel.axvline(extra - 0.5, color="black", lw=1.5)
    size = len(matrix)
    panel.set_xticks([(extra - 1) / 2, (extra + size - 1) / 2], [f"o ({extra})", f"h ({size - extra})"])
    rows = {f"b ({d_old})": (d_old - 1) / 2} | ({f"rest ({size - d_old})": (d_old + size - 1) / 2} if size > d_old else {})
    panel.set_yticks(list(rows.values()), list(rows))
    panel.tick_params(length=0)
    panel.set(xlabel="extra part and new part", ylabel="embedding")
    figure.colorbar(image, ax=panel, label="entry", shrink=0.9)
    return figure


def in_the_old_space(vectors: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Queries of every model among the vectors of the old gallery, on the two main axes of that gallery.

    Args:
        vectors: of `gallery` and `queries` by model, `old` among them.
    """
    gallery = _unit(vectors["old"]["gallery"])
    plane = principal_axes(gallery, 2)
    figure, panels = plots.axes(len(vectors), width=3.2, height=3.3, frame="full", sharex=True, sharey=True)
    for panel, (name, parts) in zip(panels[0], vectors.items(), strict=True):
        size = min(gallery.shape[1], parts["queries"].shape[1])
        queries = np.zeros((len(parts["queries"]), gallery.shape[1]), np.float32)
        queries[:, :size] = _unit(parts["queries"][:, :size])
        panel.scatter(*plane.project(gallery).T, s=8, color="#d0d3d4", label="old gallery")
        panel.scatter(*plane.project(queries).T, s=8, color=COLOURS[name], label="queries", alpha=0.7)
        panel.set(title=f"queries: {name}", xlabel="first axis")
    panels[0, 0].set_ylabel("second axis")
    figure.legend(*panels[0, -1].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def columns(tables: Sequence[Mapping[str, Mapping[str, float]]], names: Mapping[str, Sequence[str]], random: float) -> Figure:
    """Metrics of all seeds: one panel for each column of the table.

    Args:
        tables: of every seed.
        names: models by column.
        random: mAP of a random order.
    """
    widths = [len(models) for models in names.values()]
    figure, panels = plots.axes(len(names), width=5.4, height=3.6, sharey=True, width_ratios=widths)
    titles = {"cross mAP": "in the old gallery", "own mAP": "in its own gallery"}
    for panel, (column, models) in zip(panels[0], names.items(), strict=True):
        plots.seed_bars(panel, {name: [100 * float(t[name][column]) for t in tables] for name in models}, COLOURS)
        _slant(panel)
        panel.set(title=titles.get(column, column), ylim=(0, 100))
        plots.level(panel, 100 * random, "random order")
    panels[0, 0].set_ylabel("mAP (%)")
    return figure


def _slant(panel: Axes) -> None:
    names = [label.get_text() for label in panel.get_xticklabels()]
    panel.set_xticks(panel.get_xticks(), names, rotation=35, ha="right", rotation_mode="anchor")


def groups(tables: Sequence[Mapping[str, Mapping[str, float]]], models: Sequence[str]) -> Figure:
    """mAP in the old gallery, for queries of classes that the old model knows, and of those that it does not."""
    figure, panels = plots.axes(2, width=4.8, height=3.4, sharey=True)
    for panel, group in zip(panels[0], ("old classes", "new classes"), strict=True):
        values = {name: [100 * float(t[name][f"cross mAP, {group}"]) for t in tables] for name in models}
        plots.seed_bars(panel, values, COLOURS)
        _slant(panel)
        panel.set(title=f"queries of the {group}", ylim=(0, 100))
    panels[0, 0].set_ylabel("mAP in the old gallery (%)")
    return figure


def trade_off(scores: Mapping[float, tuple[float, float]]) -> Figure:
    """mAP in the old gallery and in the own one against C."""
    figure, ((panel,),) = plots.axes(width=4.8, height=3.2)
    scales, values = list(scores), np.array(list(scores.values()))
    for place, (label, colour) in enumerate((("in the old gallery", "#c0392b"), ("in its own gallery", "#2980b9"))):
        panel.plot(scales, values[:, place], "o-", color=colour, label=label)
    plots.log_ticks(panel, scales, base=2)
    panel.set(xlabel="C, length of the new part", ylabel="mAP of BT² (%)")
    panel.legend(frameon=False)
    return figure


def chain(names: Sequence[str], scores: np.ndarray) -> Figure:
    """mAP in percent `[queries, gallery]` of models that follow each other."""
    figure, ((panel,),) = plots.axes(width=4.2, height=3.6, frame="full")
    image = panel.imshow(scores, cmap="viridis", vmin=0, vmax=100)
    for (row, column), value in np.ndenumerate(scores):
        panel.text(column, row, f"{value:.1f}", ha="center", va="center", color="white" if value < 60 else "black")
    panel.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names)), yticklabels=names)
    panel.set(xlabel="gallery", ylabel="queries")
    panel.tick_params(length=0)
    figure.colorbar(image, ax=panel, label="mAP (%)", shrink=0.9)
    return figure
