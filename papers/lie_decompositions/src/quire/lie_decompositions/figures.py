"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from quire.common import plots
from quire.common.equivariant.matrix_groups import haar_density_log
from quire.common.plots import Axes, Figure
from quire.lie_decompositions.groups import SL
from quire.lie_decompositions.logarithm import lie_log

COLOURS = {"SL(2)": "#c0392b", "GL+(2)": "#e67e22", "SO(2)": "#8e44ad", "CNN": "#2980b9", "nearest image": plots.GREY}
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 100)), np.sin(np.linspace(0, 2 * np.pi, 100))])


def decomposition(matrices: Sequence[np.ndarray], factors: Sequence[tuple[np.ndarray, np.ndarray]]) -> Figure:
    """What a matrix makes of the unit circle and the axes: first the rotation R, then the stretch exp(X).

    Args:
        matrices: A.
        factors: exp(X) and R of each.
    """
    figure, panels = plots.axes(3, len(matrices), width=2.3, height=2.3, frame="none")
    for row, a, (p, r) in zip(panels, matrices, factors, strict=True):
        steps = (("identity", np.eye(2)), ("R", r), ("A = exp(X) R", a))
        for panel, (name, m) in zip(row, steps, strict=True):
            reach = 1.1 * max(1.0, np.linalg.norm(a, 2))
            panel.plot(*(m @ CIRCLE), color="0.4", lw=1.5)
            for axis, colour in zip(m.T, ("#c0392b", "#2980b9"), strict=True):
                panel.annotate("", axis, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8})
            directions = np.linalg.eigh(p)[1].T
            for direction in directions:
                if name != "identity":
                    panel.plot(*(reach * np.array([-1, 1]) * direction[:, None]), ":", color="0.7", lw=0.8, zorder=0)
            panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            panel.set_title(name, fontsize="small")
    return figure


def where_log_fails(coordinates: Float[np.ndarray, "n 3"], exists: np.ndarray) -> Figure:
    """Matrices of SL(2) in their global coordinates: angle, and size of X; those without a real logarithm in red."""
    angle, size = coordinates[:, 1], np.hypot(coordinates[:, 0], coordinates[:, 2])
    figure, ((panel,),) = plots.axes(width=6.2, height=3.4)
    for chosen, colour, name in ((exists, "#2980b9", "log A exists"), (~exists, "#c0392b", "no real log A")):
        panel.plot(angle[chosen][:3000], size[chosen][:3000], ".", ms=2, color=colour, label=name)
    line = np.linspace(np.pi / 2 + 0.01, 3 * np.pi / 2 - 0.01, 200)
    panel.plot(line, np.sqrt(2) * np.arccosh(1 / np.abs(np.cos(line))), color="0.2", lw=1, label="trace = -2")
    panel.set(xlabel="angle of R (radians)", ylabel="|X|", ylim=(0, 4), xlim=(0, 2 * np.pi))
    panel.set_xticks(np.arange(5) * np.pi / 2, ["0", "π/2", "π", "3π/2", "2π"])
    panel.legend(frameon=True, loc="upper right", markerscale=5, fontsize="small")
    return figure


def along_a_path(path: Float[np.ndarray, "n 2 2"], times: np.ndarray) -> Figure:
    """Coordinates of a path through SL(2): by the decomposition, and by the logarithm where there is one."""
    group = SL(2)
    by_factors = np.asarray(group.xi_inv(jnp.asarray(path, jnp.float32)))
    by_log = np.asarray(group.vee(lie_log(jnp.asarray(path, jnp.float32))))
    by_log = by_log * np.array([1, 2**-0.5, 1])  # angles in radians
    figure, ((left, right),) = plots.axes(2, width=3.8, height=2.9, sharey=True)
    names = ("X off the diagonal", "angle", "X on the diagonal")
    for panel, values, title in ((left, by_factors, "log P and log R"), (right, by_log, "log A")):
        for k, (name, colour) in enumerate(zip(names, ("#27ae60", "#2980b9", "#c0392b"), strict=True)):
            panel.plot(times, values[:, k], color=colour, label=name)
        panel.set(xlabel="t", title=title)
    missing = np.isnan(by_log).any(1)
    if missing.any():
        right.axvspan(times[missing].min(), times[missing].max(), color="#c0392b", alpha=0.12, lw=0)
        middle = times[missing].mean()
        right.text(middle, 1.2, "no real\nlogarithm", ha="center", va="center", fontsize="small", color="#c0392b")
    left.set(ylabel="coordinate")
    left.legend(frameon=False, fontsize="small")
    return figure


