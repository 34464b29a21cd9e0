"""Presets: data, entries to learn from, inference. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.funbat.model import Hyper, Kind, Model

DataSet = Literal["generated curves", "generated temperatures", "simulated curves", "us temperatures", "beijing pm2.5"]


@dataclass(frozen=True)
class Inference:
    """Kernels and message passing; defaults are the authors' for Tucker on US temperatures.

    Attributes:
        kind, rank, nu: see `Model`.
        lengthscale, variance: of all modes, coordinates lying in [0, 1].
        damping, damping_noise, damping_core, core_prior_precision: see `Hyper`.
        epochs: of inference.
        initial_variance: of q at the start.
        starts: runs from as many starts; the one with the largest E[tau], the best fit of the entries it saw, counts.
    """

    kind: Kind = "tucker"
    rank: int = 2
    nu: float = 0.5
    lengthscale: float = 0.5
    variance: float = 1.0
    damping: float = 0.9
    damping_noise: float = 0.9
    damping_core: float = 0.95
    core_prior_precision: float = 0.0
    epochs: int = 200
    initial_variance: float = 0.1
    starts: int = 1

    def model(self, *, smooth: bool = True) -> Model:
        """What is compiled."""
        return Model(self.rank, self.kind, self.nu, smooth)

    def hyper(self, modes: int) -> Hyper:
        """Numbers, the same kernel for every mode."""
        return Hyper(
            (self.lengthscale,) * modes,
            (self.variance,) * modes,
            self.damping,
            self.damping_noise,
            self.damping_core,
            core_prior_precision=self.core_prior_precision,
        )


@dataclass(frozen=True)
class Completion:
    """Entries to learn from, others to predict.

    Attributes:
        data_set: which.
        inference: of the method, and without its processes of the Bayesian decomposition of a grid.
        num_entries: to learn from, another draw for every seed; 0 for all.
        noise: standard deviation of noise that is added, over that of the values; those of curves come without any.
        centre: whether values are shifted to mean 0 before they are scaled.
        ridges: of alternating least squares; the ridge and the start with the least test error count.
        gp_entries: at most so many entries for the Gaussian process over all coordinates, whose cost is cubic; 0 leaves it out.
        fallback: what runs where the data are not on this machine, or None.
    """

    data_set: DataSet
    inference: Inference
    num_entries: int = 0
    noise: float = 0.0
    centre: bool = True
    ridges: tuple[float, ...] = (0.1, 1.0, 10.0)
    gp_entries: int = 1500
    fallback: "Completion | None" = None

    @property
    def label(self) -> str:
        """As tables show it."""
        return f"{self.data_set}, {self.inference.kind} R = {self.inference.rank}"


@dataclass(frozen=True)
class Regression:
    """C1 and C2: processes on a line.

    Attributes:
        coordinates, size: of C1; `size` processes at once.
        few: coordinates of C1 for the associative scan, which takes long to compile; 0 leaves it out.
        scan, dense: numbers of coordinates that C2 times, by filter and smoother, and by linear algebra on all of them.
        repeats, seconds: rounds of timed calls, of which the fastest count: so many at least, and so long.
    """

    coordinates: int = 400
    size: int = 2
    few: int = 0
    scan: tuple[int, ...] = (500, 2000, 8000)
    dense: tuple[int, ...] = (250, 1000)
    repeats: int = 5
    seconds: float = 3.0


@dataclass(frozen=True)
class Reference:
    """C3: a small tensor for the message-by-message reference.

    Attributes:
        entries, dims: of the tensor.
        rank: R.
        epochs: to compare after.
    """

    entries: int = 60
    dims: tuple[int, ...] = (6, 7, 5)
    rank: int = 2
    epochs: int = 5


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        regression: C1 and C2.
        reference: C3.
        curves: C4.
        temperatures: C5 and C6.
        further: completions that are shown beside C5.
    """

    regression: Regression
    reference: Reference
    curves: Completion
    temperatures: Completion
    further: tuple[Completion, ...] = ()


_CURVES = Completion(
    "simulated curves",
    Inference("cp", 1, 1.5, 0.1, 1.0, damping=0.1, damping_noise=0.2, epochs=60),
    num_entries=150,
    noise=0.1,
    centre=False,
    ridges=(1e-3, 1e-2, 1e-1),
)
_TEMPERATURES = Completion(
    "us temperatures",
    Inference("cp", 2, 0.5, 0.1, 5.0, damping=0.3, damping_noise=0.8, epochs=60, initial_variance=1.0, starts=2),
    num_entries=4475,
)
_TUCKER = Inference("tucker", 2, core_prior_precision=1.0)
_BEIJING = Inference("tucker", 2, lengthscale=0.1, damping=0.5, damping_noise=0.6, core_prior_precision=1.0, epochs=100)

QUICK = Preset(
    Regression(),
    Reference(),
    replace(_CURVES, fallback=replace(_CURVES, data_set="generated curves")),
    replace(_TEMPERATURES, fallback=replace(_TEMPERATURES, data_set="generated temperatures")),
)
"""A laptop, less than a minute: a tenth of the US temperatures, rank 2."""

_ALL = replace(_TEMPERATURES, num_entries=0, inference=replace(_TEMPERATURES.inference, epochs=150))

STANDARD = Preset(
    Regression(few=24, scan=(1000, 10_000, 100_000)),
    Reference(),
    _CURVES,
    _ALL,
    further=(replace(_ALL, inference=_TUCKER), replace(_ALL, data_set="beijing pm2.5", inference=_BEIJING)),
)
"""One GPU, minutes: all entries of the US temperatures and of Beijing's particulate matter, rank 2."""

PAPER = Preset(
    Regression(few=24, scan=(1000, 10_000, 100_000)),
    Reference(),
    replace(_CURVES, num_entries=0),
    _ALL,
    further=tuple(
        replace(_ALL, data_set=data_set, inference=replace(inference, rank=rank))
        for data_set, kinds in (("us temperatures", (_ALL.inference, _TUCKER)), ("beijing pm2.5", (_BEIJING,)))
        for inference in kinds
        for rank in (2, 3, 5, 7)
    ),
)
"""The paper's: ranks 2, 3, 5 and 7."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
