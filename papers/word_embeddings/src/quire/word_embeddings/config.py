"""Sizes of the experiments at the three presets. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.word_embeddings.blocks import Schedule
from quire.word_embeddings.char_word import CharWordConfig
from quire.word_embeddings.models import Model

LESS_THAN_AN_EPOCH = Schedule(830, shared=256, snapshots=5)
THREE_EPOCHS = Schedule(117, shared=64, snapshots=9, held_out=0.0)
JOINT = CharWordConfig()


@dataclass(frozen=True)
class ReplayConfig:
    """C1 and C2: random examples, and random counts."""

    vocab_size: int = 12
    dim: int = 4
    window: int = 2
    negatives: int = 3
    examples: int = 40
    sgns_negatives: int = 5
    sgns_steps: int = 300


@dataclass(frozen=True)
class EnglishConfig:
    """C3: a real corpus. The rate is that of gradients summed over a step."""

    corpus: Literal["english", "text8"] = "english"
    min_count: int = 10
    dim: int = 50
    window: int = 5
    negatives: int = 5
    lr: float = 0.1
    schedule: Schedule = LESS_THAN_AN_EPOCH
    cw_shared: int = 16
    """shared negatives of C&W, each of which costs a hidden layer"""


@dataclass(frozen=True)
class GrammarConfig:
    """C4: the class-based text."""

    tokens: int = 40_000
    classes: int = 20
    words: int = 10
    dim: int = 16
    window: int = 2
    lr: float = 0.1
    schedule: Schedule = THREE_EPOCHS


@dataclass(frozen=True)
class GuidelineConfig:
    """Model by corpus size by dimension, on the text of C4 or of C3."""

    real: bool = False
    models: tuple[Model, ...] = ("skipgram", "nnlm")
    shares: tuple[float, ...] = (0.1, 0.3, 1.0)
    dims: tuple[int, ...] = (16,)


@dataclass(frozen=True)
class MarkerConfig:
    """C5: the order of two words."""

    train: int = 4000
    test: int = 1000
    length: int = 32
    gap: tuple[int, int] = (4, 20)
    fillers: int = 40
    embed_dim: int = 24
    context_dim: int = 24
    hidden: int = 48
    steps: int = 300
    batch: int = 50
    lr: float = 4e-3


@dataclass(frozen=True)
class NewsConfig:
    """C5b: news posts of four super-classes."""

    words: int = 200
    min_count: int = 10
    dim: int = 50
    hidden: int = 100
    steps: int = 2000
    batch: int = 64
    lr: float = 1e-3


@dataclass(frozen=True)
class ChineseConfig:
    """C6: joint vectors, and the tagger on them."""

    vectors: CharWordConfig = JOINT
    reach: int = 2
    hidden: int = 100
    steps: int = 2000


@dataclass(frozen=True)
class Config:
    """All experiments; without `news` or `chinese` C5b or C6 are not tested."""

    replay: ReplayConfig = ReplayConfig()
    english: EnglishConfig = EnglishConfig()
    grammar: GrammarConfig = GrammarConfig()
    guideline: GuidelineConfig = GuidelineConfig()
    markers: MarkerConfig = MarkerConfig()
    news: NewsConfig | None = None
    chinese: ChineseConfig | None = None


quick = Config()

standard = replace(
    quick,
    english=replace(quick.english, dim=100, schedule=Schedule(15_000, snapshots=10)),
    grammar=replace(quick.grammar, tokens=200_000, schedule=Schedule(585, shared=64, snapshots=9, held_out=0.0)),
    guideline=GuidelineConfig(
        True, ("skipgram", "cbow", "order", "lbl", "nnlm", "cw"), shares=(0.03, 0.1, 0.3, 1.0), dims=(25, 50, 100)
    ),
    markers=replace(quick.markers, length=80, gap=(20, 60), steps=1000),
    news=NewsConfig(),
    chinese=ChineseConfig(),
)

paper = replace(
    standard,
    english=replace(standard.english, corpus="text8", dim=200, schedule=Schedule(200_000, snapshots=20)),
    guideline=replace(standard.guideline, dims=(50, 100, 200, 300)),
    news=NewsConfig(words=400, steps=10_000),
    chinese=ChineseConfig(CharWordConfig(dim=100, steps=10_000)),
)
