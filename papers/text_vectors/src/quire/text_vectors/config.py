"""Presets: documents to code, words to disambiguate. A preset changes sizes, never the code path."""

from dataclasses import dataclass
from typing import Literal

from quire.common.checks import check_at_least

SenseText = Literal["topics", "wikitext-2", "text8"]


@dataclass(frozen=True)
class Codes:
    """C2 to C4: binary paragraph vectors of news posts.

    Attributes:
        class_step, num_classes: every so many-th class in alphabetical order, and how many; the transfer takes their neighbours.
        first_rank, vocab: words by frequency: the most frequent ones are left out.
        ngrams: 2 predicts pairs of neighbouring words beside the words themselves.
        max_tokens: words of a document that count.
        bits: of a code.
        real_dim: r of the real vectors that are binarised.
        batch_size, epochs: documents of a step, passes.
        learning_rate, accumulator: of AdaGrad.
        loss_scale: factor of the mean loss of a word.
        autoencoder_rate, autoencoder_epochs: of Adam, and passes; more of them serve the words of the training documents only.
        shortlist: documents that real vectors rank anew.
        infer_steps: of Adam, for new documents.
    """

    class_step: int = 2
    num_classes: int = 10
    first_rank: int = 100
    vocab: int = 6000
    ngrams: int = 1
    max_tokens: int = 1000
    bits: int = 128
    real_dim: int = 300
    batch_size: int = 256
    epochs: int = 100
    learning_rate: float = 0.3
    accumulator: float = 1e-3
    loss_scale: float = 10.0
    autoencoder_rate: float = 5e-3
    autoencoder_epochs: int = 12
    shortlist: int = 100
    infer_steps: int = 300

    def __post_init__(self):
        check_at_least("class_step", self.class_step, 2)  # the classes between are the domain that training has not seen
        for name in (
            "num_classes",
            "vocab",
            "ngrams",
            "max_tokens",
            "bits",
            "batch_size",
            "epochs",
            "autoencoder_epochs",
            "shortlist",
        ):
            check_at_least(name, getattr(self, name))


@dataclass(frozen=True)
class Senses:
    """C5 and C6: pseudo-words, each two words under one name, of which a model is to tell the occurrences apart.

    Attributes:
        text: what is read; `topics` is generated.
        pseudo_words: how many pairs become one word.
        topics, topic_words, num_docs, doc_length, noise: of generated text; the share of words from a random topic.
        vocab: words of real text by frequency, stop words left out.
        senses, dim, window: S, d, and words of context on either side.
        batch_size: positions of a step; a relaxed draw serves all labels of one.
        shared_steps, shared_rate: of Adam, with the shared classifier.
        own_steps, own_rate: of Adam, with a classifier a word.
        entropy_reward: in the first stage.
        last_temperature: from 1 in the second stage.
        kept_prior: from which a sense is kept.
    """

    text: SenseText = "text8"
    pseudo_words: int = 50
    topics: int = 10
    topic_words: int = 18
    num_docs: int = 1500
    doc_length: int = 40
    noise: float = 0.2
    vocab: int = 50_000
    senses: int = 5
    dim: int = 300
    window: int = 5
    batch_size: int = 128
    shared_steps: int = 100_000
    shared_rate: float = 0.001
    own_steps: int = 300_000
    own_rate: float = 0.001
    entropy_reward: float = 0.1
    last_temperature: float = 0.5
    kept_prior: float = 0.05

    def __post_init__(self):
        for name, least in (("senses", 2), ("dim", 1), ("window", 1), ("pseudo_words", 1), ("batch_size", 1)):
            check_at_least(name, getattr(self, name), least)


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        codes: of documents.
        senses: of words of generated text.
        real_senses: of words of real text, for C5b to C5d; none leaves these out.
    """

    codes: Codes
    senses: Senses
    real_senses: Senses | None = None


TOPICS = Senses(
    "topics",
    20,
    senses=3,
    dim=16,
    batch_size=256,
    shared_steps=300,
    shared_rate=2e-2,
    own_steps=1000,
    own_rate=1e-2,
    kept_prior=0.2,
)
"""Generated text, the same in every preset: its claims are about what is known of it."""

QUICK = Preset(
    Codes(class_step=3, num_classes=6, vocab=1500, max_tokens=60, bits=32, real_dim=100, epochs=30, infer_steps=150), TOPICS
)
"""A laptop, less than a minute."""

STANDARD = Preset(
    Codes(bits=64, vocab=5000, max_tokens=200, epochs=60),
    TOPICS,
    Senses(
        "wikitext-2",
        25,
        vocab=6000,
        senses=3,
        dim=50,
        batch_size=256,
        shared_steps=500,
        shared_rate=1e-2,
        own_steps=1000,
        own_rate=5e-3,
    ),
)
"""One GPU, minutes."""

PAPER = Preset(Codes(ngrams=2), TOPICS, Senses())
"""128 bits and 300 numbers of news posts; 300-dimensional senses of Wikipedia."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
