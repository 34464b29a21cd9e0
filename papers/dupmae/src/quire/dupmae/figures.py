"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure
from quire.dupmae.evaluation import PARTS

COLOURS = {"MLM": "#34495e", "RetroMAE": "#2980b9", "DupMAE": "#c0392b"}


def bag_figure(recall: Mapping[str, float], guess: float) -> Figure:
    """Words recalled by arm, one seed."""
    figure, ((panel,),) = plots.axes(width=4.4, height=3)
    plots.seed_bars(panel, recall, COLOURS)
    plots.level(panel, guess, "most frequent words")
    panel.set(ylim=(0, 1.05), ylabel="share of the text's words")
    return figure


def search_figure(
    search: Mapping[str, np.ndarray], lexical: Mapping[str, float], metric: int = 0, label: str = "MRR@10"
) -> Figure:
    """A metric by part and arm, one seed; what counting words reaches as lines.

    Args:
        search: `[parts, metrics]` by arm.
        lexical: the metric by rival.
        metric: which one.
        label: its name.
    """
    figure, ((panel,),) = plots.axes(width=5.6, height=3.2)
    width = 0.8 / len(search)
    for i, (arm, rows) in enumerate(search.items()):
        panel.bar(
            np.arange(len(PARTS)) + (i - (len(search) - 1) / 2) * width,
            rows[:, metric],
            0.9 * width,
            color=COLOURS[arm],
            label=arm,
        )
    for name in ("TF-IDF", "BM25, all words"):
        if name in lexical:
            plots.level(panel, lexical[name], name)
    panel.set(xticks=range(len(PARTS)), xticklabels=PARTS, ylabel=label)
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def visibility_figure(visible: np.ndarray, words: Sequence[str]) -> Figure:
    """Which places each place of the decoder sees, `[t, t]`."""
    figure, ((panel,),) = plots.axes(width=5.4, height=4.6, frame="full")
    panel.imshow(visible, cmap="Blues", vmin=0, vmax=1.4)
    panel.set_xticks(range(len(words)), words, rotation=90, fontsize="small")
    panel.set_yticks(range(len(words)), words, fontsize="small")
    panel.set(xlabel="key (seen if blue)", ylabel="query: the word that is to be told")
    return figure


def losses_figure(curves: Mapping[str, np.ndarray]) -> Figure:
    """Training losses `[seeds, steps]` by arm, smoothed."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3)
    for name, rows in curves.items():
        steps = plots.smooth(rows[0], 10)[0]
        plots.band(panel, steps, [plots.smooth(row, 10)[1] for row in rows], color=COLOURS[name], label=name)
    panel.set(xlabel="step", ylabel="training loss (nats)")
    panel.legend(frameon=False, fontsize="small")
    return figure


def words_figure(found: Mapping[str, tuple[Sequence[str], np.ndarray, Sequence[bool]]]) -> Figure:
    """The words with the largest pooled logits of one text, by arm: names, logits, and whether the text has them."""
    figure, panels = plots.axes(len(found), width=3.2, height=4.6)
    for panel, (arm, (words, logits, there)) in zip(panels[0], found.items(), strict=True):
        colours = [COLOURS["DupMAE"] if inside else plots.GREY for inside in there]
        panel.barh(range(len(words)), logits, color=colours)
        panel.set_yticks(range(len(words)), words, fontsize="small")
        panel.invert_yaxis()
        panel.set(title=f"{arm}: {sum(there)} of {len(words)} in the text", xlabel="pooled logit (red: in the text)")
    return figure
