"""Pictures of the claims, each from the numbers of its measurement, and of the idea behind them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from quire.common import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:
    Figure = Any

QUERY, DOCUMENT, BASELINE = "C0", "C1", plots.GREY


def partition_figure(
    query: Float[np.ndarray, "m 2"], document: Float[np.ndarray, "n 2"], directions: Float[np.ndarray, "2 k"]
) -> Figure:
    """Tokens on the circle, cut by hyperplanes, with each query token's best match; and the blocks that they fall into."""
    import jax.numpy as jnp

    from quire.muvera.partition import SimHash

    figure, ((circle, blocks),) = plots.axes(2, size=(9.6, 4.0), width_ratios=(1, 1.5))
    angle = np.linspace(0, 2 * np.pi, 200)
    circle.plot(np.cos(angle), np.sin(angle), color="0.85", zorder=0)
    for normal in directions.T:
        along = np.array([-normal[1], normal[0]]) / np.linalg.norm(normal)
        circle.plot(*np.stack([-1.15 * along, 1.15 * along], 1), color="0.6", lw=1, ls="--", zorder=0)
    for q in query:
        best = document[np.argmax(document @ q)]
        circle.plot(*np.stack([q, best], 1), color="0.3", lw=1, zorder=1)
    circle.scatter(*query.T, color=QUERY, s=45, label="query token")
    circle.scatter(*document.T, color=DOCUMENT, s=45, marker="s", label="document token")
    circle.set(aspect="equal", xticks=[], yticks=[], title="Best matches, and hyperplanes (dashed)")
    for side in circle.spines.values():
        side.set_visible(False)
    circle.legend(loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=2, frameon=False)

    partition = SimHash(jnp.asarray(directions))
    counts = [np.bincount(partition.clusters(jnp.asarray(x)), minlength=partition.num_clusters) for x in (query, document)]
    place = np.arange(partition.num_clusters)
    blocks.bar(place - 0.2, counts[0], 0.4, color=QUERY, label="query tokens: summed")
    blocks.bar(place + 0.2, counts[1], 0.4, color=DOCUMENT, label="document tokens: averaged")
    empty = place[counts[1] == 0]
    blocks.bar(
        empty + 0.2, np.full(len(empty), 0.12), 0.4, facecolor="none", edgecolor=DOCUMENT, hatch="///", label="empty: filled"
    )
    blocks.set(xlabel="block, in Gray-code order", ylabel="tokens", xticks=place, title="One repetition: the same cut as blocks")
    blocks.set_ylim(0, max(map(max, counts)) * 1.45)
    blocks.legend(frameon=False, loc="upper right")
    return figure


def estimate_figure(truth: Float[np.ndarray, " n"], estimates: Mapping[str, Float[np.ndarray, " n"]]) -> Figure:
    """Estimates of the normalised Chamfer similarity against the exact one, one panel each, on common axes."""
    figure, (panels,) = plots.axes(len(estimates), width=3.2, height=3.2, sharex=True, sharey=True)
    low, high = truth.min(), truth.max()
    for axes, (name, values) in zip(panels, estimates.items(), strict=True):
        axes.plot([low, high], [low, high], color="0.6", lw=1, label="estimate = NCH")
        axes.scatter(truth, values, s=8, alpha=0.5, color=QUERY, linewidths=0)
        correlation = np.corrcoef(truth, values)[0, 1]
        axes.set(title=f"{name}\ncorrelation {correlation:.2f}", xlabel="exact NCH")
    panels[0].set_ylabel("estimate")
    panels[0].legend(frameon=False, loc="upper left")
    return figure


def filling_figure(bits: Sequence[int], filled: Float[np.ndarray, " k"], empty: Float[np.ndarray, " k"]) -> Figure:
    """Error of the estimate against the number of hyperplanes, with and without filling."""
    figure, ((axes,),) = plots.axes(width=5.6, height=3.4)
    axes.plot(bits, filled, "o-", color=QUERY, label="empty clusters filled")
    axes.plot(bits, empty, "s-", color=DOCUMENT, label="left empty")
    axes.axhline(filled[0], color=BASELINE, ls=":", label="mean-pooled document")
    axes.set(xlabel="hyperplanes k", ylabel="mean |NCH − estimate|", xticks=bits, ylim=(0, None))
    axes.legend(frameon=False, loc="lower left")
    return figure


def failure_figure(
    eps: Sequence[float], failures: Mapping[str, Float[np.ndarray, " e"]], delta: float, bits: Sequence[int]
) -> Figure:
    """How often the estimate errs by more than eps with the hyperplanes of Theorem 2.1, against the allowed share."""
    figure, ((axes,),) = plots.axes(width=5.6, height=3.4)
    place = np.arange(len(eps))
    for i, (name, shares) in enumerate(failures.items()):
        axes.bar(place + 0.4 * (i - (len(failures) - 1) / 2), shares, 0.38, label=name, color=(QUERY, DOCUMENT)[i % 2])
    axes.axhline(delta, color="0.3", ls="--", label=f"allowed, δ = {delta:g}")
    axes.set_xticks(place, [f"ε = {e:g}\nk = {k}" for e, k in zip(eps, bits, strict=True)])
    highest = max(float(np.max(shares)) for shares in failures.values())
    axes.set(ylabel="share of draws off by more than ε", ylim=(0, 1.2 * max(highest, 2 * delta)))
    axes.legend(frameon=False, loc="upper left")
    return figure


