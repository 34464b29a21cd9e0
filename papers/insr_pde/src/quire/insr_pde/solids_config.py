"""Presets of the elastic experiments: networks, points, solvers, and the finite elements beside them."""

from dataclasses import dataclass, field, replace

from quire.common.checks import check_at_least
from quire.common.pde.contact import Plane, Sphere
from quire.common.pde.elastodynamics import Elastodynamics
from quire.common.pde.minimise import Adam, LevenbergMarquardt, Solver
from quire.common.pde.precision import Precision
from quire.common.pde.solid_samples import Rule

Solvers = tuple[Solver, ...]

STRETCH = Elastodynamics(2, arap=1.0, volume=1e3, constraint=1e4, offset=(2.0, 0.0))
"""The authors' static stretch of the square `[-1, 1]^2` to twice its length."""

COLLISION = Elastodynamics(
    2,
    arap=20.0,
    volume=1e3,
    kinematic=10.0,
    dt=0.1,
    force=(0.0, -200.0),
    force_steps=2,
    obstacle=Sphere((0.0, -2.0), 1.0, 1e4),
)
"""The authors' square that is pushed down for two steps onto a disc below it."""

FALL = Elastodynamics(
    3,
    arap=20.0,
    volume=1e3,
    kinematic=10.0,
    dt=0.1,
    force=(0.0, 0.0, -200.0),
    force_steps=2,
    obstacle=Plane(-2.0, 1e6),
)
"""A body that is pushed down onto the plane z = -2; the ratios are those of the collision but for the authors' of the contact."""


@dataclass(frozen=True)
class SolidRun:
    """An elastic experiment on a network and on finite elements.

    Attributes:
        problem: energies and their ratios.
        hidden, num_hidden_layers, omega: of the network.
        resolution, rule: points along an axis, and how they lie.
        stand_for: resolution whose sums the energies are.
        steps: time steps, or load steps of a static problem; `hold` more of them at full load.
        fit: solvers of the displacement 0 at the start.
        inner: solvers of a step.
        extrapolate: offer `2 theta_n - theta_(n-1)` as a warm start.
        cells: of the mesh that stores as many floats as the network, and `fine_cells` of the reference.
        elements: solver of a step on meshes.
        precision: of the network; meshes are float64.

    Raises:
        ValueError: without a step, or for a negative number of steps at full load.
    """

    problem: Elastodynamics
    hidden: int
    num_hidden_layers: int
    resolution: int
    steps: int
    fit: Solvers
    inner: Solvers
    omega: float = 10.0
    rule: Rule = "gauss"
    stand_for: int = 32
    hold: int = 0
    extrapolate: bool = True
    cells: tuple[int, ...] = ()
    fine_cells: tuple[int, ...] = ()
    elements: LevenbergMarquardt = field(default_factory=lambda: LevenbergMarquardt(80, 1e-3, floor=1e-12, settled=1e-10))
    precision: Precision = "float64"

    def __post_init__(self):
        check_at_least("steps", self.steps)
        check_at_least("hold", self.hold, 0)


@dataclass(frozen=True)
class Solids:
    """The elastic experiments.

    Attributes:
        stretch: for C5.
        collision: for C4.
        fall: in three dimensions, for the notebook.
    """

    stretch: SolidRun
    collision: SolidRun
    fall: SolidRun


QUICK = Solids(
    stretch=SolidRun(
        STRETCH,
        hidden=12,
        num_hidden_layers=2,
        resolution=20,
        steps=8,
        fit=(Adam(500, 3e-3, None),),
        inner=(LevenbergMarquardt(12, 1e-3, floor=1e-6),),
        cells=(13, 13),
        fine_cells=(32, 32),
        precision="float32",
    ),
    collision=SolidRun(
        COLLISION,
        hidden=24,
        num_hidden_layers=1,
        resolution=20,
        steps=3,
        fit=(Adam(500, 3e-3, None),),
        inner=(LevenbergMarquardt(18, 1e-3, floor=1e-5),),
        cells=(18, 18),
        precision="float32",
    ),
    fall=SolidRun(
        FALL,
        hidden=12,
        num_hidden_layers=1,
        resolution=6,
        steps=6,
        fit=(Adam(500, 3e-3, None),),
        inner=(LevenbergMarquardt(10, 1e-3, floor=1e-5),),
        stand_for=10,
        cells=(4, 4, 4),
        precision="float32",
    ),
)
"""A laptop: 374 and 722 floats, frequency 10, Gauss points, Levenberg-Marquardt in float32."""

STANDARD = Solids(
    stretch=replace(
        QUICK.stretch,
        inner=(LevenbergMarquardt(8, 1e-3, floor=1e-12, accelerate=True),),
        hidden=24,
        resolution=32,
        hold=4,
        cells=(25, 25),
        fine_cells=(96, 96),
        precision="float64",
    ),
    collision=replace(
        QUICK.collision,
        inner=(LevenbergMarquardt(18, 1e-3),),
        num_hidden_layers=2,
        resolution=32,
        steps=20,
        cells=(25, 25),
        precision="float64",
    ),
    fall=replace(
        QUICK.fall,
        inner=(LevenbergMarquardt(8, 1e-3, accelerate=True),),
        hidden=24,
        resolution=12,
        steps=20,
        cells=(5, 5, 5),
        precision="float64",
    ),
)
"""One GPU, minutes."""

_AUTHORS = SolidRun(
    STRETCH,
    hidden=68,
    num_hidden_layers=3,
    resolution=100,
    steps=1,
    fit=(Adam(20_000, 1e-4),),
    inner=(Adam(100_000, 1e-4),),
    omega=30.0,
    rule="random",
    stand_for=100,
    extrapolate=False,
    precision="float32",
    cells=(84, 84),
    fine_cells=(128, 128),
)
_COLLIDING = replace(_AUTHORS, problem=COLLISION, steps=20, inner=(Adam(20_000, 1e-5),), fine_cells=())

PAPER = Solids(
    stretch=_AUTHORS,
    collision=_COLLIDING,
    fall=replace(_COLLIDING, problem=FALL, hidden=66, resolution=30, stand_for=30, cells=(16, 16, 16)),
)
"""The authors' sizes and inner solver."""
