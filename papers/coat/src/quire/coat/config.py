"""Presets: what to train, how large, how long. A preset changes sizes, never the code path."""

from dataclasses import dataclass
from typing import Literal

from quire.coat.block import Style
from quire.common.train.recipe import Recipe

Corpus = Literal["markov", "wikitext-2", "openwebtext"]


@dataclass(frozen=True)
class LanguageModelConfig:
    """Sizes of a language model.

    Attributes:
        dim, depth, num_heads, hidden_dim: channels, blocks, heads, width of the MLP.
        vocab_size, max_length: token ids, longest sequence.
        style: `"llama"` or `"gpt"`, see `CoatBlock`.
    """

    dim: int
    depth: int
    num_heads: int
    hidden_dim: int
    vocab_size: int
    max_length: int
    style: Style = "llama"


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        corpus, lm, training: the language model that is trained in float32 and in eight bits.
        markov_concentration: of the transitions of generated text.
        mlp_widths, mlp_training: the ReLU network on digits, whose dead units make moments that span many decades; it is not
            trained for None.
        last: steps at the end whose mean loss is compared.
        rows, dim, hidden_dim: activations of the half-block of C6.
        memory_block, memory_batch: block and sequences whose saved activations are counted; Llama-2's proportions where the
            language model is not OLMo-1B itself.
    """

    corpus: Corpus
    lm: LanguageModelConfig
    training: Recipe
    memory_block: LanguageModelConfig
    memory_batch: int
    markov_concentration: float = 0.05
    mlp_widths: tuple[int, ...] = (64, 128, 128, 10)
    mlp_training: Recipe | None = None
    last: int = 20
    rows: int = 256
    dim: int = 64
    hidden_dim: int = 128


_TINY = LanguageModelConfig(64, 1, 4, 128, vocab_size=27, max_length=32)
_BYTES = LanguageModelConfig(512, 8, 8, 1408, vocab_size=256, max_length=512)
_OLMO_1B = LanguageModelConfig(2048, 16, 16, 8192, vocab_size=256, max_length=2048)
_DIGITS = Recipe(steps=400, batch_size=64, learning_rate=3e-3, schedule="constant", weight_decay=0.01)

QUICK = Preset(
    corpus="markov",
    lm=_TINY,
    training=Recipe(steps=150, batch_size=16, learning_rate=3e-3, schedule="constant", weight_decay=0.01),
    memory_block=LanguageModelConfig(128, 1, 4, 352, vocab_size=27, max_length=64),
    memory_batch=4,
)
"""A laptop, a minute: one block on generated text."""

STANDARD = Preset(
    corpus="wikitext-2",
    lm=_BYTES,
    training=Recipe(steps=2000, batch_size=16, learning_rate=3e-4, warmup=0.05, weight_decay=0.1, b2=0.95),
    memory_block=LanguageModelConfig(1024, 1, 16, 2816, vocab_size=256, max_length=1024),
    memory_batch=8,
    mlp_training=_DIGITS,
    last=100,
    rows=4096,
    dim=1024,
    hidden_dim=2816,
)
"""One GPU, minutes: 22 M parameters on bytes of WikiText-2."""

PAPER = Preset(
    corpus="openwebtext",
    lm=_OLMO_1B,
    training=Recipe(steps=150_000, batch_size=1024, learning_rate=4e-4, warmup=0.013, weight_decay=0.1, b2=0.95),
    memory_block=_OLMO_1B,
    memory_batch=4,
    mlp_training=_DIGITS,
    last=1000,
    rows=8192,
    dim=4096,
    hidden_dim=11008,
)
"""The sizes of the paper: OLMo-1B over 300 billion tokens, here bytes of OpenWebText; half-blocks of Llama-2-7B."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
