"""Presets: data, tensors and graphs. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal

from quire.dynamic_connectome.affinity import Kind

DataSet = Literal["generated worms", "neuropal worms"]


@dataclass(frozen=True)
class Search:
    """Block models; one compiled program serves all graphs of a preset.

    Attributes:
        groups: at most so many.
        restarts: random starts.
        room: nodes and edges that are compiled for.
    """

    groups: int = 8
    restarts: int = 8
    room: tuple[int, int] = (48, 1128)


@dataclass(frozen=True)
class Recovery:
    """C2: recordings whose groups overlap; see `overlapping_groups`.

    Attributes:
        neurons, size, step, groups, animals, frames, window, absent: sizes.
        rank, iters, starts: of the factorisation.
        kind, sigma, pool: of the affinities.
        threshold: edges below this share of the largest are dropped.
        static_thresholds: the same for correlations over all time; the one with the largest NMI counts.
    """

    neurons: int = 24
    size: int = 10
    step: int = 7
    groups: int = 3
    animals: int = 6
    frames: int = 240
    window: int = 70
    absent: int = 1
    rank: int = 4
    iters: int = 60
    starts: int = 4
    kind: Kind = "geomean"
    sigma: float = 2.0
    pool: int = 4
    threshold: float = 0.05
    static_thresholds: tuple[float, ...] = (0.0, 0.05, 0.2, 0.3)


@dataclass(frozen=True)
class Blocks:
    """C3: graphs whose edges are everywhere alike, see `weighted_blocks`."""

    nodes: int = 48
    groups: int = 4
    density: float = 0.6
    ratio: float = 8.0


@dataclass(frozen=True)
class Lfr:
    """C4: weighted graphs after the benchmark of Lancichinetti and Fortunato, see `weighted_lfr`.

    Attributes:
        nodes, degree: sizes.
        settings: mixing of edges, mixing of weights and exponent of the strengths; none leaves the claim out.
        graphs: of each setting.
        groups, restarts: of the search.
    """

    nodes: int = 125
    degree: float = 25.0
    settings: tuple[tuple[float, float, float], ...] = ()
    graphs: int = 3
    groups: int = 16
    restarts: int = 16


@dataclass(frozen=True)
class Worms:
    """C5: recordings of animals.

    Attributes:
        data_set: which.
        fallback: what stands in where they are missing, or None.
        least_animals: neurons that at least so many animals have; 0 for all animals.
        rank, iters, starts: of the factorisation.
        kind, sigma, pool: of the affinities.
    """

    data_set: DataSet = "neuropal worms"
    fallback: DataSet | None = None
    least_animals: int = 0
    rank: int = 8
    iters: int = 15
    starts: int = 3
    kind: Kind = "geomean"
    sigma: float = 2.0
    pool: int = 2


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know."""

    search: Search = field(default_factory=Search)
    recovery: Recovery = field(default_factory=Recovery)
    blocks: Blocks = field(default_factory=Blocks)
    lfr: Lfr = field(default_factory=Lfr)
    worms: Worms = field(default_factory=Worms)


QUICK = Preset(worms=Worms(fallback="generated worms"))
"""A laptop, less than a minute: 24 generated neurons, 40 neurons of seven worms."""

STANDARD = Preset(lfr=Lfr(settings=((0.5, 0.25, 2.0),)), worms=Worms(iters=60))
"""One GPU, minutes: one setting of the benchmark graphs, more sweeps."""

PAPER = Preset(
    search=Search(groups=16, restarts=16, room=(180, 16_110)),
    recovery=Recovery(neurons=180, size=70, step=50, animals=21, absent=3, rank=6, iters=200, starts=8),
    lfr=Lfr(settings=tuple((m, w, b) for m, w in ((0.25, 0.25), (0.5, 0.5), (0.75, 0.75)) for b in (0.5, 1.0, 2.0)), graphs=10),
    worms=Worms(least_animals=1, rank=15, iters=200, starts=8, pool=1),
)
"""The paper's sizes: 21 animals, 180 neurons, nine settings of ten benchmark graphs; all neurons that a worm of ours has."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
