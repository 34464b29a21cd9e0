"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from quire.common import plots
from quire.common.metrics.pca import principal_axes
from quire.common.plots import Figure

COLOURS = {
    "Skip-gram": "#16a085",
    "CBOW": "#2471a3",
    "Order": "#8e44ad",
    "LBL": "#d35400",
    "NNLM": "#b7950b",
    "C&W": "#c0392b",
    "GloVe": "#7d6608",
    "RCNN": "#2471a3",
    "recurrent": "#16a085",
    "CNN": "#c0392b",
}
NAMES = {"skipgram": "Skip-gram", "cbow": "CBOW", "order": "Order", "lbl": "LBL", "nnlm": "NNLM", "cw": "C&W"}
"""Of the models, as the thesis writes them."""


def learning_figure(
    words: Sequence[float] | np.ndarray,
    curves: Mapping[str, Float[np.ndarray, "seeds n"]],
    levels: Mapping[str, float],
    *,
    ylabel: str,
    xlabel: str = "words seen (thousands)",
) -> Figure:
    """A measure of the vectors against the words seen, every seed inside a band; what is not trained as broken lines."""
    figure, ((axes,),) = plots.axes(width=5.6, height=3.5)
    for name, curve in curves.items():
        plots.band(axes, np.asarray(words) / 1000, curve, color=COLOURS.get(name), label=name, marker="o", ms=3)
    for name, value in levels.items():
        axes.axhline(value, color=plots.GREY, ls="--", lw=1, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.margins(y=0.12)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def factorisation_figure(
    target: Float[np.ndarray, "v v"], scores: Float[np.ndarray, "v v"], k: float, names: Sequence[str] | None = None
) -> Figure:
    """PMI - log K, the scores that training found, and one against the other."""
    figure, ((left, right, last),) = plots.axes(3, size=(10.2, 3.2), frame="full", width_ratios=(1, 1, 1.1))
    finite = np.isfinite(target)
    bound = np.abs(target[finite]).max()
    for axes, values, title in ((left, target, f"PMI - log {k:g}"), (right, scores, "scores of Skip-gram")):
        image = axes.imshow(np.where(finite, values, np.nan), cmap="RdBu_r", vmin=-bound, vmax=bound)
        axes.set(title=title, xlabel="context", ylabel="word")
    figure.colorbar(image, ax=[left, right], label="score (nats)", shrink=0.8)
    last.plot(target[finite], scores[finite], ".", color=COLOURS["CBOW"])
    last.axline((0, 0), slope=1, color=plots.GREY, lw=1)
    last.set(xlabel=f"PMI - log {k:g} (nats)", ylabel="score found (nats)", title="entry by entry")
    return figure


def class_map_figure(vectors: Mapping[str, Float[np.ndarray, "v d"]], classes: Int[np.ndarray, " v"]) -> Figure:
    """Unit vectors on their two principal axes, coloured by class; words of class -1 are left out."""
    figure, (panels,) = plots.axes(len(vectors), width=3.5, height=3.5, frame="none")
    kept = classes >= 0
    for axes, (name, table) in zip(panels, vectors.items(), strict=True):
        unit = table[kept] / np.linalg.norm(table[kept], axis=1, keepdims=True)
        place = principal_axes(unit, 2).project(unit)
        axes.scatter(*place.T, c=classes[kept], cmap="tab20", s=14)
        axes.set_title(name)
    return figure


def bars_figure(values: Mapping[str, Float[np.ndarray, " seeds"] | float], trivial: tuple[str, float], ylabel: str) -> Figure:
    """A bar for each method, its seeds as points, and the level of what knows nothing."""
    figure, ((axes,),) = plots.axes(width=max(4.8, 1.05 * len(values)), height=3.2)
    plots.seed_bars(axes, values, COLOURS)
    axes.axhline(trivial[1], color="k", lw=1, ls="--", label=trivial[0])
    axes.set(ylabel=ylabel)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def guideline_figure(shares: Sequence[float], scores: Mapping[tuple[str, int], Sequence[float]], ylabel: str) -> Figure:
    """Scores against the share of the text, a line for each model and dimension."""
    figure, ((axes,),) = plots.axes(width=5.2, height=3.4)
    dims = sorted({dim for _, dim in scores})
    for (model, dim), values in scores.items():
        style = ("-", "--", ":", "-.")[dims.index(dim) % 4]
        name = NAMES[model]
        label = name if len(dims) == 1 else f"{name}, d = {dim}"
        axes.plot(shares, values, style, marker="o", color=COLOURS[name], label=label)
    plots.log_ticks(axes, shares)
    axes.set(xlabel="share of the text that is used", ylabel=ylabel)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    return figure


def gain_figure(ratios: Float[np.ndarray, "models tasks"], models: Sequence[str], tasks: Sequence[str]) -> Figure:
    """Performance gain ratios as a table of colours, with their numbers."""
    figure, ((axes,),) = plots.axes(size=(1.5 + 0.85 * len(tasks), 1.0 + 0.5 * len(models)), frame="full")
    image = axes.imshow(ratios, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(ratios):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="k" if value > 0.6 else "w")
    axes.set_xticks(range(len(tasks)), tasks)
    axes.set_yticks(range(len(models)), models)
    figure.colorbar(image, ax=axes, label="gain / best gain")
    return figure


def phrase_figure(texts: Sequence[Sequence[str]], counts: Sequence[Int[np.ndarray, " _"]], titles: Sequence[str]) -> Figure:
    """Words of some texts in rows, darker the more hidden units took their maximum there."""
    columns = 16
    rows = [-(-len(text) // columns) for text in texts]
    figure, panels = plots.axes(
        1, len(texts), size=(10, 0.55 + 0.42 * (sum(rows) + len(texts))), frame="none", height_ratios=rows
    )
    for axes, text, count, title, lines in zip(panels[:, 0], texts, counts, titles, rows, strict=True):
        table = np.zeros(lines * columns)
        table[: len(count)] = count
        axes.imshow(table.reshape(lines, columns), cmap="Oranges", aspect="auto", vmin=0, vmax=1.4 * max(1, max(count)))
        for i, word in enumerate(text):
            bold = "bold" if count[i] else "normal"
            axes.text(i % columns, i // columns, f"{word}\n{count[i] or ''}", ha="center", va="center", fontsize=8, weight=bold)
        axes.set_title(title, loc="left", fontsize="medium")
    return figure
