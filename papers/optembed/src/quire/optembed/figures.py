"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, ORANGE, PURPLE, GREY = "#c0392b", "#2980b9", "#27ae60", "#e67e22", "#8e44ad", plots.GREY
COLOURS = {
    "OptEmbed": RED,
    "full table": "#2c3e50",
    "one dimension for all": BLUE,
    "frequent rows": GREEN,
    "rows only": ORANGE,
    "dimensions only": PURPLE,
    "random candidates": GREY,
}


def step(z: np.ndarray, value: np.ndarray, slope: np.ndarray) -> Figure:
    """The step and what stands in for its derivative, `[n]` each."""
    figure, panels = plots.axes(2, width=4.0, height=2.6)
    for panel, y, title, colour in zip(
        panels[0], (value, slope), ("S(z), forward", "what backward takes for its slope"), ("#2c3e50", RED), strict=True
    ):
        panel.plot(z, y, color=colour)
        panel.set(xlabel="z = norm of a row - threshold")
        panel.set_title(title, fontsize="medium")
    return figure


def masks(row_mask: np.ndarray, prefix: np.ndarray, both: np.ndarray) -> Figure:
    """Masks of rows `[values]` and dimensions `[values, dim]`, and what they leave of a table."""
    figure, (panels,) = plots.axes(3, width=2.6, height=3.0, frame="full")
    pictures = np.repeat(row_mask[:, None], prefix.shape[1], axis=1), prefix, both
    for panel, picture, title in zip(panels, pictures, ("rows that stay", "dimensions that stay", "what is stored"), strict=True):
        panel.imshow(picture, cmap="Greys", vmin=0, vmax=1.4, aspect="auto", interpolation="nearest")
        panel.set(xlabel="dimension", xticks=[], yticks=[])
        panel.set_title(title, fontsize="medium")
    panels[0].set_ylabel("values, field by field")
    return figure


def norms(found: np.ndarray, threshold: np.ndarray, signal: np.ndarray) -> Figure:
    """Norms `[values]` of the rows less their field's threshold `[fields]`, of values that say something and of the others."""
    figure, ((panel,),) = plots.axes(width=6.4)
    margin = found - np.repeat(threshold, len(found) // len(threshold))
    edges = np.linspace(margin.min(), margin.max(), 50)
    panel.hist(margin[~signal], edges, color=GREY, alpha=0.8, label="values that say nothing")
    panel.hist(margin[signal], edges, color=BLUE, alpha=0.6, label="values that say something")
    panel.axvline(0, color=RED, lw=1.5, label="threshold: rows to its left are pruned")
    panel.set(xlabel="norm of a row - threshold of its field", ylabel="rows")
    panel.legend(frameon=False, fontsize="small", loc="upper right")
    return figure


def sizes(share: Mapping[str, float], auc: Mapping[str, float]) -> Figure:
    """Test AUC of one seed against the part of the parameters, a point for every table."""
    figure, ((panel,),) = plots.axes(width=7.2, height=3.6)
    for name, x in share.items():
        panel.plot(x, auc[name], "o", ms=8, color=COLOURS[name], label=name)
    panel.axhline(auc["full table"] - 0.005, color=GREY, lw=1, ls="--", label="half a point below the full table")
    panel.set(xlabel="parameters / full table", ylabel="test AUC, one seed", xlim=(0, 1.05))
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def all_seeds(share: Mapping[str, np.ndarray], auc: Mapping[str, np.ndarray]) -> Figure:
    """Test AUC against the part of the parameters, `[seeds]` by table."""
    figure, ((panel,),) = plots.axes(width=7.4, height=4.0)
    for name, x in share.items():
        panel.plot(x, auc[name], "o", ms=4, alpha=0.5, color=COLOURS[name])
        panel.plot(np.mean(x), np.mean(auc[name]), "D", ms=9, color=COLOURS[name], label=name)
    panel.set(xlabel="parameters / full table", ylabel="test AUC (mean: diamond)", xlim=(0, 1.05))
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def rivals(found: np.ndarray, ours: float) -> Figure:
    """Test AUC of random candidates `[n]` and of the searched one."""
    figure, ((panel,),) = plots.axes(width=7.2, height=1.8)
    panel.plot(found, np.zeros(len(found)), "o", color=GREY, ms=7, alpha=0.7, label="random candidates")
    panel.axvline(found.mean(), color=GREY, ls="--", lw=1, label="their mean")
    panel.axvline(ours, color=RED, label="searched")
    panel.set(xlabel="test AUC after retraining, one seed", yticks=[])
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def search(history: np.ndarray, drawn: np.ndarray) -> Figure:
    """Validation AUC `[generations, population]` of an evolution and of a random search: candidates, and the best so far."""
    figure, ((panel,),) = plots.axes(width=7.2, height=3.6)
    place = np.arange(1, len(history) + 1)
    for numbers, colour, name, shift in ((history, RED, "evolution", -0.08), (drawn, GREY, "random search", 0.08)):
        panel.plot(np.repeat(place, numbers.shape[1]) + shift, numbers.ravel(), "o", ms=3, alpha=0.35, color=colour)
        panel.plot(place, np.maximum.accumulate(numbers.max(1)), color=colour, label=f"{name}, best so far")
    panel.set(xlabel="generation", ylabel="validation AUC in the supernet", xticks=place)
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def found_table(features: Sequence[str], sizes: Sequence[int], kept: np.ndarray, dims: np.ndarray, dim: int) -> Figure:
    """Rows and dimensions that are left of every field, as parts of what there was: the share of rows wide, of dimensions high.

    Args:
        features, sizes: names and number of values of the fields.
        kept, dims: rows and dimensions that are left.
        dim: D.
    """
    figure, (panels,) = plots.axes(len(features), width=1.2, height=1.9, frame="full")
    for panel, name, size, rows, width in zip(panels, features, sizes, kept, dims, strict=True):
        panel.add_patch(_rectangle(rows / size, width / dim))
        panel.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        panel.set_title(name, fontsize="small")
        panel.set_xlabel(f"{rows} of {size}\nrows, {width} dims", fontsize="x-small")
    panels[0].set_ylabel(f"{dim} dimensions", fontsize="small")
    return figure


def _rectangle(width: float, height: float):
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), width, height, color=RED, alpha=0.7, lw=0)
