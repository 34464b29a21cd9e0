"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.arrays import AnyArray
from quire.common.plots import Figure

COLOURS = ("#c0392b", "#2980b9", "#27ae60", "#8e44ad", "#e67e22", "#34495e", "#16a085", "#7f8c8d")


def bars(
    values: Mapping[str, float], label: str, level: float | None = None, *, ours: Sequence[str] = (), level_name: str = "chance"
) -> Figure:
    """One number by name, the largest on top; those of the paper in colour."""
    figure, ((panel,),) = plots.axes(width=6, height=0.8 + 0.34 * len(values))
    names = sorted(values, key=values.__getitem__)
    panel.barh(names, [values[name] for name in names], color=[COLOURS[0] if name in ours else plots.GREY for name in names])
    for i, name in enumerate(names):
        panel.text(values[name], i, f" {values[name]:.3f}", va="center", fontsize="small")
    if level is not None:
        panel.axvline(level, color="black", ls="--", lw=1, label=level_name)
        panel.legend(frameon=False, fontsize="small", loc="lower right")
    panel.set(xlabel=label, xlim=(0, 1.18 * max(values.values())))
    return figure


def precision_recall(curves: Mapping[str, tuple[AnyArray, AnyArray]]) -> Figure:
    """Precision against recall by radius."""
    figure, ((panel,),) = plots.axes(width=5.4, height=3.2)
    for (name, (precision, recall)), colour in zip(curves.items(), COLOURS, strict=False):
        kept = recall > 0.002
        panel.plot(recall[kept], precision[kept], "o-", ms=3, color=colour, label=name)
    panel.set(xlabel="recall within a Hamming radius", ylabel="precision", ylim=(0, 1))
    panel.legend(frameon=False, fontsize="small")
    return figure


def by_word(found: np.ndarray, trivial: np.ndarray) -> Figure:
    """Adjusted Rand index of every pseudo-word, against that of a principal component."""
    figure, ((panel,),) = plots.axes(width=3.8, height=3.5)
    panel.plot([-0.1, 1], [-0.1, 1], color=plots.GREY, lw=1)
    panel.plot(trivial, found, "o", color=COLOURS[0], alpha=0.8)
    panel.set(xlabel="ARI, first principal component", ylabel="ARI, disambiguated skip-gram", xlim=(-0.1, 1), ylim=(-0.1, 1))
    return figure


def kept_senses(thresholds: np.ndarray, pseudo: np.ndarray, plain: np.ndarray) -> Figure:
    """Mean number of senses kept, against the threshold."""
    figure, ((panel,),) = plots.axes(width=5, height=3)
    panel.plot(thresholds, pseudo, color=COLOURS[0], label="pseudo-words")
    panel.plot(thresholds, plain, color=COLOURS[1], label="other words")
    panel.set(xlabel="threshold of the prior", ylabel="senses kept a word", ylim=(0, None))
    panel.legend(frameon=False)
    return figure


def senses_in_plane(
    senses: np.ndarray, words: np.ndarray, topics: np.ndarray, topic_words: np.ndarray, origins: list[int]
) -> Figure:
    """Senses `[S, 2]` of one pseudo-word among other words `[n, 2]` in a plane; words of its two topics in colour."""
    figure, ((panel,),) = plots.axes(width=5, height=3.8)
    panel.plot(*words[~np.isin(topic_words, topics)].T, ".", color=plots.GREY, alpha=0.4, label="words of other topics")
    for topic, colour in zip(topics, COLOURS[1:], strict=False):
        panel.plot(*words[topic_words == topic].T, ".", ms=8, color=colour, label=f"topic {topic}")
    for i in origins:
        panel.plot(*senses[i], "*", ms=15, color=COLOURS[0], label="kept senses of the pseudo-word" if i == origins[0] else None)
    panel.set(xlabel="first principal component", ylabel="second")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure
