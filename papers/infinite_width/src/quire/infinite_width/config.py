"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal

Corpus = Literal["wikitext-2", "text8"]
FewShotSet = Literal["omniglot", "omniglot-full"]


@dataclass(frozen=True)
class Movement:
    """How far features move (F2): tanh networks with two hidden layers on Gaussian data.

    Attributes:
        widths: to fit an exponent over.
        draws: networks and data sets averaged over; the data are the same at every width.
        dim, steps, eta: inputs, single-example SGD steps, learning rate.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    draws: int = 16
    dim: int = 4
    steps: int = 5
    eta: float = 0.5


@dataclass(frozen=True)
class Convergence:
    """Finite networks against their limits (F3, F4)."""

    shallow_widths: tuple[int, ...] = (64, 256, 1024, 4096, 16384)
    shallow_draws: int = 32
    deep_widths: tuple[int, ...] = (128, 256, 512, 1024)
    deep_draws: int = 16


@dataclass(frozen=True)
class Word2Vec:
    """CBOW (F5).

    Attributes:
        corpus: text; at `quick` the language reference that ships with Python stands in where it is not at hand.
        vocabulary: most frequent words, which is also the width of the limit.
        window, negatives, batch, steps, learning_rate, weight_decay: of training; the same for all widths.
        widths: finite ones.
        kernel_rates: learning rates from which the kernel limit may choose its best.
        subsample: threshold that thins frequent words in the training text; 0 keeps all.
        held_out: events to score.
    """

    corpus: Corpus = "wikitext-2"
    vocabulary: int = 1500
    window: int = 4
    negatives: int = 8
    batch: int = 64
    steps: int = 2000
    learning_rate: float = 0.1
    weight_decay: float = 0.0
    widths: tuple[int, ...] = (8, 32, 128)
    kernel_rates: tuple[float, ...] = (0.1, 1.0, 5.0, 20.0)
    subsample: float = 0.0
    held_out: int = 10_240


@dataclass(frozen=True)
class FiniteNet:
    """A finite MAML network with the hyper-parameters of its width."""

    width: int
    sigma_u: float
    sigma_v: float
    bias_alpha: float
    meta_lr: float


@dataclass(frozen=True)
class MAML:
    """Few-shot learning (F6), 5-way 1-shot.

    Attributes:
        data: classes to learn from; without them the claim is not tested.
        batches, tasks: meta-training steps and tasks in each.
        nets: finite widths, narrow to wide.
        sigma_u, sigma_v, bias_alpha, meta_lr: of the infinite network.
        step_size, clip: inner step and largest norm of a meta-gradient.
        test_tasks, test_steps: for the accuracy.
        kernel_rows: dual coefficients of the ReLU GP and NTK baselines; 0 leaves them out.
    """

    data: FewShotSet = "omniglot"
    batches: int = 300
    tasks: int = 32
    nets: tuple[FiniteNet, ...] = (
        FiniteNet(8, 0.5, 0.25, 1.0, 0.1),
        FiniteNet(128, 1.0, 0.125, 1.0, 0.1),
        FiniteNet(512, 1.0, 0.03125, 1.0, 0.1),
    )
    sigma_u: float = 1.0
    sigma_v: float = 0.03125
    bias_alpha: float = 1.0
    meta_lr: float = 0.1
    step_size: float = 0.4
    clip: float = 0.5
    test_tasks: int = 1000
    test_steps: int = 20
    kernel_rows: int = 0


@dataclass(frozen=True)
class Transfer:
    """Width transfer (F8): ReLU networks with two hidden layers, SGD.

    Attributes:
        widths: the first is the base width.
        rates: learning rates, each twice the one before.
        steps, batch: of training.
        pool: side of the average pooling of the images.
        judged: last steps whose mean loss is compared.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    rates: tuple[float, ...] = tuple(0.01 * 2**i for i in range(10))
    steps: int = 100
    batch: int = 32
    pool: int = 4
    judged: int = 20


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know. `fallback` lets a text that is always at hand stand in for a missing one."""

    fallback: bool = False
    shifts: int = 1000
    movement: Movement = field(default_factory=Movement)
    convergence: Convergence = field(default_factory=Convergence)
    word2vec: Word2Vec = field(default_factory=Word2Vec)
    maml: MAML = field(default_factory=MAML)
    transfer: Transfer = field(default_factory=Transfer)


QUICK = Preset(fallback=True)
"""A laptop, about two minutes."""

STANDARD = Preset(
    movement=Movement(widths=(64, 256, 1024, 4096), draws=64),
    convergence=Convergence(
        shallow_widths=(64, 256, 1024, 4096, 16384, 65536), shallow_draws=128, deep_widths=(128, 512, 2048), deep_draws=64
    ),
    word2vec=Word2Vec(vocabulary=4000, steps=20_000, widths=(8, 32, 128, 512)),
    maml=MAML(batches=1500, kernel_rows=48_000),
    transfer=Transfer(widths=(64, 128, 256, 512, 1024, 2048), steps=500),
)
"""One GPU, minutes: the same data, wider and longer, with the ReLU kernels of the paper."""

PAPER = Preset(
    movement=Movement(widths=(64, 256, 1024, 4096, 16384), draws=64),
    convergence=STANDARD.convergence,
    word2vec=Word2Vec(
        corpus="text8",
        vocabulary=71_290,
        window=8,
        negatives=25,
        steps=15 * 17_000_000 // 64,
        learning_rate=0.05,
        weight_decay=0.001,
        widths=(64, 256, 1024),
        subsample=1e-4,
    ),
    maml=MAML(
        data="omniglot-full",
        batches=10_000,
        nets=(
            FiniteNet(2, 0.5, 0.5, 2.0, 0.05),
            FiniteNet(8, 0.5, 0.25, 1.0, 0.1),
            FiniteNet(128, 1.0, 0.125, 1.0, 0.1),
            FiniteNet(512, 1.0, 0.03125, 1.0, 0.1),
            FiniteNet(2048, 1.0, 0.03125, 1.0, 0.1),
        ),
        test_tasks=6000,
        kernel_rows=160_000,
    ),
    transfer=Transfer(widths=(64, 128, 256, 512, 1024, 2048, 4096), steps=2000),
)
"""The paper's data and lengths: text8 for 15 epochs, all of Omniglot for 100 x 100 batches."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
