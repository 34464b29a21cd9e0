"""Figures of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, GREY = "#c0392b", "#2980b9", "#27ae60", plots.GREY
COLOURS = {
    "coefficients a block": RED,
    "one coefficient a vector": BLUE,
    "task arithmetic": GREEN,
    "aTLAS": RED,
    "full fine-tuning": BLUE,
    "LoRA": GREEN,
    "random subspace": "#8e44ad",
}


def domains(images: np.ndarray, names: Sequence[str]) -> Figure:
    """One image `[domains, h, w]` in every domain."""
    figure, panels = plots.axes(len(names), width=1.05, height=1.35, frame="none")
    for axes, image, name in zip(panels.flat, images, names, strict=True):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(name, fontsize=8)
    return figure


def cosines(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Cosines between task vectors `[t, t]`."""
    figure, ((axes,),) = plots.axes(width=4.8, height=4.2, frame="full")
    shown = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="cosine")
    return figure


def by_factor(alphas: np.ndarray, curves: Mapping[str, np.ndarray], levels: Mapping[str, float]) -> Figure:
    """Accuracy `[seeds, alphas]` of task arithmetic by its factor, and levels of what is learned."""
    figure, ((axes,),) = plots.axes(width=5.6, height=3.6)
    for (name, curve), colour in zip(curves.items(), (GREEN, GREY), strict=False):
        plots.band(axes, alphas, 100 * curve, color=colour, label=name)
    for (name, value), style in zip(levels.items(), ("-", "--", "-.", ":"), strict=False):
        axes.axhline(100 * value, color=RED, lw=1.3, ls=style, label=name)
    axes.set(xlabel="factor of all task vectors", ylabel="mean test accuracy (%)", ylim=(0, None))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    return figure


def coefficients(tables: Mapping[str, np.ndarray], tasks: Sequence[str], blocks: Sequence[str]) -> Figure:
    """Coefficients `[T, J]`, one panel for every way to learn them."""
    size = max(3.2, 0.42 * len(blocks) + 1.2)
    figure, (panels,) = plots.axes(len(tables), width=size, height=0.36 * len(tasks) + 1.7, frame="full", sharey=True)
    for axes, (name, coef) in zip(panels, tables.items(), strict=True):
        limit = max(float(np.abs(coef).max()), 1e-6)
        shown = axes.imshow(coef, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_title(name, fontsize=9)
        axes.set_xticks(
            range(coef.shape[1]), blocks if coef.shape[1] > 1 else ["all blocks"], rotation=60, ha="right", fontsize=7
        )
        figure.colorbar(shown, ax=axes, shrink=0.9)
    panels[0].set_yticks(range(len(tasks)), tasks, fontsize=8)
    return figure


def few_shots(shots: Sequence[int], panels_of: Mapping[str, Mapping[str, np.ndarray]], levels: Mapping[str, float]) -> Figure:
    """Accuracies `[seeds, shots]` by method, one panel for every pool, and zero-shot."""
    figure, (panels,) = plots.axes(len(panels_of), width=4.2, height=3.4, sharey=True)
    for axes, (title, curves) in zip(panels, panels_of.items(), strict=True):
        for name, curve in curves.items():
            plots.band(axes, shots, 100 * curve, color=COLOURS.get(name, GREY), marker="o", ms=4, label=name)
        plots.log_ticks(axes, shots, base=2)
        plots.level(axes, 100 * levels[title], "zero-shot")
        axes.set(xlabel="shots", title=title, ylim=(0, 100))
    panels[0].set_ylabel("test accuracy (%)")
    panels[-1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    return figure


def parts(fractions: Sequence[float], curves: Mapping[str, np.ndarray]) -> Figure:
    """Accuracies `[seeds, fractions]` for every number of parts."""
    figure, ((axes,),) = plots.axes(width=4.8, height=3.3)
    for (name, curve), colour in zip(curves.items(), (GREY, BLUE, RED, GREEN), strict=False):
        plots.band(axes, [100 * f for f in fractions], 100 * curve, color=colour, marker="o", ms=4, label=name)
    plots.log_ticks(axes, [100 * f for f in fractions])
    axes.set(xlabel="share of the training images (%)", ylabel="test accuracy (%)")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    return figure


def bars(values: Mapping[str, np.ndarray], colours: Mapping[str, str], *, label: str) -> Figure:
    """Every seed of every method."""
    figure, ((axes,),) = plots.axes(width=1.1 * len(values) + 1.6, height=3.3)
    plots.seed_bars(axes, {name: 100 * np.asarray(x) for name, x in values.items()}, colours)
    axes.set_xticks(range(len(values)), list(values), rotation=20, ha="right", fontsize=8)
    axes.set(ylabel=label, ylim=(0, None))
    return figure


def disentanglement(grid: np.ndarray, maps: Mapping[str, np.ndarray], names: tuple[str, str]) -> Figure:
    """Errors over pairs of coefficients, one panel a model; a square around what arithmetic uses."""
    figure, (panels,) = plots.axes(len(maps), width=3.5, height=3.2, frame="full", sharey=True)
    for axes, (title, errors) in zip(panels, maps.items(), strict=True):
        shown = axes.pcolormesh(grid, grid, errors.T, cmap="viridis", vmin=0, vmax=1.5, shading="nearest")
        axes.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="white", lw=1.2)
        axes.set(title=title, xlabel=f"coefficient of {names[0]}")
    panels[0].set_ylabel(f"coefficient of {names[1]}")
    figure.colorbar(shown, ax=panels[-1], label="error")
    return figure


def adaptation(curves: Mapping[str, np.ndarray]) -> Figure:
    """Accuracies `[seeds, 1 + epochs]` on the test images while they are learned from."""
    figure, ((axes,),) = plots.axes(width=4.8, height=3.2)
    for (name, curve), colour in zip(curves.items(), (RED, GREY), strict=False):
        plots.band(axes, np.arange(curve.shape[1]), 100 * curve, color=colour, label=name)
    axes.set(xlabel="epoch", ylabel="accuracy (%)")
    axes.legend(frameon=False)
    return figure
