"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.graphs.multigraph import MultiGraph
from quire.common.plots import Figure

RED, GREY, BLUE = "#c0392b", "#95a5a6", "#34495e"


def multigraphs(graphs: Sequence[MultiGraph], columns: int = 6) -> Figure:
    """Simple multigraphs, nodes on a circle, red nodes with their output letter."""
    columns = min(columns, len(graphs))
    rows = -(-len(graphs) // columns)
    figure, panels = plots.axes(columns, rows, width=1.45, height=1.6)
    for axes, graph in zip(panels.flat, graphs, strict=False):
        angle = 2 * np.pi * np.arange(graph.num_nodes) / graph.num_nodes + np.pi / 4
        x, y = np.cos(angle), np.sin(angle)
        for r, s in graph.edges:
            axes.plot(x[[r, s]], y[[r, s]], color=BLUE, lw=1.2, zorder=1)
        axes.scatter(x, y, s=110, c=[RED if v in graph.red else "#bdc3c7" for v in range(graph.num_nodes)], zorder=2)
        for position, v in enumerate(graph.red):
            axes.text(x[v], y[v], "ij"[position], color="white", ha="center", va="center", fontsize=8, zorder=3)
        axes.set_title(f"degree {graph.degree}", fontsize=8)
    for axes in panels.flat:
        axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
        axes.axis("off")
    return figure


def failing_shares(shares: Mapping[str, Sequence[int]]) -> Figure:
    """Number of multigraphs out of reach, degree by degree."""
    figure, ((axes,),) = plots.axes(width=5, height=3)
    for (name, counts), color in zip(shares.items(), (GREY, BLUE, RED), strict=False):
        axes.plot(range(1, len(counts) + 1), counts, "o-", label=name, color=color)
    axes.set_yscale("symlog", linthresh=1)
    axes.set(xlabel="degree (edges)", ylabel="multigraphs", ylim=(-0.2, None))
    axes.legend(frameon=False)
    return figure


def bars(values: Mapping[str, float], ylabel: str, best: str) -> Figure:
    """One bar for each name, one of them coloured."""
    figure, ((axes,),) = plots.axes(width=5.4, height=3)
    labels = [name.replace(" ", "\n") for name in values]
    drawn = axes.bar(labels, list(values.values()), color=[RED if name == best else GREY for name in values])
    axes.bar_label(drawn, fmt="%.3g", fontsize=9)
    axes.set_ylabel(ylabel)
    axes.tick_params(axis="x", labelsize=8)
    return figure


def matrices(rows: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """A grid of matrices: one row for each graph, one column for each polynomial; a column shares its colours."""
    columns = list(next(iter(rows.values())))
    figure, grid = plots.axes(len(columns), len(rows), width=2.3, height=2.4, frame="full")
    for j, column in enumerate(columns):
        top = max(np.abs(row[column]).max() for row in rows.values())
        for i, (name, row) in enumerate(rows.items()):
            image = grid[i, j].imshow(row[column], cmap="cividis", vmin=0, vmax=top)
            grid[i, j].set(xticks=[], yticks=[], title=column if i == 0 else "", ylabel=name if j == 0 else "")
        figure.colorbar(image, ax=list(grid[:, j]), shrink=0.6, location="bottom")
    return figure
