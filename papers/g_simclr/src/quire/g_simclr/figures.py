"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, GREY = "#c0392b", "#2980b9", "#27ae60", plots.GREY


def by_batch(curves: Mapping[str, np.ndarray], clean: int, ylabel: str) -> Figure:
    """A number of every batch of an epoch; a line where the smallest cluster is used up.

    Args:
        curves: `[batches]` by layout.
        clean: how many batches are without collisions.
        ylabel: what the number is.
    """
    figure, ((axes,),) = plots.axes(width=5.6)
    for (name, curve), colour in zip(curves.items(), (RED, GREY, BLUE), strict=False):
        axes.plot(np.arange(1, len(curve) + 1), curve, ".-", color=colour, label=name, lw=1)
    axes.axvline(clean + 0.5, color=GREY, lw=0.8, ls=":")
    axes.annotate(
        "smallest cluster used up",
        (clean + 0.5, 0.97),
        (4, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize="small",
        va="top",
    )
    axes.set(xlabel="batch of the epoch", ylabel=ylabel)
    axes.legend(frameon=False)
    return figure


def accuracies(scores: Mapping[str, Sequence[float] | np.ndarray], pixels: float, ylabel: str = "accuracy (%)") -> Figure:
    """Every seed of every layout as a point, the mean as a bar; the probe on pixels as a line."""
    figure, ((axes,),) = plots.axes(width=6.8)
    colours = {name: RED if name.startswith("guided") else GREY for name in scores} | {"supervised": GREEN, "oracle": BLUE}
    plots.seed_bars(
        axes,
        {name.replace(", ", ",\n"): 100 * np.asarray(value) for name, value in scores.items()},
        {name.replace(", ", ",\n"): colour for name, colour in colours.items()},
    )
    plots.level(axes, 100 * pixels, "pixels")
    lowest = 100 * min(pixels, *(float(np.min(value)) for value in scores.values()))
    axes.set(ylabel=ylabel, ylim=(max(0, lowest - 4), None))
    return figure


def sheet(rows: Mapping[str, np.ndarray], size: float = 0.8) -> Figure:
    """Rows of pictures, each row with a name.

    Args:
        rows: `[columns, h, w, 3]`, bytes or floats in `[0, 1]`, as many columns in every row.
        size: of a picture in inches.
    """
    pictures = {name: np.asarray(row) / (255 if np.asarray(row).dtype == np.uint8 else 1) for name, row in rows.items()}
    columns, height, width, _ = next(iter(pictures.values())).shape
    gap = 1
    canvas = np.ones((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3))  # one picture: axes are slow to draw
    for i, row in enumerate(pictures.values()):
        for j, one in enumerate(row):
            canvas[i * (height + gap) :, j * (width + gap) :][:height, :width] = np.clip(one, 0, 1)
    figure, ((axes,),) = plots.axes(size=(size * columns + 1.4, size * len(rows) + 0.2), frame="none")
    axes.imshow(canvas, interpolation="nearest")
    axes.set_yticks(np.arange(len(rows)) * (height + gap) + height / 2, list(rows), fontsize=9)
    axes.tick_params(length=0)
    return figure


def losses(curves: Mapping[str, np.ndarray], window: int = 15) -> Figure:
    """Loss by step, smoothed; mean over seeds as a line.

    Args:
        curves: `[seeds, steps]` by layout.
        window: of the moving average.
    """
    figure, ((axes,),) = plots.axes(width=5.6)
    for (name, curve), colour in zip(curves.items(), (GREY, RED, GREEN, BLUE, "#8e44ad"), strict=False):
        smoothed = [plots.smooth(one, window) for one in np.asarray(curve)]
        plots.band(axes, smoothed[0][0], np.stack([values for _, values in smoothed]), color=colour, label=name, lw=1)
    axes.set(xlabel="step", ylabel="NT-Xent (nats)")
    axes.legend(frameon=False)
    return figure
