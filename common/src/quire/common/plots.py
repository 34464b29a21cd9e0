"""Figures without pyplot: nothing is shown, nothing is global, and matplotlib is imported when the first one is drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # naming the classes would import matplotlib, which listing the claims of a paper does not need
    Axes = Figure = Any

GREY = "#7f8c8d"


def axes(
    columns: int = 1,
    rows: int = 1,
    *,
    width: float = 4.4,
    height: float = 3.2,
    size: tuple[float, float] | None = None,
    frame: Literal["open", "full", "none"] = "open",
    grid: bool = False,
    projection: str | None = None,
    **options: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure and its grid of axes, in the style that all figures share.

    Args:
        columns, rows: of the grid.
        width, height: of one panel, in inches.
        size: of the whole figure, in inches, instead.
        frame: `open` at the top and on the right for curves, `full` or `none` for pictures.
        grid: faint lines behind the curves.
        projection: `3d`, or another one of matplotlib's.
        options: further arguments of `Figure.subplots`: `sharex`, `sharey`, `width_ratios`, ...

    Returns:
        The figure, and its axes `[rows, columns]`.

    Raises:
        ValueError: if there is not at least one column and one row, or the frame has another name.

    >>> figure, ((left, right),) = axes(2, width=3)
    >>> figure.get_size_inches().tolist(), len(figure.axes)
    ([6.0, 3.2], 2)
    """
    from matplotlib.figure import Figure

    if columns < 1 or rows < 1:
        raise ValueError(f"columns is {columns} and rows {rows}; a figure needs at least 1 of each")
    if frame not in ("open", "full", "none"):
        raise ValueError(f"frame is {frame!r}; it must be open, full or none")
    figure = Figure(figsize=size or (width * columns, height * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, subplot_kw={"projection": projection}, **options)
    for each in panels.flat if projection is None else ():
        for side in {"open": ("top", "right"), "full": (), "none": ("top", "right", "bottom", "left")}[frame]:
            each.spines[side].set_visible(False)
        if grid:
            each.grid(alpha=0.25)
        if frame == "none":
            each.set(xticks=[], yticks=[])
    return figure, panels


def log_ticks(axes: Axes, values: Sequence[float], *, base: float = 10) -> None:
    """A logarithmic x axis with a tick at each of the values, and no others.

    Args:
        axes: where.
        values: positive numbers.
        base: of the logarithm.
    """
    axes.set_xscale("log", base=base)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.xaxis.minorticks_off()


def band(axes: Axes, x: Sequence[float] | np.ndarray, curves: Any, **style: Any) -> None:
    """The mean over seeds as a line, and every seed inside a band of the same colour.

    Args:
        axes: where.
        x: `[n]`.
        curves: `[seeds, n]`.
        style: of the line: `color`, `label`, ...

    Raises:
        ValueError: if the shapes do not match.
    """
    curves = np.asarray(curves)
    if curves.ndim != 2 or curves.shape[1] != len(x):
        raise ValueError(f"curves has shape {curves.shape}; with {len(x)} points on the x axis it must be [seeds, {len(x)}]")
    (line,) = axes.plot(x, curves.mean(axis=0), **style)
    axes.fill_between(x, curves.min(axis=0), curves.max(axis=0), color=line.get_color(), alpha=0.2, lw=0)


def seed_bars(axes: Axes, values: Mapping[str, Any], colours: Mapping[str, str], *, default: str = GREY) -> None:
    """Every seed of every method as a point, the mean as a bar.

    Args:
        axes: where.
        values: numbers `[seeds]`, or one number, by method; the methods become the ticks.
        colours: by method.
        default: of the methods without a colour.
    """
    for place, (name, numbers) in enumerate(values.items()):
        numbers, colour = np.atleast_1d(np.asarray(numbers)), colours.get(name, default)
        axes.bar(place, numbers.mean(), color=colour, alpha=0.4, width=0.7)
        axes.plot(place + np.linspace(-0.15, 0.15, len(numbers)), numbers, "o", color=colour, ms=5)
    axes.set_xticks(range(len(values)), list(values))


def level(axes: Axes, value: float, name: str, **style: Any) -> None:
    """A horizontal line with its name above the right end: chance, a trivial baseline.

    Args:
        axes: where.
        value: height of the line.
        name: what it is.
        style: of the line.
    """
    axes.axhline(value, **{"color": GREY, "ls": "--", "lw": 1} | style)  # ty: ignore[invalid-argument-type]  # of several types
    where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
    axes.annotate(name, (1, value), (-2, 3), fontsize="small", **where)


def smooth(values: Any, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over a moving window of a training curve, and the step at which each window ends.

    Args:
        values: `[n]`.
        window: numbers in a mean; a shorter curve gets one mean of all it has.

    Returns:
        Steps and means `[max(1, n - window + 1)]`.

    Raises:
        ValueError: if there is no value, or the window is shorter than 1.

    >>> steps, means = smooth([4.0, 2.0, 3.0], 2)
    >>> steps.tolist(), means.tolist()
    ([2, 3], [3.0, 2.5])
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or values.size == 0 or window < 1:
        raise ValueError(f"values has shape {values.shape} and window is {window}; it needs numbers [n] and at least 1")
    window = min(window, values.size)
    means = np.convolve(values, np.ones(window) / window, "valid")
    return np.arange(len(means)) + window, means
