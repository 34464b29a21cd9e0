"""Presets: networks, points, time steps and inner solvers of every experiment. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace

from quire.common.checks import check_at_least
from quire.common.pde.minimise import Adam, LevenbergMarquardt, Solver
from quire.common.pde.precision import Precision
from quire.insr_pde import solids_config
from quire.insr_pde.solids_config import Solids

Solvers = tuple[Solver, ...]

PAPER_ADAM = Adam(steps=20_000, learning_rate=1e-4)
"""The authors' inner solver: Adam until its learning rate has fallen to 1e-8 on plateaus."""


def accelerated(steps: int, tolerance: float = 0.0) -> LevenbergMarquardt:
    """Levenberg-Marquardt with geodesic acceleration, as the first fits and the fluid use it."""
    return LevenbergMarquardt(steps, 1e-3, tolerance=tolerance, accelerate=True)


@dataclass(frozen=True)
class Network:
    """Sizes of the sine networks of an experiment, and how their first fit starts.

    Attributes:
        hidden, num_hidden_layers: width, and layers between the first and the output layer.
        restarts: new networks that the first solver of a fit tries.

    Raises:
        ValueError: for a number below 1, or a negative number of layers.
    """

    hidden: int = 12
    num_hidden_layers: int = 2
    restarts: int = 1

    def __post_init__(self):
        check_at_least("hidden", self.hidden)
        check_at_least("num_hidden_layers", self.num_hidden_layers, 0)
        check_at_least("restarts", self.restarts)


@dataclass(frozen=True)
class AdvectionRun:
    """A bump carried along a line, for C1.

    Attributes:
        network: its sizes.
        num_points: collocation points.
        steps: time steps of 0.05.
        fit: solvers of the initial condition.
        inner: solvers of a time step.
        pinn: solvers of a network over space and time beside them, left out if empty; `pinn_points`, its points in space and
            in time.
        stratify: one point in each cell of a regular partition instead of independent points.
        extrapolate: offer `2 theta_n - theta_(n-1)` as a warm start.
        precision: of the networks.
    """

    network: Network
    num_points: int
    steps: int
    fit: Solvers
    inner: Solvers
    pinn: Solvers
    pinn_points: tuple[int, int]
    stratify: bool = True
    extrapolate: bool = True
    precision: Precision = "float64"


@dataclass(frozen=True)
class FluidRun:
    """A Taylor-Green vortex in a box, for C2.

    Attributes:
        network: sizes of velocity and pressure.
        resolution: collocation points along each side; `side_points` per pair of sides, 1 % of all points if None.
        steps: time steps of 0.05.
        fit: solvers of the initial velocity.
        advect, pressure, project: solvers of the sub-problems.
        stop_early: see `EulerFluid`.
        share_features: the first pressure starts on the hidden layers of the velocity, not as a new network.
        stratify, extrapolate, precision: as for `AdvectionRun`.
    """

    network: Network
    resolution: int
    side_points: int | None
    steps: int
    fit: Solvers
    advect: Solvers
    pressure: Solvers
    project: Solvers
    stop_early: float
    share_features: bool = True
    stratify: bool = True
    extrapolate: bool = True
    precision: Precision = "float64"


@dataclass(frozen=True)
class TwoScales:
    """One network for vortices of two sizes, for C3.

    Attributes:
        network: its sizes.
        resolution: points along each side.
        fit: solvers.
        stratify, precision: as for `AdvectionRun`.
    """

    network: Network
    resolution: int
    fit: Solvers
    stratify: bool = True
    precision: Precision = "float64"


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        advection: for C1.
        fluid: for C2.
        two_scales: for C3.
        solids: for C4 and C5.
    """

    advection: AdvectionRun
    fluid: FluidRun
    two_scales: TwoScales
    solids: Solids


QUICK = Preset(
    advection=AdvectionRun(
        network=Network(restarts=4),
        num_points=600,
        steps=40,
        fit=(Adam(300, 3e-3, None), accelerated(100, 1e-10)),
        inner=(LevenbergMarquardt(6, 1e-5, floor=1e-8),),
        pinn=(),
        pinn_points=(48, 20),
    ),
    fluid=FluidRun(
        network=Network(restarts=4),
        resolution=28,
        side_points=56,
        steps=3,
        fit=(Adam(300, 3e-3, None), accelerated(60, 1e-9)),
        advect=(accelerated(100, 1e-7),),
        pressure=(accelerated(60),),
        project=(accelerated(100, 1e-7),),
        stop_early=0.3,
    ),
    two_scales=TwoScales(
        network=Network(restarts=2),
        resolution=40,
        fit=(Adam(400, 3e-3, None), accelerated(20)),
        precision="float32",
    ),
    solids=solids_config.QUICK,
)
"""A laptop: 349 to 374 floats a field, Levenberg-Marquardt inside every time step."""

STANDARD = Preset(
    advection=replace(
        QUICK.advection,
        network=Network(16, 2, restarts=8),
        num_points=1200,
        steps=240,
        inner=(LevenbergMarquardt(20, 1e-5, floor=1e-8),),
        pinn=(Adam(1000, 3e-3, None), accelerated(100)),
        pinn_points=(128, 64),
    ),
    fluid=replace(
        QUICK.fluid,
        network=Network(16, 2, restarts=8),
        resolution=40,
        side_points=80,
        steps=100,
    ),
    two_scales=replace(
        QUICK.two_scales,
        network=Network(16, 2, restarts=8),
        resolution=64,
        fit=(Adam(1000, 3e-3, None), accelerated(100)),
        precision="float64",
    ),
    solids=solids_config.STANDARD,
)
"""One GPU, minutes: the paper's numbers of time steps with Levenberg-Marquardt."""

PAPER = Preset(
    advection=AdvectionRun(
        network=Network(20, 2),
        num_points=5000,
        steps=240,
        fit=(PAPER_ADAM,),
        inner=(PAPER_ADAM,),
        pinn=(PAPER_ADAM,),
        pinn_points=(100, 50),
        stratify=False,
        extrapolate=False,
        precision="float32",
    ),
    fluid=FluidRun(
        network=Network(32, 3),
        resolution=128,
        side_points=None,
        steps=100,
        fit=(PAPER_ADAM,),
        advect=(PAPER_ADAM,),
        pressure=(PAPER_ADAM,),
        project=(PAPER_ADAM,),
        stop_early=0.0,
        share_features=False,
        stratify=False,
        extrapolate=False,
        precision="float32",
    ),
    two_scales=TwoScales(
        network=Network(32, 3),
        resolution=128,
        fit=(PAPER_ADAM,),
        stratify=False,
        precision="float32",
    ),
    solids=solids_config.PAPER,
)
"""The authors' sizes and inner solver."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
