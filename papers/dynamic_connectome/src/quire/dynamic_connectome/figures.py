"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.graphs.block_search import BlockFit
from quire.common.plots import Axes, Figure
from quire.dynamic_connectome.affinity import AffinityTensor, pairs, rates, smoothed, standardised, together
from quire.dynamic_connectome.factorisation import Factors, RankRow
from quire.dynamic_connectome.recovery import Recovered
from quire.dynamic_connectome.worms import WormMotifs, circuit_share

COLOURS = ("#c0392b", "#2980b9", "#27ae60", "#8e44ad", "#e67e22", "#16a085", "#d35400", "#2c3e50")


FAINT = 0.3
"""Edges below this share of the heaviest are not drawn."""


def colour_of(index: int) -> str:
    """Colour of a group or term; those without a group are grey."""
    return plots.GREY if index < 0 else COLOURS[index % len(COLOURS)]


def affinity_over_time(traces: np.ndarray, names: Sequence[str], dt: float, sigma: float) -> Figure:
    """A few traces, smoothed, and the affinity of each with the first one, rates standardised."""
    seconds, traces = dt * np.arange(traces.shape[1]), smoothed(traces, sigma)
    g = standardised(rates(traces, dt))
    figure, panels = plots.axes(1, len(names), size=(9, 1.5 + 0.9 * len(names)), sharex=True)
    upper, *lower = panels[:, 0]
    for i, name in enumerate(names):
        upper.plot(seconds, traces[i], color=colour_of(i), label=name)
    upper.set(ylabel="activity\n(z-score)")
    upper.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    affinities = [np.asarray(together(g[0], other)) for other in g[1:]]
    for i, (panel, affinity) in enumerate(zip(lower, affinities, strict=True), start=1):
        panel.fill_between(seconds, affinity, color=colour_of(i), lw=0)
        panel.set(ylim=(0, max(a.max() for a in affinities)))
        panel.annotate(f"{names[0]} and {names[i]}", (1.01, 0.5), xycoords="axes fraction", fontsize="small", va="center")
    lower[len(affinities) // 2].set_ylabel("affinity")
    lower[-1].set_xlabel("time (s)")
    return figure


def recovered(found: Recovered) -> Figure:
    """The three factors of the terms that go with the groups, beside the truth, and the motifs with their communities."""
    groups = len(found.terms)
    figure, panels = plots.axes(4, groups, size=(11, 2.1 * groups), width_ratios=(2.2, 1, 1.3, 1))
    frames = found.truth.windows.shape[1]
    centres = (np.arange(len(found.factors.time)) + 0.5) * (frames / len(found.factors.time))
    for k, (term, row) in enumerate(zip(found.terms, panels, strict=True)):
        colour = colour_of(k)
        window = np.flatnonzero(found.truth.windows[k])
        row[0].axvspan(window[0], window[-1], color=plots.GREY, alpha=0.25, lw=0)
        row[0].fill_between(centres, found.factors.time[:, term], color=colour, alpha=0.7, lw=0)
        row[0].set(ylabel=f"group {k + 1}\n$f_t$", xlim=(0, frames), ylim=(0, None))
        known = found.truth.animals[k]
        row[1].bar(np.arange(len(known)) + 1, found.factors.animals[:, term], color=[colour if on else "#bdc3c7" for on in known])
        row[1].set(ylabel="$f_w$", xticks=np.arange(len(known)) + 1)
        _matrix(row[2], found.motifs[k], found.truth.members[k])
        _ring(row[3], found.motifs[k], found.communities[k].labels)
    for panel, title in zip(
        panels[0], ("when (grey: the true window)", "animals (coloured: true)", "motif (red: true)", "communities"), strict=True
    ):
        panel.set_title(title, fontsize="small")
    panels[-1][0].set_xlabel("frame")
    panels[-1][1].set_xlabel("animal")
    return figure


def _matrix(panel: Axes, w: np.ndarray, members: np.ndarray) -> None:
    """A motif as a matrix; true members have red ticks."""
    panel.imshow(w, cmap="Greys")
    inside = np.flatnonzero(members)
    panel.plot(np.full(len(inside), -1.2), inside, "s", color="#c0392b", ms=3, clip_on=False)
    panel.plot(inside, np.full(len(inside), len(w) + 0.2), "s", color="#c0392b", ms=3, clip_on=False)
    panel.set(xticks=[], yticks=[], xlim=(-0.5, len(w) - 0.5), ylim=(len(w) - 0.5, -0.5))


def _ring(panel: Axes, w: np.ndarray, labels: np.ndarray, names: Sequence[str] = ()) -> None:
    """A motif as a graph: neurons on a circle in the order of their communities, edges as dark as they are heavy."""
    order = np.argsort(np.where(labels < 0, labels.max() + 1, labels), kind="stable")
    angle = np.empty(len(w))
    angle[order] = np.linspace(0, 2 * np.pi, len(w), endpoint=False)
    x, y = np.cos(angle), np.sin(angle)
    first, second = pairs(len(w))
    weight = w[first, second] / max(w.max(), 1e-30)
    for i, j, share in zip(first, second, weight, strict=True):
        if share > FAINT:
            panel.plot(x[[i, j]], y[[i, j]], color="black", alpha=0.7 * float(share), lw=0.8, zorder=1)
    panel.scatter(x, y, s=28 if len(names) else 18, c=[colour_of(label) for label in labels], zorder=2)
    for i, name in enumerate(names):
        degrees = np.degrees(angle[i])
        flip = 90 < degrees < 270
        panel.annotate(
            name,
            (1.12 * x[i], 1.12 * y[i]),
            rotation=degrees + 180 * flip,
            rotation_mode="anchor",
            ha="right" if flip else "left",
            va="center",
            fontsize=6,
        )
    reach = 1.45 if len(names) else 1.1
    panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    for side in panel.spines.values():
        side.set_visible(False)


def motif_graphs(motifs: Mapping[str, tuple[np.ndarray, np.ndarray]], names: Sequence[str]) -> Figure:
    """Motifs as graphs with their communities, by title."""
    figure, (row,) = plots.axes(len(motifs), size=(3.9 * len(motifs), 4.1))
    for panel, (title, (w, labels)) in zip(row, motifs.items(), strict=True):
        _ring(panel, w, labels, names)
        panel.set_title(title, fontsize="small")
    return figure


def lengths_by_groups(fits: Mapping[str, BlockFit]) -> Figure:
    """Description length against the number of groups, from its shortest; the shortest is marked."""
    figure, ((panel,),) = plots.axes(width=5.6, height=3.2)
    for i, (name, fit) in enumerate(fits.items()):
        counts = list(fit.by_groups)
        lengths = np.array([fit.by_groups[count][0].total for count in counts])
        excess = lengths - lengths.min()
        panel.plot(counts, excess, "o-", color=colour_of(i), ms=4, label=name)
        panel.plot(counts[int(np.argmin(excess))], 0, "o", color=colour_of(i), ms=10, mfc="none")
    panel.set(xlabel="number of groups", ylabel="description length\nabove the shortest (nats)", ylim=(-8, None))
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def ranks(rows: Sequence[RankRow]) -> Figure:
    """Explained variance, core consistency and stability against the number of terms."""
    figure, (panels,) = plots.axes(3, width=3.2, height=2.6)
    r = [row.rank for row in rows]
    panels[0].plot(r, [100 * row.explained for row in rows], "o-", color=COLOURS[0])
    panels[1].plot(r, [row.core_consistency for row in rows], "o-", color=COLOURS[1])
    panels[1].set(ylim=(-210, 110))  # too many terms reach thousands below 0
    panels[2].plot(r, [row.stability for row in rows], "o-", color=COLOURS[2])
    labels = ("explained (%)", "core consistency (%)", "stability over starts")
    for panel, label in zip(panels, labels, strict=True):
        panel.set(xlabel="terms R", ylabel=label, xticks=r)
    return figure


def worm_factors(found: WormMotifs) -> Figure:
    """All terms of one start: when, in which worms, and how much of the largest pairs lies in the circuit of reversals."""
    factors, config_windows = found.starts[0], len(found.starts[0].time)
    seconds = np.linspace(0, _duration(found), config_windows)
    rank = len(factors.weights)
    figure, (panels,) = plots.axes(3, size=(11, 0.42 * rank + 1.2), width_ratios=(2.6, 1, 1))
    shares = [circuit_share(column, found.tensor.names) for column in factors.pairs.T]
    for r in range(rank):
        height = factors.time[:, r] / max(factors.time[:, r].max(), 1e-30)
        panels[0].fill_between(seconds, r + 0.45, r + 0.45 - 0.9 * height, color=_of_share(shares[r]), lw=0)
    panels[0].set(xlabel="time (s)", yticks=range(rank), yticklabels=[f"{r + 1}" for r in range(rank)], ylabel="term")
    image = panels[1].imshow(factors.animals.T, cmap="Blues", aspect="auto", vmin=0)
    animals = factors.animals.shape[0]
    panels[1].set(xlabel="worm", xticks=range(animals), xticklabels=range(1, animals + 1), yticks=[])
    figure.colorbar(image, ax=panels[1], label="$f_w$")
    panels[2].barh(range(rank), shares, color=[_of_share(share) for share in shares])
    panels[2].set(xlabel="share of the 5 largest pairs\nwithin AVA, AVE, AIB", yticks=[], xlim=(0, 1))
    for panel in panels:
        panel.set_ylim(rank - 0.5, -0.5)
    return figure


def _duration(found: WormMotifs) -> float:
    return float(found.source.value.animals[0].seconds[-1])


def _of_share(share: float) -> str:
    return "#c0392b" if share == 1 else "#7f8c8d"


def factor_picture(
    factors: Factors, tensor: AffinityTensor, seconds: float, terms: Sequence[int], marks: Mapping[int, str]
) -> Figure:
    """The three factors of some terms: when, in which animals, and between which neurons."""
    figure, panels = plots.axes(3, len(terms), size=(11, 2.3 * len(terms)), width_ratios=(2, 0.9, 1.1))
    time = np.linspace(0, seconds, len(factors.time))
    n, (first, second) = len(tensor.names), pairs(len(tensor.names))
    for i, (r, row) in enumerate(zip(terms, panels, strict=True)):
        row[0].fill_between(time, factors.time[:, r], color=colour_of(i), lw=0)
        row[0].set(ylabel=f"term {r + 1}{marks.get(r, '')}\n$f_t$", ylim=(0, None))
        row[1].bar(np.arange(len(factors.animals)) + 1, factors.animals[:, r], color=colour_of(i))
        row[1].set(ylabel="$f_w$", xticks=np.arange(len(factors.animals)) + 1)
        w = np.zeros((n, n))
        w[first, second] = w[second, first] = factors.pairs[:, r]
        row[2].imshow(w, cmap="Greys")
        row[2].set(xticks=[], yticks=[], ylabel="neurons")
    for panel, title in zip(panels[0], ("when", "in which animals", "between which neurons"), strict=True):
        panel.set_title(title, fontsize="small")
    panels[-1][0].set_xlabel("time (s)")
    panels[-1][1].set_xlabel("animal")
    return figure


def atlas(
    labels: Mapping[str, np.ndarray], names: Sequence[str], factors: Factors, terms: Sequence[int], seconds: float
) -> Figure:
    """Atlas: how strong each term is over time, and which neurons its strongest community joins then.

    Args:
        labels: communities of the neurons in each term, by title, in the order of `terms`; 0 is the strongest.
        names: of the neurons.
        factors: weights and time courses.
        terms: columns of the factors.
        seconds: length of the recordings.
    """
    figure, panels = plots.axes(1, 2, size=(11, 8.2), height_ratios=(1, 3.2), sharex=True)
    upper, lower = panels[:, 0]
    time = np.linspace(0, seconds, len(factors.time))
    strength = factors.time[:, terms] * factors.weights[list(terms)]
    upper.stackplot(time, strength.T, colors=[colour_of(i) for i in range(len(terms))], labels=list(labels), lw=0)
    upper.set(ylabel="strength\n(weight x $f_t$)")
    upper.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    joined = np.stack([groups == 0 for groups in labels.values()])
    order = np.lexsort(~joined[::-1])
    picture = _painted(joined[:, order], strength / strength.max(0))
    lower.imshow(picture, aspect="auto", extent=(0, seconds, len(names) - 0.5, -0.5), interpolation="nearest")
    lower.set(xlabel="time (s)", xlim=(0, seconds))
    lower.set_yticks(range(len(names)), [names[i] for i in order], fontsize=6.5)
    return figure


def _painted(joined: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Colours `[neurons, frames, 3]`: of the strongest term whose community a neuron belongs to, paler the weaker it is."""
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(colour_of(i)) for i in range(len(joined))])
    present = joined[:, :, None] * strength.T[:, None]  # [terms, neurons, frames]
    share = present.max(0)[..., None]
    return 1 - share * (1 - colours[present.argmax(0)])


def silencing(evidence: Mapping[str, Sequence[float]], motifs: Sequence[str]) -> Figure:
    """Evidence for communities in each motif, by which neurons were silenced."""
    figure, ((panel,),) = plots.axes(width=8.4, height=3)
    width = 0.8 / len(evidence)
    for i, (name, values) in enumerate(evidence.items()):
        colour = plots.GREY if i == 0 else colour_of(i - 1)
        panel.bar(np.arange(len(motifs)) + i * width, values, width, label=name, color=colour)
    panel.set_xticks(np.arange(len(motifs)) + 0.4 - width / 2, motifs)
    panel.set(ylabel="evidence for communities\n(nats against one group)")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure
