"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {"CRATE": "#c0392b", "baseline": "#34495e", "init": "#95a5a6", "trivial": "#bdc3c7"}


def spreads(tokens: Mapping[str, np.ndarray], rates: Mapping[str, float]) -> Figure:
    """Tokens `[N, 3]` of norm 1 with their coding rate, a panel for each name."""
    figure, (panels,) = plots.axes(len(tokens), width=3.2, height=3.4, projection="3d")
    for axes, (name, Z) in zip(panels, tokens.items(), strict=True):
        axes.scatter(*np.asarray(Z).T, s=8, color=COLOURS["CRATE"], alpha=0.6)
        axes.set_title(f"{name}: $R$ = {rates[name]:.2f} nats", fontsize="medium")
        axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1), xticks=[], yticks=[], zticks=[])
        axes.set_box_aspect((1, 1, 1))
    return figure


def clouds(points: Mapping[str, np.ndarray], labels: np.ndarray) -> Figure:
    """Plane points `[n, 2]` coloured by label, a panel for each name."""
    figure, (axes,) = plots.axes(len(points))
    for each, (name, xy) in zip(axes, points.items(), strict=True):
        marks = each.scatter(*np.asarray(xy).T, c=labels, cmap="tab10", s=9)
        each.set(title=name, xlabel="first component", ylabel="second component", xticks=[], yticks=[])
    each.legend(*marks.legend_elements(), frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), title="class")
    return figure


def compression(rates: Mapping[str, Sequence[float]], ratios: Mapping[str, Sequence[float]]) -> Figure:
    """`R^c` step by step, and over that of the start shrunk to the same norm."""
    figure, ((left, right),) = plots.axes(2)
    for name, values in rates.items():
        left.plot(values, "o-", label=name)
        right.plot(ratios[name], "o-", label=name)
    right.axhline(1, color=COLOURS["trivial"], ls="--", label="equal-norm shrink")
    left.set(xlabel="step", ylabel=r"$R^c$ (nats)", title="both lower the rate", xticks=range(len(values)))
    right.set(
        xlabel="step", ylabel=r"$R^c$ / $R^c$ of the shrunk start", title="one does more than shrink", xticks=range(len(values))
    )
    right.legend(frameon=False)
    return figure


def norm_dependence(norms: np.ndarray, ratios: Sequence[float], used: float) -> Figure:
    """Change of the off-subspace energy by two MSSA steps, against the norm of the tokens."""
    figure, ((axes,),) = plots.axes()
    axes.plot(norms, ratios, "o-", color=COLOURS["CRATE"])
    axes.axhline(1, color=COLOURS["trivial"], ls="--")
    axes.axvline(used, color=COLOURS["init"], ls=":", label="norm of the claim")
    plots.log_ticks(axes, (0.5, 1, 2, 4, 8), base=2)
    axes.set(xlabel="token norm", ylabel="off-subspace energy, end / start", title="MSSA denoises at the right norm only")
    axes.legend(frameon=False)
    return figure


def accuracies(values: Mapping[str, float], parameters: Mapping[str, int], majority: float) -> Figure:
    """Test accuracy against the number of parameters."""
    figure, ((axes,),) = plots.axes()
    for (name, value), colour in zip(values.items(), (COLOURS["CRATE"], COLOURS["baseline"]), strict=True):
        axes.plot(parameters[name] / 1e3, value, "o", ms=9, color=colour)
        axes.annotate(f"{name} {value:.3f}", (parameters[name] / 1e3, value), (0, -16), textcoords="offset points", ha="center")
    axes.axhline(majority, color=COLOURS["init"], ls="--", label="majority class")
    largest = max(parameters.values()) / 1e3
    axes.set(xlabel="parameters (thousands)", ylabel="test accuracy", xlim=(0, 1.2 * largest), ylim=(0, 1.05))
    axes.legend(frameon=False, loc="center right")
    return figure


def layer_curves(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> Figure:
    """Coding rate and zero fraction layer by layer, before and after training."""
    figure, (axes,) = plots.axes(2)
    for each, name, label in zip(axes, ("coding_rate", "zero_fraction"), ("coding rate (nats)", "zero fraction"), strict=True):
        layers = np.arange(1, len(before[name]) + 1)
        each.plot(layers, before[name], "o--", color=COLOURS["init"], label="at initialisation")
        each.plot(layers, after[name], "o-", color=COLOURS["CRATE"], label="trained")
        each.set(xlabel="layer", ylabel=label, xticks=layers)
    axes[0].legend(frameon=False)
    return figure


def reconstructions(rows: Mapping[str, np.ndarray]) -> Figure:
    """Rows of images `[n, h, w, c]` in `[0, 1]`, a title for each row."""
    count = len(next(iter(rows.values())))
    figure, axes = plots.axes(count, len(rows), size=(0.95 * count + 0.9, 1.0 * len(rows)), frame="none")
    for row, (title, images) in zip(axes, rows.items(), strict=True):
        for each, image in zip(row, images, strict=True):
            show(each, image)
        row[0].set_ylabel(title, rotation=0, ha="right", va="center")
    return figure


def show(axes, image: np.ndarray) -> None:
    """One image without ticks; a single channel in grey."""
    image = np.clip(np.asarray(image), 0, 1)
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray_r" if image.shape[-1] == 1 else None, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def losses(curves: Mapping[str, np.ndarray], levels: Mapping[str, float], *, ylabel: str, smooth: int = 15) -> Figure:
    """Training curves, smoothed, with horizontal lines at reference levels."""
    figure, ((axes,),) = plots.axes(width=5)
    for (name, values), colour in zip(curves.items(), (COLOURS["CRATE"], COLOURS["baseline"]), strict=False):
        axes.plot(*plots.smooth(values, smooth), color=colour, label=name)
    for (name, level), style in zip(levels.items(), ("--", ":", "-."), strict=False):
        axes.axhline(level, color=COLOURS["init"], ls=style, label=name)
    axes.set(xlabel="step", ylabel=ylabel)
    axes.legend(frameon=False)
    return figure
