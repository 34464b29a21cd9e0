"""Figures of the claims and of the notebook; matplotlib figures, closed."""

import numpy as np

from quire.common import plots
from quire.common.plots import Figure


def smoothing(x: np.ndarray, y: np.ndarray) -> Figure:
    """Numbers `[n]` and their running mean."""
    figure, ((axes,),) = plots.axes(width=5)
    axes.plot(x, ".", color=plots.GREY, label="numbers")
    axes.plot(y, color="#c0392b", label="running mean")
    axes.set(xlabel="i", ylabel="value")
    axes.legend(frameon=False)
    return figure


def errors(counts: np.ndarray, error: np.ndarray) -> Figure:
    """Error of the mean against the number of numbers, log-log, and the line of slope -1/2 through its start."""
    figure, ((axes,),) = plots.axes(width=5)
    axes.loglog(counts, error, "o-", color="#c0392b", label="mean of n numbers")
    axes.loglog(counts, error[0] / np.sqrt(counts), "--", color=plots.GREY, label="$n^{-1/2}$")
    axes.set(xlabel="numbers n", ylabel="root mean square error")
    axes.legend(frameon=False)
    return figure
