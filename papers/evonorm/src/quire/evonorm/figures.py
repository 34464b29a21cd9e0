"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from quire.common import plots
from quire.common.plots import Axes, Figure
from quire.common.train.evolution import pareto_mask
from quire.evonorm.graph import INITIAL, Graph
from quire.evonorm.layers import evonorm_b, evonorm_s
from quire.evonorm.search import History

COLOURS = {"BN-ReLU": "#7f8c8d", "GN-ReLU": "#b3a27a", "EvoNorm-B0": "#c0392b", "EvoNorm-S0": "#2471a3"}


def shape_figure() -> Figure:
    """Output against input for one value while the statistics stay: B0 for several spreads of its sample, S0 for several v."""
    figure, (panels,) = plots.axes(2, width=4.6, height=3.4, grid=True)
    values = np.linspace(-4, 4, 161, dtype=np.float32)
    for spread, style in ((0.25, ":"), (1.0, "-"), (2.0, "--")):
        panels[0].plot(
            values,
            values / np.maximum(1, values + spread),
            style,
            color=COLOURS["EvoNorm-B0"],
            label=f"std of the sample {spread:g}",
        )
    panels[0].plot(values, np.maximum(values, 0), color=COLOURS["BN-ReLU"], lw=1, label="BN-ReLU")
    for v, style in ((0.5, ":"), (1.0, "-"), (4.0, "--")):
        panels[1].plot(values, values / (1 + np.exp(-v * values)), style, color=COLOURS["EvoNorm-S0"], label=f"v = {v:g}")
    panels[1].plot(values, np.maximum(values, 0), color=COLOURS["GN-ReLU"], lw=1, label="GN-ReLU")
    panels[0].set(title="EvoNorm-B0, v = 1, std of the batch 1", ylabel="output")
    panels[1].set(title="EvoNorm-S0, std of the group 1", ylabel="output")
    for panel in panels:
        panel.set(xlabel="input x", ylim=(-4.2, 4.2))
        panel.legend(frameon=False, loc="upper left", fontsize="small")
    return figure


def response_figure(x: np.ndarray, groups: int) -> Figure:
    """What B0 and S0 make of real numbers: outputs against inputs `[batch, h, w, channels]`, and the lines of BN-ReLU."""
    ones = jnp.ones(x.shape[-1])
    variance = jnp.asarray(x.var((0, 1, 2)))
    outputs = {
        "EvoNorm-B0": evonorm_b(jnp.asarray(x), variance, ones, 0 * ones, ones),
        "EvoNorm-S0": evonorm_s(jnp.asarray(x), ones, 0 * ones, ones, groups=groups),
    }
    figure, (panels,) = plots.axes(2, width=4.6, height=3.2, grid=True, sharey=True)
    for panel, (name, y) in zip(panels, outputs.items(), strict=True):
        panel.scatter(x.ravel(), np.asarray(y).ravel(), s=3, alpha=0.3, color=COLOURS[name], linewidths=0)
        panel.set(title=name, xlabel="input")
    panels[0].set_ylabel("output")
    return figure


SYMBOLS = {"add": "+", "mul": "×", "div": "÷", "neg": "−", "sigmoid": "σ"}


def graph_figure(graphs: Mapping[str, Graph]) -> Figure:
    """Layers as graphs, inputs at the bottom, the output at the top; of a division, the left line comes from the dividend."""
    figure, (panels,) = plots.axes(len(graphs), width=3.3, height=4.4, frame="none")
    for panel, (name, graph) in zip(panels, graphs.items(), strict=True):
        draw_graph(panel, graph.simplify())
        panel.set_title(name)
    return figure


def draw_graph(axes: Axes, graph: Graph) -> None:
    """One graph in layers of depth; first inputs left of second ones where that costs no crossing."""
    first = len(INITIAL)
    depth = {node: 0 for node in graph.live if node < first}
    for node in range(first, first + len(graph)):
        depth[node] = 1 + max(depth[i] for i in graph.row(node)[1])
    place = _places(graph, depth)
    for node in range(first, first + len(graph)):
        inputs = graph.row(node)[1]
        for order, source in enumerate(inputs):
            bend = 0.15 if len(inputs) == 2 and inputs[0] == inputs[1] else 0.0
            style = {
                "arrowstyle": "-|>",
                "color": "0.5",
                "shrinkA": 13,
                "shrinkB": 13,
                "connectionstyle": f"arc3,rad={(2 * order - 1) * bend}",
            }
            axes.annotate("", place[node], place[source], arrowprops=style)
    for node, where in place.items():
        text = INITIAL[node] if node < first else SYMBOLS.get(graph.row(node)[0], graph.row(node)[0].replace("_", "\n"))
        colour = "#f6e3b4" if node < first else "#d6e6f2" if "\n" in text else "white"
        box = {"boxstyle": "circle,pad=0.35" if len(text) < 4 else "round,pad=0.3", "fc": colour, "ec": "0.4"}
        axes.text(*where, text, ha="center", va="center", fontsize=9, bbox=box)
    xs, ys = np.array(list(place.values())).T
    axes.set(xlim=(xs.min() - 0.7, xs.max() + 0.7), ylim=(ys.min() - 0.6, ys.max() + 0.6))


