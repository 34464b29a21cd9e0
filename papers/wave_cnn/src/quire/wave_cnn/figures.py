"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quire.common import plots
from quire.common.plots import Figure
from quire.wave_cnn.one_layer import LayerCost
from quire.wave_cnn.waves import Waves

COLOURS = {
    "classical": "#34495e",
    "one-way": "#c0392b",
    "shared one-way": "#e67e22",
    "classical, compressed after training": "#2980b9",
    "linear ridge": "#27ae60",
    "mean field": plots.GREY,
    "POD + MLP": "#c0392b",
}
PANELS: dict[str, Any] = {"width": 1.75, "height": 1.8, "frame": "none"}


def _picture(panel, values, highest, waves: Waves | None = None, *, zone: bool = False):
    """Displacement with x to the right and y upwards, blue below zero and red above."""
    first, size = waves.zone if waves else (0, len(values))
    h = 1 / waves.elements if waves else 1.0
    low, high = (first * h, (first + size - 1) * h) if zone else (0.0, 1.0)
    step = h / 2
    extent = (low - step, high + step, low - step, high + step)
    return panel.imshow(values.T, origin="lower", cmap="RdBu_r", vmin=-highest, vmax=highest, extent=extent)


def wave_over_time(history: np.ndarray, waves: Waves, steps: Sequence[int]) -> Figure:
    """The whole square above, the zone below, at these steps.

    Args:
        history: `[times, nodes, nodes]` of one simulation.
        waves: its law.
        steps: which times.
    """
    from matplotlib.patches import Rectangle

    figure, panels = plots.axes(len(steps), 2, **PANELS)
    highest = np.abs(history).max() / 2
    first, size = waves.zone
    h = 1 / waves.elements
    for k, step in enumerate(steps):
        image = _picture(panels[0, k], history[step], highest, waves)
        panels[0, k].add_patch(Rectangle((first * h, first * h), (size - 1) * h, (size - 1) * h, fill=False, lw=1.2))
        panels[0, k].set_title(f"t = {step * waves.dt:.2f}", fontsize="medium")
        _picture(panels[1, k], history[step][waves.inside()], highest, waves, zone=True)
    for row, name in enumerate(("whole square", "zone")):
        panels[row, 0].set_ylabel(name)
    figure.colorbar(image, ax=panels, label="displacement", shrink=0.7)
    return figure


def forecasts(run: Mapping[str, Any], waves: Waves, example: int = 0, columns: int = 4) -> Figure:
    """One test field of the zone: the truth, forecasts and their errors, on one scale of colours."""
    truth = run["test"][example]
    rows = {"truth": truth}
    for name in ("classical", "one-way"):
        rows |= {name: run["predicted"][name][example], f"error, {name}": run["predicted"][name][example] - truth}
    times = np.linspace(0, len(truth) - 1, columns).round().astype(int)
    figure, panels = plots.axes(columns, len(rows), **PANELS)
    highest = np.abs(truth).max() / 2  # of the pulse; what comes later is lower
    for row, (name, values) in enumerate(rows.items()):
        panels[row, 0].set_ylabel(name)
        for column, t in enumerate(times):
            image = _picture(panels[row, column], values[t], highest, waves, zone=True)
            if row == 0:
                panels[row, column].set_title(f"t = {t * waves.every * waves.dt:.2f}", fontsize="medium")
    figure.colorbar(image, ax=panels, label="displacement", shrink=0.6)
    return figure


