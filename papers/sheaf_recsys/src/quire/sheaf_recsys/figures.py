"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping

import numpy as np

from quire.common import plots
from quire.common.claims.measurement import Numbers
from quire.common.plots import Figure

COLOURS = {
    "sheaf": "#c0392b",
    "LightGCN": "#2471a3",
    "NGCF": "#7d3c98",
    "MF": "#34495e",
    "GCN": "#117a65",
    "plain": "#d68910",
    "popularity": "#95a5a6",
    "degree product": "#95a5a6",
}


def spectra(values: Mapping[str, np.ndarray]) -> Figure:
    """Sorted eigenvalues of normalised Laplacians, by kind of map."""
    figure, ((axes,),) = plots.axes(width=5.5)
    for name, eigenvalues in values.items():
        axes.plot(np.linspace(0, 1, len(eigenvalues)), np.sort(eigenvalues), label=name, lw=1.6)
    axes.axhline(2, color="#95a5a6", ls="--")
    axes.set(xlabel="rank / number of eigenvalues", ylabel=r"eigenvalue of $\Delta$", ylim=(-0.05, 2.1))
    axes.legend(frameon=False, ncols=2, fontsize="small")
    return figure


def separation(curves: Mapping[str, Mapping[str, np.ndarray]], title: str = "") -> Figure:
    """Distance of the class means over that of the start, `curves[side][form]`, step by step."""
    figure, (axes,) = plots.axes(len(curves), sharey=True)
    for each, (side, forms) in zip(axes, curves.items(), strict=True):
        for form, values in forms.items():
            shown = np.maximum(values, 1e-18)
            each.semilogy(shown, label=form, color=COLOURS[form], lw=1.8)
        each.set(xlabel="step", title=side, ylim=(1e-18, 10))
    axes[0].set_ylabel("class distance, now / start")
    axes[0].legend(frameon=False)
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def scores(panels: Mapping[str, Mapping[str, Numbers]], *, ylabel: str, level: tuple[str, float]) -> Figure:
    """One panel per experiment: every seed of every model as a point, the mean as a bar, a trivial baseline as a line."""
    figure, (axes,) = plots.axes(len(panels), sharey=True)
    for each, (title, models) in zip(axes, panels.items(), strict=True):
        plots.seed_bars(each, models, COLOURS, default=COLOURS["sheaf"])
        plots.level(each, level[1], level[0])
        each.set_title(title, fontsize="medium")
    axes[0].set_ylabel(ylabel)
    return figure


def losses(panels: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Training loss of one seed, a panel per experiment."""
    figure, (axes,) = plots.axes(len(panels))
    for each, (title, curves) in zip(axes, panels.items(), strict=True):
        for name, values in curves.items():
            each.plot(values, color=COLOURS[name], label=name, lw=1.4)
        each.axhline(np.log(2), color="#7f8c8d", ls="--", lw=1)
        place = each.get_xlim()[1], np.log(2)
        each.annotate("log 2: nothing learned", place, (-4, -12), textcoords="offset points", ha="right", fontsize="small")
        each.set(xlabel="step", ylabel="loss", ylim=(0, 1))
        each.set_title(title, fontsize="medium")
    axes[0].legend(frameon=False)
    return figure


def learned_maps(values: Mapping[str, np.ndarray]) -> Figure:
    """Histogram of the scalar restriction maps, a panel for each name."""
    figure, (axes,) = plots.axes(len(values))
    for each, (name, maps) in zip(axes, values.items(), strict=True):
        each.hist(np.asarray(maps), bins=60, range=(-1, 1), color=COLOURS["sheaf"], alpha=0.7, density=True)
        each.set(xlabel="restriction map", title=name, xticks=[-1, -0.5, 0, 0.5, 1])
    axes[0].set_ylabel("density")
    return figure
