"""Presets: sentences, encoder, losses, training. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.common.checks import check_at_least, check_positive
from quire.common.layers.bert import BertConfig
from quire.common.train.recipe import Recipe
from quire.matryoshka_2d.base_losses import AnglE, TripletAnglE
from quire.matryoshka_2d.draws import geometric_sizes
from quire.matryoshka_2d.pooling import Pooling, check_pooling

SentenceSet = Literal["templates", "sts-benchmark", "nli"]


@dataclass(frozen=True)
class Efficiency:
    """M6: what a shallow and the whole encoder cost.

    Attributes:
        batch: sentences.
        timings: of each, of which the least counts.
    """

    batch: int = 256
    timings: int = 7


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know; the defaults are the paper's.

    Attributes:
        sentences: pairs with scores, or triplets of inferences, which are evaluated on seven sets of pairs.
        encoder: sizes of BERT; the vocabulary is counted in the training sentences unless a checkpoint brings one.
        length: tokens of a sentence.
        training: recipe; a batch is of pairs or triplets.
        base: l, the loss of one layer's embeddings.
        pooling: of every layer.
        smallest: first of the doubling prefix sizes S.
        tau: temperature of the KL.
        initial_std: standard deviation of initial kernels and embeddings; BERT's is made for wide layers.
        alone: depths of encoders that are trained for themselves.
        checkpoint: data set with published weights and word pieces to start from, or "".
        one_by_one: whether models train one after the other instead of side by side.
        efficiency: of M6.
        fallback: what runs where the data are not on this machine, or None.

    Raises:
        ValueError: for sizes that do not fit together.
    """

    sentences: SentenceSet
    encoder: BertConfig
    length: int
    training: Recipe
    base: AnglE
    pooling: Pooling = "cls"
    smallest: int = 8
    tau: float = 1.0
    initial_std: float = 0.02
    alone: tuple[int, ...] = ()
    checkpoint: str = ""
    one_by_one: bool = False
    efficiency: Efficiency = Efficiency()
    fallback: "Preset | None" = None

    def __post_init__(self):
        check_pooling(self.pooling)
        check_positive("tau", self.tau)
        check_positive("initial_std", self.initial_std)
        check_at_least("encoder.depth", self.encoder.depth, 2)
        if self.base.angle and any(size % 2 for size in self.dims):
            raise ValueError(f"smallest is {self.smallest} and dim {self.encoder.dim}; the angle loss needs even sizes")
        if not all(1 <= depth < self.encoder.depth for depth in self.alone):
            raise ValueError(f"alone is {self.alone}; it needs depths between 1 and {self.encoder.depth - 1}")
        if not 1 <= self.length <= self.encoder.max_length:
            raise ValueError(f"length is {self.length}; it must lie between 1 and {self.encoder.max_length}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """S, the prefix sizes that are drawn."""
        return geometric_sizes(self.smallest, self.encoder.dim)

    @property
    def dims(self) -> tuple[int, ...]:
        """S and D: the columns of the evaluation grid."""
        return (*self.sizes, self.encoder.dim)


QUICK = Preset(
    sentences="sts-benchmark",
    encoder=BertConfig(vocab_size=4000, dim=32, depth=4, num_heads=4, mlp_dim=64, max_length=12),
    length=12,
    training=Recipe(steps=150, batch_size=32, learning_rate=1e-3, schedule="constant"),
    base=AnglE(in_batch=0.0),
    initial_std=32**-0.5,
    alone=(1,),
    one_by_one=True,  # on a CPU, products of one model each are faster than those of all at once
)
TEMPLATES = replace(QUICK, sentences="templates", encoder=replace(QUICK.encoder, vocab_size=60))
"""Needs no file: what runs at `quick` without STS Benchmark."""

QUICK = replace(QUICK, fallback=TEMPLATES)
"""A laptop, about a minute: encoders of four narrow layers from random weights; one program serves all methods and seeds.

The rate is one at which the plain encoder learns; at higher ones it ends where all sentences look alike.
"""

STANDARD = replace(
    QUICK,
    encoder=BertConfig(vocab_size=8000, dim=128, depth=6, num_heads=4, mlp_dim=512, max_length=32),
    length=32,
    training=Recipe(steps=1000, batch_size=64, learning_rate=5e-4, schedule="linear", warmup=0.1),
    initial_std=128**-0.5,
    alone=(1, 2, 3, 4, 5),
    one_by_one=False,
    fallback=None,
)
"""One GPU, minutes: six layers of 128 numbers, and an encoder of its own for every depth."""

_NLI_STEPS = 275_000 // 128  # of one epoch

PAPER = Preset(
    sentences="nli",
    encoder=BertConfig(),
    length=75,
    training=Recipe(steps=3 * _NLI_STEPS, batch_size=128, learning_rate=5e-5, schedule="linear", epochs=3, warmup=0.1),
    base=TripletAnglE(),
    alone=tuple(range(1, 12)),
    checkpoint="bert-base-uncased",
    one_by_one=True,
)
"""The paper's: BERT-base on SNLI and MultiNLI, evaluated on seven sets of sentence pairs."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
