"""Figures: their grid and frame, log ticks, bands and levels; no pyplot."""

import io
import subprocess
import sys

import numpy as np
import pytest

from quire.common import plots


def test_the_grid_has_the_size_and_the_frame_asked_for():
    figure, panels = plots.axes(3, 2, width=2, height=1.5, sharex=True)
    assert panels.shape == (2, 3)
    assert figure.get_size_inches().tolist() == [6, 3]
    assert [panels[0, 0].spines[side].get_visible() for side in ("top", "right", "left", "bottom")] == [False, False, True, True]
    _, ((picture,),) = plots.axes(frame="none")
    assert not any(spine.get_visible() for spine in picture.spines.values())
    assert len(picture.get_xticks()) == 0
    _, ((solid,),) = plots.axes(projection="3d")
    assert solid.name == "3d"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"columns": 0}, "columns is 0"), ({"rows": -1}, "rows -1"), ({"frame": "half"}, "must be open, full or none")],
)
def test_a_grid_that_cannot_be_is_refused(arguments, message, as_installed):
    with pytest.raises(ValueError, match=message):
        plots.axes(**arguments)


def test_ticks_stand_at_the_values_only():
    figure, ((axes,),) = plots.axes()
    axes.loglog([3, 12, 48], [1, 2, 4])
    plots.log_ticks(axes, [3, 12, 48], base=2)
    figure.savefig(io.BytesIO())
    assert [label.get_text() for label in axes.get_xticklabels()] == ["3", "12", "48"]
    assert len(axes.get_xticks(minor=True)) == 0


def test_a_band_holds_every_seed():
    _, ((axes,),) = plots.axes()
    plots.band(axes, [0, 1], [[1.0, 5.0], [3.0, 5.0]], color="C3")
    assert axes.lines[0].get_ydata().tolist() == [2, 5]
    corners = axes.collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (1, 5)
    with pytest.raises(ValueError, match=r"must be \[seeds, 2\]"):
        plots.band(axes, [0, 1], [1.0, 2.0])


def test_seeds_are_points_on_a_bar_and_a_level_has_its_name():
    _, ((axes,),) = plots.axes()
    plots.seed_bars(axes, {"ours": [0.1, 0.3], "theirs": 0.4}, {"ours": "C3"})
    plots.level(axes, 0.25, "chance")
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.2, 0.4])
    assert axes.lines[0].get_ydata().tolist() == [0.1, 0.3]
    assert axes.texts[0].get_text() == "chance"


def test_a_moving_mean_says_where_its_windows_end():
    steps, means = plots.smooth(np.arange(5), 3)
    assert (steps.tolist(), means.tolist()) == ([3, 4, 5], pytest.approx([1, 2, 3]))
    assert [part.tolist() for part in plots.smooth([1, 2], 15)] == [[2], [1.5]]
    assert np.isnan(plots.smooth([1, np.nan, 1], 2)[1]).all()
    for values, window in (([], 3), ([1, 2], 0), ([[1, 2]], 1)):
        with pytest.raises(ValueError, match="at least 1"):
            plots.smooth(values, window)


def test_matplotlib_comes_with_the_first_figure_and_pyplot_never():
    code = """
import sys
from quire.common import plots
assert "matplotlib" not in sys.modules
plots.axes()
assert "matplotlib.figure" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
