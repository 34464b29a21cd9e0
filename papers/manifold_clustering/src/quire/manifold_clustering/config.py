"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal

from quire.common.checks import check_at_least, check_positive
from quire.manifold_clustering.network import Backbone
from quire.manifold_clustering.objectives import Kernel
from quire.manifold_clustering.sinkhorn import Gradient

Optimiser = Literal["adam", "sgd", "lars"]


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        steps, batch_size: length; every point appears in `views` augmentations a step, two by default.
        rate, cluster_rate: learning rates of the cluster head and of everything else.
        optimiser: `"adam"`, `"sgd"` with momentum 0.9, or `"lars"` around it.
        decay, cluster_decay: weight decays, added to the gradient.
        warmup: share of the steps in which the rates rise; they then fall as a cosine. Constant rates for None.
    """

    steps: int
    batch_size: int
    rate: float = 1e-3
    cluster_rate: float = 1e-3
    optimiser: Optimiser = "adam"
    decay: float = 0.0
    cluster_decay: float = 0.0
    warmup: float | None = None

    def __post_init__(self):
        check_at_least("steps", self.steps)
        check_at_least("batch_size", self.batch_size, 2)
        check_positive("rate", self.rate)
        check_positive("cluster_rate", self.cluster_rate)
        if self.optimiser not in ("adam", "sgd", "lars"):
            raise ValueError(f"optimiser is {self.optimiser!r}; it must be adam, sgd or lars")


@dataclass(frozen=True)
class Study:
    """Points of one kind, the network, and how it is trained.

    Attributes:
        points: `"curves"`, `"digits"`, `"cifar10-subset"` or `"cifar10"`.
        n: how many points are clustered.
        k: clusters.
        backbone, hidden, dim, norm: of the network, see `MLCNet`.
        noise: standard deviation of the augmentation's noise.
        eps_squared, eta, kernel: of the objectives.
        n_half_iters, grad: of the Sinkhorn layer in training.
        gamma_reg: see `mlc_objective`.
        similarity: weight of the mean cosine between augmentations in stage 1.
        tcr, mlc: the stages of the method.
        nmce, supervised: those of NMCE and of supervised MCR2, which start from the same features.
        chunk: steps whose augmentations are drawn at once.
        block: columns of R_c at a time, see `coding_rate_ds`.
        evaluated: points whose full Gamma is clustered at the end.
    """

    points: str = "digits"
    n: int = 600
    k: int = 10
    backbone: Backbone = "none"
    hidden: int = 256
    dim: int = 32
    norm: bool = False
    noise: float = 0.1
    eps_squared: float = 0.2
    eta: float = 0.175
    kernel: Kernel = "abs"
    n_half_iters: int = 5
    grad: Gradient = "stopgrad"
    gamma_reg: float = 0.0
    similarity: float = 30.0
    tcr: Stage = field(default_factory=lambda: Stage(400, 200))
    mlc: Stage = field(default_factory=lambda: Stage(100, 200, 1e-4, 1e-4))
    nmce: Stage = field(default_factory=lambda: Stage(300, 200))
    supervised: Stage = field(default_factory=lambda: Stage(100, 200))
    chunk: int = 50
    block: int | None = None
    evaluated: int = 5000

    def __post_init__(self):
        for name in ("n", "k", "chunk", "evaluated", "n_half_iters"):
            check_at_least(name, getattr(self, name))
        for name in ("eps_squared", "eta"):
            check_positive(name, getattr(self, name))
        for name in ("tcr", "mlc", "nmce", "supervised"):
            stage = getattr(self, name)
            if stage.steps % min(self.chunk, stage.steps) or stage.batch_size > self.n:
                raise ValueError(
                    f"{name} has {stage.steps} steps of {stage.batch_size} points; chunk = {self.chunk} must divide the steps, "
                    f"and there are n = {self.n} points"
                )


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments.

    Attributes:
        curves: C3 and C4.
        images: C5 and C6.
        draws: pairs of memberships in C1.
        etas: weights of the entropy that are tried on the curves.
    """

    curves: Study
    images: Study
    draws: int = 200
    etas: tuple[float, ...] = (0.005, 0.5)


CURVES = Study(
    points="curves",
    n=180,
    k=3,
    hidden=128,
    dim=16,
    noise=0.05,
    tcr=Stage(200, 180),
    mlc=Stage(150, 180, 1e-4, 1e-4),
    nmce=Stage(150, 180),
    supervised=Stage(150, 180),
)
"""60 points on each of three curves, all of them in every step."""

QUICK = Preset(CURVES, Study())
"""A laptop, seconds: curves and scikit-learn's digits."""

STANDARD = Preset(
    CURVES,
    Study(
        points="cifar10-subset",
        n=10_000,
        backbone="resnet18",
        hidden=4096,
        dim=128,
        norm=True,
        noise=0.0,
        gamma_reg=0.05,
        tcr=Stage(1000, 500, 0.3, 0.3, "lars", decay=1e-4, cluster_decay=1e-4, warmup=0.02),
        mlc=Stage(100, 500, 3e-3, 2e-3, "sgd", decay=1e-4, cluster_decay=5e-3),
        nmce=Stage(100, 500, 3e-3, 2e-3, "sgd", decay=1e-4),
        supervised=Stage(100, 500, 3e-3, 2e-3, "sgd", decay=1e-4),
        chunk=10,
        block=100,
        evaluated=2000,
    ),
)
"""One GPU: ResNet-18 on 10000 images."""

PAPER = Preset(
    CURVES,
    Study(
        points="cifar10",
        n=50_000,
        backbone="resnet18",
        hidden=4096,
        dim=128,
        norm=True,
        noise=0.0,
        gamma_reg=0.05,
        tcr=Stage(29_300, 1024, 0.3, 0.3, "lars", decay=1e-4, cluster_decay=1e-4, warmup=0.017),
        mlc=Stage(750, 2000, 3e-3, 2e-3, "sgd", decay=1e-4, cluster_decay=5e-3),
        nmce=Stage(750, 2000, 3e-3, 2e-3, "sgd", decay=1e-4),
        supervised=Stage(750, 2000, 3e-3, 2e-3, "sgd", decay=1e-4),
        chunk=10,
        block=100,
        evaluated=2000,
    ),
)
"""CIFAR-10, ResNet-18: 600 epochs of stage 1 as NMCE trains it, 30 of stage 2 as CPP does; the paper's appendix was not read."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