def recall_figure(ranks: Mapping[str, Float[np.ndarray, " q"]], most: int = 1000) -> Figure:
    """1Recall@N of every method against N, with the line at 0.9."""
    figure, ((axes,),) = plots.axes(width=6.0, height=3.6)
    styles = dict(zip(ranks, ("-", "--", "-.", ":"), strict=False))
    n = np.unique(np.geomspace(1, most, 120).astype(int))
    for i, (name, places) in enumerate(ranks.items()):
        colour = QUERY if i == 0 else f"C{i}" if name != "mean pooling" else BASELINE
        recall = np.mean(np.asarray(places)[:, None] <= n, axis=0)
        listed = np.isfinite(places).all()
        axes.plot(n, recall, styles.get(name, "-"), color=colour, lw=2 if i == 0 else 1.5, label=name if listed else f"{name}*")
    axes.axhline(0.9, color="0.7", lw=1, zorder=0)
    if not all(np.isfinite(places).all() for places in ranks.values()):
        axes.annotate("* its list ends", (0.01, 0.01), xycoords="axes fraction", color="0.4", fontsize=8)
    axes.set(xlabel="candidates N", ylabel="1Recall@N", xscale="log", ylim=(0, 1.02), xlim=(1, most))
    axes.legend(frameon=False, loc="lower right")
    return figure


def ladder_figure(dims: Sequence[int], recalls: Mapping[str, Sequence[float]], pooled: float, shortlist: int) -> Figure:
    """Recall against the dimension of the encoding, every draw as a point."""
    figure, ((axes,),) = plots.axes(width=5.6, height=3.4)
    means = [np.mean(values) for values in recalls.values()]
    axes.plot(dims, means, "-", color=QUERY, label="FDE, mean over draws")
    for dim, values in zip(dims, recalls.values(), strict=True):
        axes.plot(np.full(len(values), dim), values, "o", color=QUERY, ms=4, alpha=0.6)
    axes.axhline(pooled, color=BASELINE, ls=":", label="mean pooling")
    plots.log_ticks(axes, dims, base=2)
    axes.set_xticks(dims, [f"{dim}\n{label}" for dim, label in zip(dims, recalls, strict=True)])
    axes.set(xlabel="dimension of the encoding, and (R, k, p)", ylabel=f"1Recall@{shortlist} (%)")
    axes.legend(frameon=False, loc="lower right")
    return figure


def carving_figure(percent: Mapping[str, float], kept: Mapping[str, float]) -> Figure:
    """Recall after re-ranking for every way to carve the query, with the share of its vectors that is left."""
    figure, ((axes,),) = plots.axes(width=6.4, height=3.4)
    order = sorted(percent, key=kept.__getitem__)
    place = np.arange(len(order))
    bars = axes.bar(place, [percent[name] for name in order], 0.6, color=[BASELINE, *[QUERY] * (len(order) - 1)])
    axes.bar_label(bars, fmt="%.1f", padding=2)
    axes.set_xticks(place, [f"{name.replace('tau', 'τ')}\n{100 * kept[name]:.0f} % kept" for name in order])
    axes.set(ylabel="recall after re-ranking (%)", ylim=(0, 1.12 * max(percent.values())))
    return figure


def carved_query_figure(query: Float[np.ndarray, "m d"], labels: Mapping[float, Int[np.ndarray, " m"]]) -> Figure:
    """Cosines between the tokens of a query, and the groups that carving makes of them at several tau."""
    figure, ((cosines, groups),) = plots.axes(2, size=(9.6, 3.8), width_ratios=(1.2, 1), frame="full")
    image = cosines.imshow(query @ query.T, vmin=-1, vmax=1, cmap="RdBu_r")
    figure.colorbar(image, ax=cosines, label="cosine")
    place = np.arange(len(query))
    cosines.set(xticks=place[::3], yticks=place[::3], xlabel="query token", ylabel="query token", title="How near the tokens are")
    table = np.stack(list(labels.values()), axis=1)
    groups.imshow(table, cmap="tab20", vmin=0, vmax=19, aspect="auto", alpha=0.7)
    for (row, column), label in np.ndenumerate(table):
        groups.text(column, row, str(label), ha="center", va="center", color="k")
    groups.set_xticks(range(len(labels)), [f"τ = {tau:g}" for tau in labels])
    groups.set(yticks=place[::3], ylabel="query token", title="Its group: same number, one vector")
    return figure