def against_samples(run: Mapping[str, Any], samples: Sequence[int]) -> Figure:
    """Test and training errors of one seed by number of training fields."""
    figure, ((panel,),) = plots.axes(width=6.2, height=3.4)
    for name in ("classical", "one-way"):
        errors = run["errors"][name]
        panel.plot(samples, errors[:, 1], "o-", color=COLOURS[name], label=f"{name}, test")
        panel.plot(samples, errors[:, 0], "o--", mfc="white", color=COLOURS[name], label=f"{name}, training")
    for name in ("linear ridge", "mean field"):
        panel.plot(samples, run["baselines"][name], "s:", color=COLOURS[name], label=f"{name}, test")
    plots.log_ticks(panel, samples, base=2)
    panel.set(xlabel="training fields", ylabel="relative L2 error", ylim=(0, None))
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def size_against_error(points: Mapping[str, Sequence[tuple[int, float, str]]], levels: Mapping[str, float]) -> Figure:
    """Parameters and test errors.

    Args:
        points: `(parameters, error, note)` by kind of network; an empty note for none.
        levels: errors of what has no parameters to compare, by name.
    """
    figure, ((panel,),) = plots.axes(width=6.6, height=3.8)
    for name, found in points.items():
        numbers = np.array([(count, error) for count, error, _ in found])
        style = "o-" if len(found) > 1 and "after" in name else "o"
        panel.plot(numbers[:, 0], numbers[:, 1], style, color=COLOURS[name], label=name, ms=6)
        for count, error, note in found:
            panel.annotate(note, (count, error), (5, 5), textcoords="offset points", fontsize="x-small")
    for name, value in levels.items():
        plots.level(panel, value, name)
    panel.set(xscale="log", xlabel="parameters", ylabel="relative L2 error of test fields", ylim=(0, None))
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def convergence(meshes: Sequence[int], errors: Sequence[float], frequencies: Sequence[float]) -> Figure:
    """Error of a standing wave and of a frequency against the mesh, log-log, beside second order."""
    figure, ((panel,),) = plots.axes(width=5, height=3.2)
    n = np.asarray(meshes, float)
    panel.plot(n, errors, "o-", color="#c0392b", label="standing wave at t = 1, largest error")
    panel.plot(n, frequencies, "s-", color="#2980b9", label="frequency of mode (1, 1), relative error")
    panel.plot(n, errors[0] * (n[0] / n) ** 2, "--", color=plots.GREY, label="$n^{-2}$")
    panel.set(yscale="log", xlabel="elements along a side", ylabel="error")
    plots.log_ticks(panel, meshes, base=2)
    panel.legend(frameon=False, fontsize="small")
    return figure


def layer_times(costs: Mapping[str, LayerCost]) -> Figure:
    """Milliseconds and multiplications of one layer, by form."""
    figure, ((left, right),) = plots.axes(2, width=3.8, height=2.8, sharey=True)
    for panel, values, label in (
        (left, [c.fastest for c in costs.values()], "least time (ms)"),
        (right, [c.macs / 1e6 for c in costs.values()], "multiplications (millions)"),
    ):
        bars = panel.barh(list(costs), values, color=[plots.GREY, plots.GREY, COLOURS["one-way"], COLOURS["shared one-way"]])
        panel.bar_label(bars, fmt="%.3g", padding=3, fontsize="small")
        panel.set(xlabel=label, xlim=(0, 1.2 * max(values)))
    left.invert_yaxis()
    return figure


def rim_and_zone(run: Mapping[str, Any], waves: Waves, example: int = 0) -> Figure:
    """One test simulation: histories of nodes on the rim, and the zone at two times beside the truth."""
    truth, best = run["rims"]["true rim"][example], run["rims"]["POD + MLP"][example]
    size = waves.zone[1]
    zone = [x[example].reshape(-1, size, size) for x in (run["zones"], run["inside"]["POD + MLP"])]
    figure = plots.axes(1, size=(9.6, 6.4))[0]
    figure.clear()
    grid = figure.add_gridspec(3, 4)
    t = np.arange(len(truth)) * waves.dt
    panel = figure.add_subplot(grid[:, :2])
    shift = 1.2 * np.abs(truth).max()
    for k, node in enumerate(np.linspace(0, truth.shape[1] - 1, 6).round().astype(int)):
        panel.plot(t, truth[:, node] + k * shift, color="#34495e", lw=1.6, label="truth" if k == 0 else None)
        panel.plot(t, best[:, node] + k * shift, "--", color=COLOURS["POD + MLP"], lw=1.4, label="POD + MLP" if k == 0 else None)
    panel.set(xlabel="time", ylabel="displacement of six nodes of the rim, one above the other", yticks=[])
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize="small", loc="upper right", ncols=2)
    highest = np.abs(zone[0]).max() / 2
    steps = [len(t) // 3, 2 * len(t) // 3]
    for column, step in enumerate(steps):
        for row, (name, values) in enumerate({"truth": zone[0], "submodel": zone[1], "error": zone[1] - zone[0]}.items()):
            panel = figure.add_subplot(grid[row, 2 + column])
            image = _picture(panel, values[step], highest, waves, zone=True)
            panel.set(xticks=[], yticks=[])
            if row == 0:
                panel.set_title(f"t = {t[step]:.2f}", fontsize="medium")
            if column == 0:
                panel.set_ylabel(name)
    figure.colorbar(image, ax=figure.axes[1:], label="displacement", shrink=0.7)
    return figure
