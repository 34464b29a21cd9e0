"""Presets: networks, points, time steps and inner solvers of every experiment. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.common.pde.minimise import Adam, LevenbergMarquardt, Solver

Solvers = tuple[Solver, ...]
Precision = Literal["float32", "float64"]

PAPER_ADAM = Adam(steps=20_000, learning_rate=1e-4)
"""The authors' inner solver: Adam until its learning rate has fallen to 1e-8 on plateaus."""


@dataclass(frozen=True)
class AdvectionRun:
    """A bump carried along a line.

    Attributes:
        hidden, num_hidden_layers: of the network.
        num_points: collocation points.
        steps: time steps of 0.05.
        fit: solvers of the initial condition.
        inner: solvers of a time step.
        stratify: one point in each cell of a regular partition instead of independent points.
        extrapolate: offer `2 theta_n - theta_(n-1)` as a warm start.
        precision: of the networks.
    """

    hidden: int
    num_hidden_layers: int
    num_points: int
    steps: int
    fit: Solvers
    inner: Solvers
    stratify: bool = True
    extrapolate: bool = True
    precision: Precision = "float64"


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        advection: for C1.
    """

    advection: AdvectionRun


QUICK = Preset(
    advection=AdvectionRun(
        hidden=12,
        num_hidden_layers=2,
        num_points=600,
        steps=40,
        fit=(Adam(1500, 3e-3, None), LevenbergMarquardt(200, 1e-3, tolerance=1e-10)),
        inner=(LevenbergMarquardt(8, 1e-5, floor=1e-8),),
    ),
)
"""A laptop: 349 floats, Levenberg-Marquardt inside every time step."""

STANDARD = replace(QUICK, advection=replace(QUICK.advection, steps=240))
"""One GPU, minutes."""

PAPER = Preset(
    advection=AdvectionRun(
        hidden=20,
        num_hidden_layers=2,
        num_points=5000,
        steps=240,
        fit=(PAPER_ADAM,),
        inner=(PAPER_ADAM,),
        stratify=False,
        extrapolate=False,
        precision="float32",
    ),
)
"""The authors' sizes and inner solver."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
