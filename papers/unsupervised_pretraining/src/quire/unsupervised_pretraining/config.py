"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least


@dataclass(frozen=True)
class Factors:
    """U2, U3, U7: factor models, and samples on which every method is measured.

    Attributes:
        dims: of x, the smaller one first.
        r: number of factors.
        m: inputs without labels.
        ns: labelled examples, rising: U2 and U7 use the first, U3 the first three, U3b the last two.
        noise: standard deviation of the labels.
        draws: problems with their data, of a seed.
    """

    dims: tuple[int, int] = (20, 60)
    r: int = 3
    m: int = 2000
    ns: tuple[int, ...] = (80, 160, 320, 1280)
    noise: float = 0.5
    draws: int = 40

    def __post_init__(self):
        if list(self.ns) != sorted(self.ns) or min(self.ns) <= max(self.dims) or not 1 <= self.r <= min(self.dims):
            raise ValueError(f"ns is {self.ns} with dims {self.dims} and r {self.r}; ns must rise from above d, and 1 <= r <= d")
        check_at_least("draws", self.draws, 2)


@dataclass(frozen=True)
class Crossover:
    """U4: factors that are weak, so that pretraining needs many inputs.

    Attributes:
        d, r: of the model.
        strength: standard deviation of the loadings.
        ms: inputs without labels, rising.
        ns: labelled examples, rising; the last is that of U4.
        noise, draws: as for `Factors`.
    """

    d: int = 60
    r: int = 3
    strength: float = 0.25
    ms: tuple[int, ...] = (50, 160, 500, 1600, 5000)
    ns: tuple[int, ...] = (80, 320, 1280, 5000)
    noise: float = 0.5
    draws: int = 6


@dataclass(frozen=True)
class Mixture:
    """U5: mixtures whose means stand at equal distances.

    Attributes:
        k, d: components and dimension.
        separations: distances between the means: where components are told apart, and where they are not.
        m: inputs without labels.
        ns: labelled examples, rising; `few` is that of the claim.
        few: one of ns.
        restarts, steps: of EM.
        tests: examples that errors are counted on.
    """

    k: int = 5
    d: int = 30
    separations: tuple[float, float] = (4.0, 0.5)
    m: int = 2000
    ns: tuple[int, ...] = (10, 20, 50, 100)
    few: int = 20
    restarts: int = 4
    steps: int = 50
    tests: int = 2000

    def __post_init__(self):
        if self.few not in self.ns or self.k > self.d:
            raise ValueError(f"few is {self.few} with ns {self.ns}, k {self.k} and d {self.d}; few must be in ns, k at most d")


@dataclass(frozen=True)
class Contrast:
    """U6: a linear encoder.

    Attributes:
        d, r: inputs and features.
        scale: of the encoder's weights.
        ms: pairs, rising.
        n: labelled examples.
        noise: of the labels.
        draws: sets of labelled examples, of a seed.
        steps: of gradient descent.
    """

    d: int = 10
    r: int = 3
    scale: float = 1.5
    ms: tuple[int, ...] = (300, 1200, 5000)
    n: int = 30
    noise: float = 0.5
    draws: int = 20
    steps: int = 300


@dataclass(frozen=True)
class Likelihood:
    """U1 and U8: factor models fitted to growing samples.

    Attributes:
        d, r: of the model.
        ms: sizes of the samples, rising.
        draws: samples of a seed.
    """

    d: int = 20
    r: int = 3
    ms: tuple[int, ...] = (250, 500, 1000, 2000, 4000)
    draws: int = 20


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments."""

    factors: Factors = field(default_factory=Factors)
    crossover: Crossover = field(default_factory=Crossover)
    mixture: Mixture = field(default_factory=Mixture)
    contrast: Contrast = field(default_factory=Contrast)
    likelihood: Likelihood = field(default_factory=Likelihood)


QUICK = Preset()
"""A laptop, seconds."""

STANDARD = Preset(
    Factors((60, 180), m=20_000, ns=(240, 480, 960, 3840), draws=100),
    Crossover(d=180, r=5, ms=(160, 500, 1600, 5000, 16_000), ns=(240, 960, 3840, 15_000), draws=50),
    Mixture(k=8, d=60, m=20_000, restarts=16, steps=300, tests=20_000),
    Contrast(d=30, ms=(3000, 12_000, 50_000), n=60, draws=100, steps=1000),
    Likelihood(d=60, ms=(1000, 2000, 4000, 8000, 16_000), draws=100),
)
"""One GPU, minutes."""

PAPER = Preset(
    Factors((200, 600), r=5, m=100_000, ns=(800, 1600, 3200, 12_800), draws=200),
    Crossover(d=600, r=5, ms=(500, 1600, 5000, 16_000, 50_000), ns=(800, 3200, 12_800, 50_000), draws=100),
    Mixture(k=10, d=200, m=100_000, restarts=32, steps=500, tests=100_000),
    Contrast(d=100, r=5, ms=(10_000, 50_000, 250_000), n=200, draws=200, steps=3000),
    Likelihood(d=200, r=5, ms=(4000, 8000, 16_000, 32_000, 64_000), draws=200),
)
"""The paper has no experiments: sizes at which its rates are far from those of small samples."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
