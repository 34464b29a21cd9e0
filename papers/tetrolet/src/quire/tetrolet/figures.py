"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Axes, Figure
from quire.tetrolet.tilings import Labels, symmetry_classes

RED, BLUE, GREEN, ORANGE, GREY = "#c0392b", "#2980b9", "#27ae60", "#e67e22", plots.GREY
SETS = ("#c0392b", "#f1c40f", "#2980b9", "#27ae60")
COLOURS = {"tetrolets": RED, "Haar": BLUE, "random groupings": ORANGE, "pixels": GREY, "tetrolet": RED, "concept coding": RED}


def tiling_classes(tilings: Labels, labels: Labels) -> Figure:
    """The first tiling of every class, the colours of its sets by their labels, and how many there are of the class."""
    from matplotlib.colors import ListedColormap

    classes = symmetry_classes(tilings)
    numbers, first, counts = np.unique(classes, return_index=True, return_counts=True)
    figure, panels = plots.axes(8, -(-len(numbers) // 8), width=0.9, height=1.05, frame="none")
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, place, count in zip(panels.flat, first, counts, strict=False):
        axes.imshow(labels[place].reshape(4, 4), cmap=ListedColormap(SETS), vmin=0, vmax=3)
        axes.set_title(f"× {count}", fontsize=8)
    return figure


def _outline(axes: Axes, labels: Labels, index: np.ndarray, colour: str) -> None:
    """Borders of the sets of all blocks."""
    rows, columns = index.shape
    cells = 4 * (np.arange(rows)[:, None] * columns + np.arange(columns))[..., None] + labels[index]
    whole = cells.reshape(rows, columns, 4, 4).swapaxes(1, 2).reshape(4 * rows, 4 * columns)
    for y, x in np.argwhere(whole[:, 1:] != whole[:, :-1]):
        axes.plot([x + 0.5] * 2, [y - 0.5, y + 0.5], color=colour, lw=0.8)
    for y, x in np.argwhere(whole[1:] != whole[:-1]):
        axes.plot([x - 0.5, x + 0.5], [y + 0.5] * 2, color=colour, lw=0.8)


def chosen(images: Mapping[str, np.ndarray], labels: Labels, indices: Sequence[np.ndarray]) -> Figure:
    """Images with the tilings that their blocks have."""
    figure, (panels,) = plots.axes(len(images), width=2.6, height=2.8, frame="none")
    for axes, (name, image), index in zip(panels, images.items(), indices, strict=True):
        axes.imshow(image, cmap="Greys")
        _outline(axes, labels, np.asarray(index), RED)
        axes.set_title(name, fontsize=9)
    return figure


def pictures(images: Mapping[str, np.ndarray], *, cmap: str = "gray", limits: tuple[float, float] | None = (0, 1)) -> Figure:
    """Images side by side."""
    figure, (panels,) = plots.axes(len(images), width=2.3, height=2.5, frame="none")
    low, high = limits or (None, None)
    for axes, (name, image) in zip(panels, images.items(), strict=True):
        axes.imshow(image, cmap=cmap, vmin=low, vmax=high)
        axes.set_title(name, fontsize=9)
    return figure


def energies(curves: Mapping[str, np.ndarray]) -> Figure:
    """Energy that the largest coefficients do not hold, against their part of all."""
    figure, ((axes,),) = plots.axes(width=5)
    for name, curve in curves.items():
        part = (np.arange(len(curve)) + 1) / len(curve)
        few = part <= 0.3
        axes.plot(100 * part[few], 100 * (1 - curve[few]), color=COLOURS[name], label=name)
    axes.set(xlabel="coefficients kept (%)", ylabel="energy left out (%)", ylim=(0, 30))
    axes.legend(frameon=False)
    return figure


def entropies(thetas: Sequence[float], bits: Sequence[float], psnr: Sequence[float], fixed: float) -> Figure:
    """What the relaxed choice saves, and what it costs."""
    figure, ((left, right),) = plots.axes(2, width=3.6)
    left.plot(thetas, bits, "o-", color=RED)
    plots.level(left, fixed, "117 tilings at a fixed length")
    left.set(xlabel="tolerance θ", ylabel="bits a block", ylim=(0, fixed * 1.15))
    right.plot(thetas, psnr, "o-", color=BLUE)
    right.set(xlabel="tolerance θ", ylabel="PSNR by few terms (dB)")
    return figure


def accuracies(values: Mapping[str, np.ndarray], scripts: Sequence[str]) -> Figure:
    """Accuracies `[seeds, scripts]` by method: every seed a point, a panel for each script."""
    figure, (panels,) = plots.axes(len(scripts), width=2.7, height=3.2, sharey=True)
    for column, (axes, script) in enumerate(zip(panels, scripts, strict=True)):
        plots.seed_bars(axes, {name: 100 * table[:, column] for name, table in values.items()}, COLOURS)
        axes.set_title(script, fontsize=10)
        axes.tick_params(axis="x", rotation=90)
    lowest = min(table.min() for table in values.values())
    panels[0].set(ylabel="test accuracy (%)", ylim=(100 * lowest - 2, 100))
    return figure


def concepts(basis: np.ndarray, count: int = 10) -> Figure:
    """The first columns of a basis as pictures of the low-pass."""
    side = int(np.sqrt(len(basis)))
    figure, (panels,) = plots.axes(count, width=1.0, height=1.1, frame="none")
    for axes, column in zip(panels, basis.T, strict=False):
        limit = np.abs(column).max()
        axes.imshow(column.reshape(side, side), cmap="RdBu_r", vmin=-limit, vmax=limit)
    return figure
