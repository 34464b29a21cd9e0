"""Sizes of the model, and presets: what to train, how large, how long. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import optax

from quire.common.checks import check_at_least
from quire.common.train.recipe import Recipe

Corpus = Literal["wikitext-2", "wikitext-2 or markov", "refinedweb"]
ValueInit = Literal["xavier", "torch"]


@dataclass(frozen=True)
class PLDRConfig:
    """Sizes of a PLDR-LLM; the defaults are those of the paper's model of 110 M parameters.

    Attributes:
        vocab_size: token ids; 0 is padding.
        depth, num_heads, head_dim: decoder layers, heads, channels of a head (even, for the rotary pairs).
        ffn_dim: hidden width of the feed-forward part; two thirds of four times the channels, rounded down, for None.
        metric_dim: hidden width of the gated units inside of the metric learner (`A_dff`).
        residual_units: of the metric learner (`num_reslayerA`).
        glus: gated units in each of them (`num_denseA`).
        value_init: how the value maps start: as the other maps, or as PyTorch's default, which the authors' code leaves there by
            initialising the keys twice.

    Raises:
        ValueError: for a size below 1, an odd `head_dim`, or an unknown `value_init`.

    >>> PLDRConfig().dim, PLDRConfig().hidden_dim
    (896, 2389)
    """

    vocab_size: int = 32_000
    depth: int = 5
    num_heads: int = 14
    head_dim: int = 64
    ffn_dim: int | None = None
    metric_dim: int = 170
    residual_units: int = 8
    glus: int = 2
    value_init: ValueInit = "xavier"

    def __post_init__(self):
        for name in ("vocab_size", "depth", "num_heads", "head_dim", "metric_dim", "residual_units", "glus"):
            check_at_least(name, getattr(self, name))
        check_at_least("ffn_dim", self.hidden_dim)
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; rotary positions turn pairs of channels, so it must be even")
        if self.value_init not in get_args(ValueInit):
            raise ValueError(f"value_init is {self.value_init!r}; it must be one of {', '.join(get_args(ValueInit))}")

    @property
    def dim(self) -> int:
        """Channels of a token, those of all heads."""
        return self.num_heads * self.head_dim

    @property
    def hidden_dim(self) -> int:
        """Hidden width of the feed-forward part."""
        return self.dim * 8 // 3 if self.ffn_dim is None else self.ffn_dim


@dataclass(frozen=True)
class PLDRRecipe(Recipe):
    """AdamW as the paper uses it: every entry of a gradient clipped by value, the rate falling to a floor.

    Attributes:
        floor: fraction of the peak at which the cosine ends.
        clip: largest magnitude of an entry of the gradient, rather than of its norm.

    >>> rate = PLDRRecipe(steps=100, batch_size=8, learning_rate=1.0, warmup=0.1).rate()
    >>> [round(float(rate(step)), 4) for step in (0, 5, 10, 50, 100)]
    [0.0, 0.5, 1.0, 0.6281, 0.1]
    """

    floor: float = 0.1
    clip: float | None = 1.0
    b1: float = 0.9
    b2: float = 0.95
    weight_decay: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is {self.floor}; it must lie in [0, 1]")

    def rate(self) -> optax.Schedule:
        """`step / warm` during the warm-up, then `(1 - floor) / 2 (1 + cos(pi (step - warm) / (total - warm))) + floor`."""
        rise = round(self.warmup * self.steps)
        peak = self.learning_rate
        return optax.warmup_cosine_decay_schedule(0.0 if rise else peak, peak, rise, self.steps, end_value=self.floor * peak)

    def transformation(self, *, flat: bool = True) -> optax.GradientTransformation:
        """The optimiser, its moments as one vector by default."""
        adamw = optax.adamw(self.rate(), self.b1, self.b2, eps=1e-5, weight_decay=self.weight_decay)
        clip = optax.identity() if self.clip is None else optax.clip(self.clip)
        tx = optax.chain(clip, adamw)
        return optax.flatten(tx) if flat else tx


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        corpus, lm, training: text, sizes and recipe of the model that is trained.
        length: tokens of a sequence.
        prompts: held-out sequences on which tensors and losses are compared.
        step_config, step_length: sizes for counting the work of one decoding step, and the tokens before it.
    """

    corpus: Corpus
    lm: PLDRConfig
    training: PLDRRecipe
    length: int
    prompts: int = 32
    step_config: PLDRConfig = field(
        default_factory=lambda: PLDRConfig(vocab_size=64, depth=1, num_heads=2, head_dim=64, metric_dim=170, residual_units=8)
    )
    step_length: int = 128


_LETTERS = PLDRConfig(vocab_size=64, depth=2, num_heads=4, head_dim=12, metric_dim=31, residual_units=2)

QUICK = Preset(
    corpus="wikitext-2 or markov",
    lm=_LETTERS,
    training=PLDRRecipe(steps=500, batch_size=8, learning_rate=5e-3, warmup=40 / 500),
    length=48,
)
"""A laptop, a minute: two layers of 48 channels on letters."""

STANDARD = Preset(
    corpus="wikitext-2",
    lm=PLDRConfig(vocab_size=64, depth=4, num_heads=4, head_dim=64, metric_dim=170, residual_units=4),
    training=PLDRRecipe(steps=4000, batch_size=16, learning_rate=1e-3, warmup=0.05),
    length=256,
    prompts=64,
    step_config=PLDRConfig(depth=1),
    step_length=1024,
)
"""One GPU, minutes: four layers of 256 channels on letters of WikiText-2."""

PAPER = Preset(
    corpus="refinedweb",
    lm=PLDRConfig(),
    training=PLDRRecipe(steps=250_000, batch_size=32, learning_rate=1e-3, warmup=2000 / 250_000),
    length=1024,
    prompts=128,
    step_config=PLDRConfig(),
    step_length=1024,
)
"""The paper's model of 110 M parameters on tokens of RefinedWeb, 16 sequences for each of two devices."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