def density(variances: Sequence[float] = (0.1, 0.5, 2.0), reach: float = 6.0) -> Figure:
    """The invariant measure of SSPD(2) in the plane of X, by |X|, and how normal draws of some variances must be weighted."""
    radius = np.linspace(0, reach, 200)
    x = np.zeros((200, 2, 2))
    x[:, 0, 0], x[:, 1, 1] = radius / np.sqrt(2), -radius / np.sqrt(2)
    haar = np.asarray(haar_density_log(jnp.asarray(x, jnp.float32)))
    figure, ((left, right),) = plots.axes(2, width=3.8, height=2.9)
    left.semilogy(radius, haar, color="#c0392b", label="invariant measure")
    for variance, shade in zip(variances, ("0.65", "0.4", "0.1"), strict=True):
        proposal = np.exp(-(radius**2) / (2 * variance)) / (2 * np.pi * variance)
        left.semilogy(radius, proposal, color=shade, label=f"draws, variance {variance:g}")
        right.semilogy(radius, haar / proposal, color=shade, label=f"variance {variance:g}")
    left.set(xlabel="|X|, X = log S", ylabel="density", ylim=(1e-4, 1e2))
    right.set(xlabel="|X|, X = log S", ylabel="weight", ylim=(1e-1, 1e6))
    for panel in (left, right):
        panel.legend(frameon=False, fontsize="small")
    return figure


