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
    wide = max(map(len, rows.values()))
    figure, panels = plots.axes(wide, len(rows), size=(size * wide + 1.6, size * len(rows) + 0.3), frame="none")
    for line, (name, images) in zip(panels, rows.items(), strict=True):
        for axes, image in zip(line, images, strict=False):
            axes.imshow(image if image.dtype == np.uint8 else np.clip(image, 0, 1), interpolation="nearest")
        for axes in line[len(images) :]:
            axes.set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for axes, title in zip(panels[0], columns, strict=False):
        axes.set_title(title, fontsize=8)
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
