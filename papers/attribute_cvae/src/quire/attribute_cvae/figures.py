"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, GREY = "#c0392b", "#2980b9", "#27ae60", plots.GREY


def by_beta(curves: Mapping[str, Mapping[float, float]], real: float) -> Figure:
    """Accuracies of the probe by the weight of the divergence, and what it sees in real images."""
    figure, ((axes,),) = plots.axes(width=5.2)
    for (name, values), colour in zip(curves.items(), (RED, BLUE, GREEN), strict=False):
        axes.plot(list(values), [100 * value for value in values.values()], "o-", color=colour, label=name)
    plots.log_ticks(axes, list(next(iter(curves.values()))))
    axes.axhline(100 * real, color="black", lw=0.8, ls=":", label="real images")
    axes.axhline(50, color=GREY, lw=0.8, ls="--", label="chance")
    axes.set(xlabel="weight of the divergence, beta", ylabel="attributes seen (%)", ylim=(45, 102))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def price(error: Mapping[float, float], kl: Mapping[float, float]) -> Figure:
    """Squared error of reconstructions, and nats that the latent numbers carry, by the weight of the divergence."""
    figure, ((left, right),) = plots.axes(2, width=3.4)
    left.plot(list(error), list(error.values()), "o-", color=RED)
    left.set(ylabel="squared error of reconstructions", ylim=(0, None))
    right.plot(list(kl), list(kl.values()), "o-", color=BLUE)
    right.set(ylabel="KL(q || p), nats an image", ylim=(0, None))
    for axes in (left, right):
        plots.log_ticks(axes, list(error))
        axes.set_xlabel("weight of the divergence, beta")
    return figure


def sheet(rows: Mapping[str, np.ndarray], columns: Sequence[str] = (), size: float = 0.75) -> Figure:
    """Rows of images, each with a name.

    Args:
        rows: images `[columns, h, w, 3]` in `[0, 1]`, or bytes.
        columns: titles, none for none.
        size: of an image in inches.
    """
    wide, first = max(map(len, rows.values())), next(iter(rows.values()))
    h, w, channels = first.shape[1:]
    gap = max(1, h // 16)
    canvas = np.ones((len(rows) * (h + gap) - gap, wide * (w + gap) - gap, channels))  # one picture: axes are slow to draw
    for row, images in enumerate(rows.values()):
        for column, image in enumerate(images):
            shown = image / 255 if image.dtype == np.uint8 else np.clip(image, 0, 1)
            canvas[row * (h + gap) : row * (h + gap) + h, column * (w + gap) : column * (w + gap) + w] = shown
    figure, ((axes,),) = plots.axes(size=(size * wide + 1.6, size * len(rows) + 0.4), frame="none")
    axes.imshow(canvas, interpolation="nearest")
    axes.set_yticks(np.arange(len(rows)) * (h + gap) + h / 2, list(rows), fontsize=9)
    axes.set_xticks(np.arange(len(columns)) * (w + gap) + w / 2, columns, fontsize=8)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    return figure


def prior_modes(means: np.ndarray, attributes: np.ndarray, names: Sequence[str], directions: np.ndarray) -> Figure:
    """Means of the prior of many sets of attributes in the plane that holds most of their variance, coloured by each attribute.

    Args:
        means: `[rows, d]`.
        attributes: `[rows, a]`.
        names: of the attributes that are shown.
        directions: `[2, d]`, orthonormal.
    """
    flat = (means - means.mean(0)) @ directions.T
    figure, (panels,) = plots.axes(len(names), width=2.2, height=2.2, frame="full")
    for axes, name, has in zip(panels, names, attributes.T, strict=False):
        for value, colour in ((0, GREY), (1, RED)):
            axes.scatter(*flat[has == value].T, s=10, color=colour)
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=9)
    return figure
