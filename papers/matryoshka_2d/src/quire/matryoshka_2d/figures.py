"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {
    "plain": "#34495e",
    "MRL": "#2980b9",
    "2DMSE": "#c0392b",
    "2DMSE without KL": "#e67e22",
    "untrained": plots.GREY,
}
Grids = Mapping[str, np.ndarray]
"""Spearman's rho `[layers, dims]` by method."""


def by_layer(grids: Grids, alone: Mapping[str, float], bag_of_words: float) -> Figure:
    """Full dimension, layer by layer; encoders trained for themselves as diamonds."""
    figure, ((panel,),) = plots.axes(width=5.6, height=3.4)
    for name, colour in COLOURS.items():
        layers = np.arange(1, len(grids[name]) + 1)
        panel.plot(layers, grids[name][:, -1], "o-", color=colour, label=name, lw=1.5, ms=4)
    for i, (name, value) in enumerate(alone.items()):
        panel.plot(int(name.split()[0]), value, "D", color="black", ms=6, label=None if i else "n layers, trained alone")
    plots.level(panel, bag_of_words, "bag of words")
    panel.set(xlabel="layer n", ylabel="Spearman's rho, full dimension", xticks=layers)
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def by_dimension(grids: Grids, dims: Sequence[int], bag_of_words: float) -> Figure:
    """Last layer, prefix by prefix."""
    figure, ((panel,),) = plots.axes(width=5.6, height=3.4)
    for name, colour in COLOURS.items():
        panel.plot(dims, grids[name][-1], "o-", color=colour, label=name, lw=1.5, ms=4)
    plots.level(panel, bag_of_words, "bag of words")
    plots.log_ticks(panel, dims)
    panel.set(xlabel="first k coordinates", ylabel="Spearman's rho, last layer")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def grids(grids: Grids, dims: Sequence[int]) -> Figure:
    """Spearman's rho by layer and dimension, a panel for each method; one scale of colours."""
    figure, panels = plots.axes(len(grids), width=2.7, height=3.0, frame="full")
    low, high = (limit([x.min() if limit is min else x.max() for x in grids.values()]) for limit in (min, max))
    for panel, (name, grid) in zip(panels[0], grids.items(), strict=True):
        image = panel.imshow(grid, vmin=low, vmax=high, cmap="viridis", origin="lower", aspect="auto")
        for (row, column), value in np.ndenumerate(grid):
            shade = "black" if value > (low + high) / 2 else "white"
            panel.text(column, row, f"{value:.2f}", ha="center", va="center", color=shade, fontsize="small")
        panel.set(title=name, xlabel="first k coordinates", xticks=range(len(dims)), yticks=range(len(grid)))
        panel.set_xticklabels(map(str, dims))
        panel.set_yticklabels(map(str, range(1, len(grid) + 1)))
    panels[0][0].set_ylabel("layer n")
    figure.colorbar(image, ax=panels, label="Spearman's rho", shrink=0.8)
    return figure


def training(losses: Mapping[str, np.ndarray]) -> Figure:
    """Training losses `[steps]` by method, per embedding that they look at, smoothed."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3)
    for name, values in losses.items():
        steps, means = plots.smooth(values, 20)
        panel.plot(steps, means, color=COLOURS.get(name, plots.GREY), label=name, lw=1.4)
    panel.set(xlabel="step", ylabel="loss per embedding (nats)")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def drawn_cells(counts: np.ndarray, dims: Sequence[int]) -> Figure:
    """How often a training looked at a layer and a prefix `[layers, dims]`."""
    figure, ((panel,),) = plots.axes(width=4.2, height=3.0, frame="full")
    image = panel.imshow(counts, cmap="magma", origin="lower", aspect="auto", vmin=0)
    for (row, column), value in np.ndenumerate(counts):
        shade = "black" if value > counts.max() / 2 else "white"
        panel.text(column, row, f"{value:g}", ha="center", va="center", color=shade, fontsize="small")
    panel.set(xlabel="first k coordinates", ylabel="layer n", xticks=range(len(dims)), yticks=range(len(counts)))
    panel.set_xticklabels(map(str, dims))
    panel.set_yticklabels(map(str, range(1, len(counts) + 1)))
    figure.colorbar(image, ax=panel, label="steps that train it")
    return figure


def costs(flops: Mapping[int, float], milliseconds: Mapping[int, float], parameters: Mapping[int, int]) -> Figure:
    """Operations, time and parameters of an encoder of n layers, each in parts of the whole."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3.2)
    depth = max(flops)
    for values, name, style in (
        (flops, "floating-point operations", "o-"),
        (milliseconds, "time (least of several)", "s--"),
        (parameters, "parameters of the truncated model", "^:"),
    ):
        panel.plot(list(values), [x / values[depth] for x in values.values()], style, label=name, lw=1.4, ms=5)
    panel.set(xlabel="layers that run", ylabel="share of the whole encoder", ylim=(0, None), xticks=list(flops))
    panel.legend(frameon=False, fontsize="small", loc="lower right")
    return figure
