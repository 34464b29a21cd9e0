"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, GREY = "#c0392b", "#2980b9", "#27ae60", plots.GREY


def covariances(empirical: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> Figure:
    """Covariance of a pixel with those to its right: of drawn fields as points, as it should be as lines."""
    figure, ((axes,),) = plots.axes(width=4.6)
    styles = zip(empirical, (RED, BLUE, GREEN), ("o", "s", "x"), strict=False)
    for name, colour, marker in styles:
        axes.plot(wanted[name][0], color=colour, lw=1)
        axes.plot(empirical[name][0], marker, color=colour, ms=4, label=name)
    axes.axhline(0, color=GREY, lw=0.6)
    axes.set(xlabel="distance on the torus (pixels)", ylabel="covariance")
    axes.legend(frameon=False)
    return figure


def sweep(
    similarity: Mapping[float, float], folded: Mapping[float, float], accuracy: Mapping[float, float], raw: float
) -> Figure:
    """By strength: what is left of the structure, how much is folded over, and what a probe makes of the representation."""
    figure, (panels,) = plots.axes(3, width=2.7)
    titles = "similarity to the original", "folded part (%)", "accuracy of the probe (%)"
    curves = similarity, {s: 100 * v for s, v in folded.items()}, {s: 100 * v for s, v in accuracy.items()}
    for axes, title, curve, colour in zip(panels, titles, curves, (BLUE, RED, GREEN), strict=True):
        axes.plot(np.arange(len(curve)), list(curve.values()), "o-", color=colour)
        axes.set_xticks(np.arange(len(curve)), [f"{s:g}" for s in curve])
        axes.set(xlabel="strength", ylabel=title)
    panels[2].axhline(100 * raw, color=GREY, lw=0.8, ls="--")
    return figure


def sheet(rows: Mapping[str, np.ndarray], columns: Sequence[str] = (), size: float = 1.0) -> Figure:
    """Rows of pictures, each row with a name.

    Args:
        rows: `[columns, h, w, 3]` in `[0, 1]`; or fields `[columns, h, w]`, drawn from their least to their largest value.
        columns: titles, none for none.
        size: of a picture in inches.
    """
    pictures = {name: [_picture(one) for one in row] for name, row in rows.items()}
    height, width = next(iter(pictures.values()))[0].shape[:2]
    gap, wide = max(1, height // 16), max(map(len, pictures.values()))
    canvas = np.ones((len(rows) * (height + gap) - gap, wide * (width + gap) - gap, 3))  # one picture: axes are slow to draw
    for i, row in enumerate(pictures.values()):
        for j, one in enumerate(row):
            canvas[i * (height + gap) : i * (height + gap) + height, j * (width + gap) : j * (width + gap) + width] = one
    figure, ((axes,),) = plots.axes(size=(size * wide * width / height + 1.6, size * len(rows) + 0.4), frame="none")
    axes.imshow(canvas, interpolation="nearest")
    axes.set_yticks(np.arange(len(rows)) * (height + gap) + height / 2, list(rows), fontsize=9)
    axes.set_xticks(np.arange(len(columns)) * (width + gap) + width / 2, columns, fontsize=9)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    return figure


def _picture(one: np.ndarray) -> np.ndarray:
    """A field in blue, white and red, white being zero; a picture as it is."""
    one = np.asarray(one, float)
    if one.ndim == 3:
        return np.clip(one, 0, 1)
    level = one / max(np.abs(one).max(), 1e-12)
    return np.stack([np.minimum(1, 1 + level), 1 - np.abs(level), np.minimum(1, 1 - level)], -1)


def ruled(side: int, every: int = 8) -> np.ndarray:
    """A drawing of lines, `[side, side, 3]`, on which a warp can be seen."""
    line = np.arange(side) % every == every // 2
    return np.repeat(np.where(line[:, None] | line[None], 0.15, 1.0)[..., None], 3, -1)


def accuracies(scores: Mapping[str, Sequence[float]], raw: float, ylabel: str) -> Figure:
    """Every seed of every setting as a point, the mean as a bar."""
    figure, ((axes,),) = plots.axes(width=6.4)
    colours = {name: BLUE for name in scores} | {"baseline": GREY, "local": RED}
    plots.seed_bars(axes, {name: 100 * np.asarray(values) for name, values in scores.items()}, colours)
    plots.level(axes, 100 * raw, "pixels")
    lowest = 100 * min(raw, *(min(values) for values in scores.values()))
    axes.set(ylabel=ylabel, ylim=(max(0, lowest - 4), None))
    return figure