def invariance(found: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Means of f(BA) - f(A) in standard errors, with and without weights."""
    figure, ((panel,),) = plots.axes(width=6, height=3)
    labels, place = [], 0
    for group, each in found.items():
        for number, (weighted, bare) in enumerate(zip(each["weighted"], each["no weights"], strict=True), start=1):
            panel.plot([abs(bare)], [place], "o", color=plots.GREY, label="no weights" if not place else None)
            panel.plot([max(abs(weighted), 1e-2)], [place], "o", color="#c0392b", label="Haar weights" if not place else None)
            labels.append(f"{group}, B{number}")
            place += 1
    panel.axvline(4, color="0.5", lw=1, ls="--")
    panel.set_xscale("log")
    panel.set_yticks(range(place), labels)
    panel.set(xlabel="|mean of f(BA) - f(A)| in standard errors (dashed: 4)", ylim=(place - 0.5, -0.5))
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def kernels(values: Float[np.ndarray, "j size size"], g: Float[np.ndarray, "j 2 2"]) -> Figure:
    """One kernel as it is moved by every sample, and below what the sample makes of a circle and of the axes, y down."""
    figure, panels = plots.axes(len(values), 2, width=1.35, height=1.4, frame="none")
    limit = np.abs(values).max()
    for column, (kernel, element) in enumerate(zip(values, g, strict=True)):
        panels[0, column].imshow(kernel, cmap="RdBu_r", vmin=-limit, vmax=limit)
        _element(panels[1, column], element, 1.1 * max(float(np.linalg.norm(m, 2)) for m in g))
    panels[0, 0].set_ylabel("kernel")
    panels[1, 0].set_ylabel("element")
    return figure


def _element(panel: Axes, element: np.ndarray, reach: float) -> None:
    panel.plot(*(element @ CIRCLE), color="0.4", lw=1)
    for axis, colour in zip(element.T, ("#c0392b", "#2980b9"), strict=True):
        panel.plot([0, axis[0]], [0, axis[1]], color=colour, lw=1.8)
    panel.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")


def lifted(images: Sequence[np.ndarray], maps: Sequence[Float[np.ndarray, "h w j"]]) -> Figure:
    """Images, and one channel of their lifts on all samples, less its value on the ground.

    Args:
        images: `[h, w]`.
        maps: of each image.
    """
    count = maps[0].shape[-1]
    figure, panels = plots.axes(1 + count, len(images), width=1.35, height=1.4, frame="none")
    maps = [m - m[:1, :1] for m in maps]
    limit = max(np.abs(m).max() for m in maps)
    for row, image, channel in zip(panels, images, maps, strict=True):
        row[0].imshow(image, cmap="grey")
        for j, panel in enumerate(row[1:]):
            panel.imshow(channel[..., j], cmap="RdBu_r", vmin=-limit, vmax=limit)
    panels[0, 0].set_title("image", fontsize="small")
    for j, panel in enumerate(panels[0, 1:], start=1):
        panel.set_title(f"on $g_{{{j}}}$", fontsize="small")
    return figure


def error_over_resolution(sides: Sequence[int], errors: np.ndarray, alone: np.ndarray) -> Figure:
    """Relative error of equivariance against pixels, and that of a lift whose samples stay where they are."""
    figure, ((panel,),) = plots.axes(width=4.8, height=3.1, grid=True)
    panel.plot(sides, alone, "o--", color=plots.GREY, label="samples left alone")
    panel.plot(sides, errors, "o-", color=COLOURS["GL+(2)"], label="samples moved with the image")
    panel.plot(sides, errors[-1] * (sides[-1] / np.asarray(sides)) ** 2, ":", color="0.3", label="slope -2")
    panel.set_yscale("log")
    plots.log_ticks(panel, sides, base=2)
    panel.set(xlabel="pixels a side", ylabel="relative error")
    panel.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def samples(rows: Mapping[str, Float[np.ndarray, "n h w 1"]], count: int = 10) -> Figure:
    """Digits at rest and moved, one kind a row."""
    figure, panels = plots.axes(count, len(rows), width=0.95, height=1.0, frame="none")
    for row, (name, images) in zip(panels, rows.items(), strict=True):
        for panel, image in zip(row, images, strict=False):
            panel.imshow(image[..., 0], cmap="grey", vmin=-1, vmax=1)
        row[0].set_ylabel(name, fontsize="small")
    return figure


def accuracies(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Accuracy by network and test set."""
    figure, ((panel,),) = plots.axes(width=6.4, height=3.2)
    tests = ("at rest", "affine", "homography")
    found = {name: found[name] for name in COLOURS if name in found}
    width = 0.8 / len(found)
    for place, (name, each) in enumerate(found.items()):
        x = np.arange(len(tests)) + (place - (len(found) - 1) / 2) * width
        values = [float(np.mean(each[test])) for test in tests]
        panel.bar(x, values, 0.9 * width, color=COLOURS[name], label=name)
        for where, value in zip(x, values, strict=True):
            panel.text(where, value + 1, f"{value:.0f}", ha="center", fontsize="small")
    panel.set_xticks(range(len(tests)), tests)
    panel.set(ylabel="accuracy (%)", ylim=(0, 105), xlabel="test digits")
    panel.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def losses(curves: Mapping[str, np.ndarray], window: int = 20) -> Figure:
    """Training curves, means over a window."""
    figure, ((panel,),) = plots.axes(width=5, height=2.8)
    for name in (name for name in COLOURS if name in curves):
        values = curves[name]
        steps, means = plots.smooth(np.asarray(values).ravel(), window)
        panel.plot(steps, means, color=COLOURS[name], label=name)
    panel.set(xlabel="step", ylabel="cross-entropy", yscale="log")
    panel.legend(frameon=False)
    return figure