def _places(graph: Graph, depth: Mapping[int, int]) -> dict[int, tuple[float, float]]:
    """Every node at its depth; from the output down, in the order in which a walk through inputs meets them."""
    last = len(INITIAL) + len(graph) - 1
    order, waiting = [], [last]
    while waiting:
        node = waiting.pop(0)
        if node not in order:
            order.append(node)
            waiting += graph.row(node)[1] if node >= len(INITIAL) else ()
    rows: dict[int, list[int]] = {}
    for node in order:
        rows.setdefault(depth[node], []).append(node)
    place = {}
    for level, nodes in rows.items():
        for i, node in enumerate(nodes):
            shift = 0.3 if level % 2 and len(nodes) == 1 and level != depth[last] else 0.0
            place[node] = (i - (len(nodes) - 1) / 2 + shift, float(level))
    return place


def worker_figure(accuracy: Mapping[str, float], workers: tuple[int, int], majority: float) -> Figure:
    """Accuracies with statistics of many and of few samples a worker; layers without statistics over samples have one bar."""
    figure, ((axes,),) = plots.axes(width=6.4, height=3.4)
    layers = ("BN-ReLU", "EvoNorm-B0", "EvoNorm-S0", "GN-ReLU")
    for place, layer in enumerate(layers):
        found = [accuracy[f"{layer}, {size} a worker"] for size in workers] if layer not in accuracy else [accuracy[layer]]
        shifts = (-0.2, 0.2) if len(found) == 2 else (0.0,)
        for shift, value, alpha in zip(shifts, found, (0.9, 0.45), strict=False):
            bar = axes.bar(place + shift, value, 0.36, color=COLOURS[layer], alpha=alpha)
            axes.bar_label(bar, fmt="%.1f", padding=2, fontsize="small")
    axes.set_xticks(range(len(layers)), list(layers))
    plots.level(axes, majority, "majority class")
    axes.set(
        ylabel="test accuracy (%)",
        ylim=(0, 108),
        title=f"Dark: {workers[0]} samples a worker, or none needed; pale: {workers[1]}",
    )
    return figure


def search_figure(history: History) -> Figure:
    """Left: every tested layer in order. Right: accuracies of survivors in two architectures, with the Pareto front of all."""
    figure, (panels,) = plots.axes(2, size=(10.0, 3.6), width_ratios=(1.5, 1), grid=True)
    tested = [trial for trial in history.trials if trial.stage != "structure"]
    styles = {"random": ("o", "#7f8c8d"), "mutant": ("s", "#2471a3")}
    for origin, (marker, colour) in styles.items():
        places = [i for i, trial in enumerate(tested) if trial.origin == origin]
        good = [i for i in places if tested[i].scores is not None]
        bad = [i for i in places if tested[i].scores is None]
        panels[0].plot(good, [100 * tested[i].mean_score for i in good], marker, color=colour, label=f"{origin}, survived")
        panels[0].plot(bad, np.zeros(len(bad)), "x", color=colour, ms=4, label=f"{origin}, rejected")
    panels[0].set(xlabel="layers that were tested, in order", ylabel="mean accuracy (%)", title="The search", ylim=(-4, None))
    panels[0].legend(frameon=False, fontsize="small", ncols=2, loc="upper left", bbox_to_anchor=(0, 1))
    panels[0].set_ylim(-4, 1.5 * max(100 * trial.mean_score for trial in history.accepted()))
    _front(panels[1], history, styles)
    return figure


def _front(axes: Axes, history: History, styles: Mapping[str, tuple[str, str]]) -> None:
    accepted, scores = history.accepted(), 100 * history.accepted_scores()
    front = pareto_mask(scores)
    for origin, (marker, colour) in styles.items():
        mine = np.array([trial.origin == origin for trial in accepted])
        axes.plot(*scores[mine][:, :2].T, marker, color=colour, label=origin)
    axes.plot(*scores[front][:, :2].T, "o", ms=12, mfc="none", mec="#c0392b", label="Pareto front of all architectures")
    axes.set(xlabel="accuracy in architecture 1 (%)", ylabel="accuracy in architecture 2 (%)", title="Survivors")
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(0, 1.0))
    axes.set_ylim(None, scores[:, 1].max() + 0.5 * np.ptp(scores[:, 1]) + 5)


def ascent_figure(curves: Mapping[str, Sequence[float]], limit: float) -> Figure:
    """The gradient norm while weights ascend on it, for each layer, and the limit."""
    figure, ((axes,),) = plots.axes(width=6.0, height=3.4, grid=True)
    for i, (name, norms) in enumerate(curves.items()):
        axes.semilogy(np.where(np.isfinite(norms), norms, np.nan), color=f"C{i}", label=name)
    axes.axhline(limit, color="0.3", ls="--", lw=1, label="limit")
    axes.set(xlabel="steps of ascent", ylabel="gradient norm")
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def scene_figure(scenes: np.ndarray, masks: np.ndarray) -> Figure:
    """Scenes `[n, h, w, 1]` above, what every pixel belongs to `[n, h, w]` below, digits written beside their pixels."""
    figure, panels = plots.axes(len(scenes), 2, width=2.0, height=2.0, frame="none")
    for column, (scene, mask) in enumerate(zip(scenes, masks, strict=True)):
        panels[0, column].imshow(scene[..., 0], cmap="gray")
        panels[1, column].imshow(np.where(mask, mask, np.nan), cmap="tab10", vmin=1, vmax=10)
        for label in np.unique(mask[mask > 0]):
            rows, columns = np.nonzero(mask == label)
            box = {"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1.5}
            panels[1, column].text(columns.mean(), rows.mean(), str(label - 1), ha="center", va="center", bbox=box)
    return figure
