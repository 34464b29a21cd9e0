"""Presets: the sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least


@dataclass(frozen=True)
class Sweep:
    """P2, P3, P4, P7, P8: all small subsets of the covariates, chosen by some interventions, judged on others.

    Attributes:
        dims: numbers of nodes, rising, 8 and 32 among them; the first is that of P2, P7 and P8. P4 has 32.
        counts: numbers of training interventions, rising; 1, 2, 4, 8, 16 and 32 are among them.
        num_test: unseen interventions.
        num_sems, num_family_sems: random models that a rate is averaged over, for every seed; the second number is P4's.
        in_degree, num_sites: of the models, and nodes that are intervened on.
        max_size: covariates in a subset.
        eps: largest gap that counts as invariant.
        strength: of the interventions, on edges and noise.
        sites, in_degrees: what P4 compares, after 8 interventions.

    Raises:
        ValueError: if a size is not positive, numbers do not rise, or counts that claims speak of are missing.
    """

    dims: tuple[int, ...] = (8, 16, 32)
    counts: tuple[int, ...] = (1, 2, 4, 6, 8, 12, 16, 24, 32)
    num_test: int = 200
    num_sems: int = 20
    num_family_sems: int = 20
    in_degree: int = 2
    num_sites: int = 2
    max_size: int = 2
    eps: float = 0.15
    strength: float = 1.0
    sites: tuple[int, ...] = (1, 2, 4, 8)
    in_degrees: tuple[int, ...] = (1, 2, 3, 4)

    def __post_init__(self):
        for name in ("dims", "counts", "sites", "in_degrees"):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)) or values[0] < 1:
                raise ValueError(f"{name} is {values}; it needs positive numbers that rise")
        if not {1, 2, 4, 8, 16, 32} <= set(self.counts) or not {8, 32} <= set(self.dims):
            raise ValueError(f"counts is {self.counts} and dims {self.dims}; they must hold 1, 2, 4, 8, 16 and 32, and 8 and 32")
        for name in ("num_test", "num_sems", "num_family_sems", "in_degree", "num_sites", "max_size"):
            check_at_least(name, getattr(self, name))


@dataclass(frozen=True)
class Risk:
    """P5: learners on samples from weak interventions, judged under strong ones.

    Attributes:
        num_nodes, in_degree, num_sites: of the models, and nodes that are intervened on, a child of the target first.
        num_sems: random models for every seed.
        num_train, num_samples: environments, and samples from each.
        num_test: unseen environments.
        train_strength, test_strength: of the interventions.
        eps: gap that is allowed beyond what sampling makes.
        rank: rows of the representation that invariant risk minimisation learns.
        penalties: its weights, of which the best in hindsight counts.
        steps: of its optimiser.
    """

    num_nodes: int = 6
    in_degree: int = 2
    num_sites: int = 3
    num_sems: int = 10
    num_train: int = 10
    num_samples: int = 5000
    num_test: int = 100
    train_strength: float = 0.3
    test_strength: float = 2.0
    eps: float = 0.02
    rank: int = 2
    penalties: tuple[float, ...] = (1.0, 10.0, 100.0)
    steps: int = 300

    def __post_init__(self):
        for name in ("num_nodes", "in_degree", "num_sites", "num_sems", "num_train", "num_samples", "num_test", "rank", "steps"):
            check_at_least(name, getattr(self, name))


@dataclass(frozen=True)
class Bound:
    """P6: repeated training with as many interventions as the bound asks for.

    Attributes:
        num_nodes, in_degree, num_sites: of the models, and nodes that are intervened on.
        num_sems, repetitions: random models, and training sets for each of them; together 200 or more.
        num_test: unseen interventions.
        violation, delta: what the bound promises.
        levels: violation rates for which the number of interventions is counted that are enough.
        eps, strength: as in the sweep.
    """

    num_nodes: int = 6
    in_degree: int = 2
    num_sites: int = 2
    num_sems: int = 10
    repetitions: int = 20
    num_test: int = 200
    violation: float = 0.1
    delta: float = 0.05
    levels: tuple[float, ...] = (0.5, 0.3, 0.2, 0.1)
    eps: float = 0.15
    strength: float = 1.0

    def __post_init__(self):
        for name in ("num_nodes", "in_degree", "num_sites", "num_sems", "repetitions", "num_test"):
            check_at_least(name, getattr(self, name))


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments.

    Attributes:
        sweep, risk, bound: of the claims that they name.
        samples: numbers of samples from an environment, rising, for P9.
        identity_sems: random models for the exact claims.
    """

    sweep: Sweep = field(default_factory=Sweep)
    risk: Risk = field(default_factory=Risk)
    bound: Bound = field(default_factory=Bound)
    samples: tuple[int, ...] = (100, 400, 1600, 6400)
    identity_sems: int = 10


QUICK = Preset()
"""A laptop, seconds."""

STANDARD = Preset(
    Sweep(dims=(8, 16, 32, 64), num_sems=50, num_family_sems=50, num_test=500),
    Risk(num_sems=50, num_samples=20_000, steps=2000),
    Bound(num_sems=40, repetitions=50, num_test=1000),
    samples=(100, 400, 1600, 6400, 25_600),
    identity_sems=50,
)
"""One GPU, minutes."""

PAPER = Preset(
    Sweep(
        dims=(8, 16, 32, 64, 128, 256),
        counts=(1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64),
        num_sems=50,
        num_family_sems=20,
        num_test=500,
    ),
    Risk(num_nodes=8, num_sems=100, num_samples=20_000, steps=5000),
    Bound(num_sems=100, repetitions=100, num_test=2000),
    samples=(100, 400, 1600, 6400, 25_600, 102_400),
    identity_sems=200,
)
"""256 nodes: 32,640 subsets of one or two covariates."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
