"""Presets: texts, encoder, masks, training. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.common.checks import check_at_least, check_positive
from quire.common.layers.bert import BertConfig
from quire.common.train.recipe import Recipe

TextSet = Literal["topics", "wikitext-2", "cranfield", "prepared"]


@dataclass(frozen=True)
class Passages:
    """How plain text is cut into runs of kept words, a passage and a query from each that is held out.

    Attributes:
        run: words of a run.
        words: of a passage, and of a training text; a passage is the beginning of its run.
        query: first and last word of a query, as a slice of the run.
        starts: where training texts begin in their run.
        held_out: runs for the evaluation.
    """

    run: int = 36
    words: int = 24
    query: tuple[int, int] = (18, 30)
    starts: tuple[int, ...] = (0, 6, 12)
    held_out: int = 400

    def __post_init__(self):
        check_at_least("held_out", self.held_out)
        if not 0 <= self.query[0] < self.query[1] <= self.run or not 1 <= self.words <= self.run:
            raise ValueError(f"query is {self.query} and words {self.words}; both must lie inside a run of {self.run}")
        if not self.starts or not 0 <= min(self.starts) <= max(self.starts) <= self.run - self.words:
            raise ValueError(f"starts is {self.starts}; each must lie between 0 and {self.run - self.words}")


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know; the defaults are the paper's.

    Attributes:
        texts: what is trained on and searched.
        encoder: sizes of BERT; the vocabulary holds four specials.
        training: recipe of the pre-training.
        passages: how texts are cut; its sizes do not matter for prepared ones.
        encoder_rate, decoder_rate: shares of the tokens that are hidden.
        mask_id: id of [MASK].
        mask_pool: sets that rows of the decoder share.
        bow_weight: lambda.
        initial_std: standard deviation of initial kernels and embeddings.
        top_n: words that a text keeps for search.
        reduced: d', numbers of the reduced sentence vector.
        bag: words that are looked at when the bag of words is read off.
        retromae: whether RetroMAE is trained too.
        fine_tuning: recipe of the contrastive step, whose batch is of queries.
        temperature: of the contrastive loss.
        chunk: places whose logits exist at a time; all for None.
        depths, timings: of the encoders whose cost is counted, and timings of each for the clock.
        checkpoint: data set with published weights to start from, or "".
        one_by_one: whether models train one after the other.
        collection: the preset of the collection with judgements that is searched beside, or None.
        fallback: what runs where the texts are not on this machine, or None.

    Raises:
        ValueError: for sizes that do not fit together.
    """

    texts: TextSet
    encoder: BertConfig
    training: Recipe
    passages: Passages = Passages()
    encoder_rate: float = 0.3
    decoder_rate: float = 0.5
    mask_id: int = 103
    mask_pool: int = 256
    bow_weight: float = 0.1
    initial_std: float = 0.02
    top_n: int = 384
    reduced: int = 384
    bag: int = 24
    retromae: bool = True
    fine_tuning: Recipe | None = None
    temperature: float = 1.0
    chunk: int | None = None
    depths: tuple[int, ...] = (4, 12)
    timings: int = 0
    checkpoint: str = ""
    one_by_one: bool = False
    collection: "Preset | None" = None
    fallback: "Preset | None" = None

    def __post_init__(self):
        check_positive("initial_std", self.initial_std)
        check_positive("temperature", self.temperature)
        for name in ("mask_pool", "top_n", "bag", "reduced"):
            check_at_least(name, getattr(self, name))
        if not all(0 < rate < 1 for rate in (self.encoder_rate, self.decoder_rate)):
            raise ValueError(f"encoder_rate is {self.encoder_rate}, decoder_rate {self.decoder_rate}; they must lie in (0, 1)")
        if self.texts != "prepared" and self.length > self.encoder.max_length:
            raise ValueError(f"encoder.max_length is {self.encoder.max_length}; texts have {self.length} tokens")
        if not 0 <= self.mask_id < self.encoder.vocab_size:
            raise ValueError(f"mask_id is {self.mask_id}; there are {self.encoder.vocab_size} ids")
        if max(self.top_n, self.bag) > self.encoder.vocab_size:
            raise ValueError(f"top_n is {self.top_n}, bag {self.bag}; there are {self.encoder.vocab_size} ids")

    @property
    def length(self) -> int:
        """Tokens of a text that is cut from a run, its two specials included."""
        return self.passages.words + 2


QUICK = Preset(
    texts="wikitext-2",
    encoder=BertConfig(vocab_size=199, dim=64, depth=1, num_heads=4, mlp_dim=128, max_length=26),
    training=Recipe(steps=320, batch_size=24, learning_rate=5e-3, schedule="linear", warmup=30 / 320, weight_decay=0.01),
    mask_id=3,
    mask_pool=4,
    bow_weight=1.0,
    initial_std=0.1,
    top_n=32,
    reduced=32,
    retromae=False,
    fine_tuning=Recipe(steps=60, batch_size=32, learning_rate=1e-3, schedule="linear"),
    temperature=20.0,  # sums of products of logits are in the hundreds
    one_by_one=True,  # on a CPU, products of one model each are faster than those of all at once
)
TOPICS = replace(QUICK, texts="topics")
"""Needs no file: what runs at `quick` without WikiText-2."""

CRANFIELD = replace(QUICK, texts="cranfield", training=replace(QUICK.training, steps=120, warmup=0.1), fine_tuning=None)
"""Trained on the collection that is searched, on its most frequent words."""

QUICK = replace(QUICK, collection=CRANFIELD, fallback=TOPICS)
"""A laptop, under a minute: one narrow layer over the most frequent words; one program trains all arms and seeds."""

STANDARD = replace(
    QUICK,
    encoder=BertConfig(vocab_size=4000, dim=256, depth=4, num_heads=4, mlp_dim=1024, max_length=130),
    training=Recipe(steps=6000, batch_size=64, learning_rate=5e-4, schedule="linear", warmup=0.1, weight_decay=0.01),
    passages=Passages(run=192, words=128, query=(96, 160), starts=(0, 32, 64), held_out=400),
    mask_pool=64,
    initial_std=256**-0.5,
    top_n=128,
    reduced=128,
    bag=128,
    retromae=True,
    fine_tuning=Recipe(steps=500, batch_size=64, learning_rate=1e-4, schedule="linear"),
    chunk=26,
    timings=5,
    one_by_one=False,
    collection=None,
    fallback=None,
)
STANDARD = replace(
    STANDARD,
    collection=replace(
        STANDARD, texts="cranfield", training=replace(STANDARD.training, steps=2000), retromae=False, fine_tuning=None
    ),
)
"""One GPU, minutes: four layers of 256 numbers, longer texts of 4000 words, RetroMAE as a third arm."""

PAPER = Preset(
    texts="prepared",
    encoder=BertConfig(),
    training=Recipe(
        steps=8 * 160_000, batch_size=256, learning_rate=1e-4, schedule="linear", epochs=8, warmup=0.1, weight_decay=0.01
    ),
    fine_tuning=Recipe(steps=4 * 15_600, batch_size=32, learning_rate=2e-5, schedule="linear", epochs=4),
    chunk=64,
    timings=5,
    checkpoint="bert-base-uncased",
    one_by_one=True,
)
"""The paper's: BERT-base on Wikipedia and BookCorpus at length 512, searched on MS MARCO."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
