"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {
    "DistMult": "#2980b9",
    "ComplEx": "#c0392b",
    "frequency": plots.GREY,
    "perception alone": "#34495e",
    "semantic memory": "#c0392b",
    "predicate marginal": "#e67e22",
    "lookup table": "#27ae60",
    "full": "#c0392b",
    "no working memory": "#34495e",
    "no working memory, wide": "#2980b9",
    "untied": "#e67e22",
}


def decisions(steps: Mapping[str, tuple[Sequence[str], np.ndarray]], chosen: Sequence[int], top: int = 8) -> Figure:
    """Probabilities of the three decisions, the most probable concepts of each; the chosen one in colour.

    Args:
        steps: names and probabilities by decision.
        chosen: number of the concept that was decided, by decision.
        top: how many concepts are shown.
    """
    figure, panels = plots.axes(len(steps), width=3.4, height=2.8)
    for panel, (title, (names, probabilities)), unit in zip(panels[0], steps.items(), chosen, strict=True):
        best = np.argsort(-probabilities, kind="stable")[:top]
        colours = [COLOURS["semantic memory"] if i == unit else plots.GREY for i in best]
        panel.barh([names[i][:22] for i in best], probabilities[best], color=colours)
        panel.invert_yaxis()
        panel.set(xlabel="probability", xlim=(0, 1))
        panel.set_title(title, fontsize="medium")
    return figure


def matrices(shown: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Square roots of the probabilities of pairs of subject (rows) and object (columns), by title; one scale of colours."""
    figure, panels = plots.axes(len(shown), width=3.1, height=3.2, frame="full", sharey=True)
    roots = {title: np.sqrt(x) for title, x in shown.items()}
    highest = max(x.max() for x in roots.values())
    for panel, (title, values) in zip(panels[0], roots.items(), strict=True):
        image = panel.imshow(values, vmin=0, vmax=highest, cmap="magma_r")
        panel.set_title(title, fontsize="medium")
        panel.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
        panel.set_yticks(range(len(names)), names, fontsize="x-small")
        panel.set_xlabel("object")
    panels[0, 0].set_ylabel("subject")
    figure.colorbar(image, ax=panels, label="√ probability", shrink=0.8)
    return figure


def reciprocal_ranks(values: Mapping[str, float]) -> Figure:
    """MRR of one seed, by method and graph: names are `method, graph`."""
    figure, ((panel,),) = plots.axes(width=5.6, height=3.0)
    graphs = list(dict.fromkeys(name.split(", ")[1] for name in values))
    methods = list(dict.fromkeys(name.split(", ")[0] for name in values))
    for i, method in enumerate(methods):
        places = np.arange(len(graphs)) + 0.27 * (i - 1)
        bars = panel.bar(places, [values[f"{method}, {g}"] for g in graphs], 0.25, color=COLOURS[method], label=method)
        panel.bar_label(bars, fmt="%.2f", fontsize="x-small")
    panel.set(xticks=range(len(graphs)), xticklabels=graphs, ylabel="filtered MRR of the test part", ylim=(0, 1))
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def against_noise(noises: Sequence[float], nll: Mapping[str, np.ndarray], accuracy: Mapping[str, np.ndarray]) -> Figure:
    """One seed: what each prior makes of known facts, against the noise of the senses."""
    figure, ((left, right),) = plots.axes(2, width=4.2, height=3.2)
    for panel, values in ((left, nll), (right, accuracy)):
        for name, numbers in values.items():
            panel.plot(noises, numbers[: len(noises)], "o-", color=COLOURS[name], label=name)
        panel.set(xlabel="standard deviation of the sensory noise", xticks=noises)
    left.set_ylabel("-ln P(what is there) (nats)")
    right.set(ylabel="most probable triple is right", ylim=(0, 1))
    left.legend(frameon=False, fontsize="small")
    return figure


def divergence_bars(kl: Mapping[str, float]) -> Figure:
    """One seed: how far from the mixture of episodes."""
    figure, ((panel,),) = plots.axes(width=5.6, height=2.8)
    names = {"semantic": "semantic memory,\nall trained", "abar alone": "semantic memory,\nonly abar", "marginals": "marginals"}
    colours = (COLOURS["semantic memory"], COLOURS["predicate marginal"], plots.GREY)
    bars = panel.bar(range(3), [kl[name] for name in names], color=colours, width=0.6)
    panel.bar_label(bars, fmt="%.2f")
    panel.set(xticks=range(3), xticklabels=names.values(), ylabel="KL from the mixture (nats)")
    return figure


def learning_curves(curves: Mapping[str, np.ndarray]) -> Figure:
    """Losses of one seed, all pairs of the tiny world."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3)
    for name, values in curves.items():
        panel.plot(np.arange(1, len(values) + 1), values, color=COLOURS[name], label=name, lw=1.4)
    panel.set(xlabel="step", ylabel="-ln P(p | s, o) (nats)", yscale="log")
    panel.legend(frameon=False, fontsize="small")
    return figure
