"""Sizes of the network, and what each of its blocks is by the Next Hybrid Strategy."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.convolution import Conv
from quire.common.layers.initialisers import normal
from quire.common.layers.norms import BatchNorm

Norm = Literal["batch", "layer"]
Activation = Literal["relu", "gelu"]
Mixer = Literal["mhca", "mhsa", "pool"]
Strategy = Literal["hybrid", "convolution", "attention last"]
Kind = Literal["NCB", "NTB"]


def make_divisible(value: float, divisor: int = 32) -> int:
    """The multiple of `divisor` nearest to a width, at least one and never below nine tenths of the width.

    Raises:
        ValueError: if the width or the divisor is not positive.

    >>> [make_divisible(0.75 * width) for width in (256, 512, 1024)], make_divisible(44)
    ([192, 384, 768], 64)
    """
    if value <= 0 or divisor < 1:
        raise ValueError(f"value is {value} and divisor {divisor}; they must be positive")
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def _check_name(argument: str, name: str, allowed: object) -> None:
    if name not in get_args(allowed):
        raise ValueError(f"{argument} is {name!r}; it must be one of {', '.join(get_args(allowed))}")


@dataclass(frozen=True)
class Style:
    """What all blocks have in common.

    Attributes:
        norm: `batch` in the paper, which folds into the convolutions, or `layer`.
        activation: `relu` in the paper, or `gelu`.
        init_std: standard deviation of initial weights, biases being zero; None for `1 / sqrt(fan_in)`, which suits narrow
            networks.

    Raises:
        ValueError: for an unknown name or a negative deviation.
    """

    norm: Norm = "batch"
    activation: Activation = "relu"
    init_std: float | None = 0.02

    def __post_init__(self):
        _check_name("norm", self.norm, Norm)
        _check_name("activation", self.activation, Activation)
        if self.init_std is not None and self.init_std < 0:
            raise ValueError(f"init_std is {self.init_std}; it must be at least 0, or None")

    def init(self, key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        """Initial weights of a convolution or linear map, `[*size, in, out]`."""
        std = self.init_std if self.init_std is not None else math.prod(shape[:-1]) ** -0.5
        return normal(std)(key, shape, dtype)

    def linear(self, before: int, after: int, *, use_bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
        """A linear map, which is a 1 x 1 convolution here."""
        return nnx.Linear(before, after, use_bias=use_bias, kernel_init=self.init, rngs=rngs)

    def conv3x3(self, before: int, after: int, *, rngs: nnx.Rngs, dilation: int = 1, **options: Any) -> Conv:
        """A 3 x 3 convolution without bias, padded at all ends so that stride 1 keeps the size."""
        padding = ((dilation, dilation),) * 2
        return Conv(
            before, after, 3, padding=padding, dilation=dilation, use_bias=False, kernel_init=self.init, rngs=rngs, **options
        )

    def make_norm(self, channels: int, rngs: nnx.Rngs) -> nnx.Module:
        """A normaliser over the last axis."""
        return BatchNorm(channels) if self.norm == "batch" else nnx.LayerNorm(channels, epsilon=1e-5, rngs=rngs)

    def activate(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The activation, number by number."""
        return jax.nn.relu(x) if self.activation == "relu" else jax.nn.gelu(x, approximate=False)


BN_RELU = Style()


@dataclass(frozen=True)
class Stage:
    """`(NCB x ncbs + NTB x 1) x repeats`, the pattern of a stage.

    Attributes:
        channels: of the convolution blocks.
        ncbs: convolution blocks in a repeat.
        ntb_channels: of the transformer block that ends a repeat; 0 for none.
        repeats: of the pattern.
        stride: of the first block, 1 or 2.
        sr_ratio: attention reads one key for every `sr_ratio ** 2` tokens.

    Raises:
        ValueError: if a size is out of its range, or there is no block.
    """

    channels: int
    ncbs: int
    ntb_channels: int = 0
    repeats: int = 1
    stride: int = 2
    sr_ratio: int = 1

    def __post_init__(self):
        if min(self.channels, self.repeats, self.sr_ratio) < 1 or min(self.ncbs, self.ntb_channels) < 0:
            raise ValueError(f"{self}: channels, repeats and sr_ratio must be at least 1, the others not negative")
        if self.ncbs == 0 and self.ntb_channels == 0:
            raise ValueError(f"{self}: a stage needs blocks; ncbs and ntb_channels are both 0")
        if self.stride not in (1, 2):
            raise ValueError(f"stride is {self.stride}; it must be 1 or 2")

    @property
    def pattern(self) -> list[tuple[Kind, int]]:
        """Kind and channels of every block."""
        return ([("NCB", self.channels)] * self.ncbs + [("NTB", self.ntb_channels)] * (self.ntb_channels > 0)) * self.repeats


@dataclass(frozen=True)
class BlockPlan:
    """Everything that a block is made from.

    Attributes:
        kind: `NCB` or `NTB`.
        before, after: channels.
        hidden_dim: of the MLP.
        attention_dim: of the attention, c_t; those left of `after` are the convolution's, c_c. 0 in an NCB.
        stride, sr_ratio, dilation: of its pooling, its attention, its 3 x 3 convolution.
        drop_path: probability to drop a branch.
    """

    kind: Kind
    before: int
    after: int
    hidden_dim: int
    attention_dim: int
    stride: int
    sr_ratio: int
    dilation: int
    drop_path: float


@dataclass(frozen=True)
class NextViTConfig:
    """A Next-ViT; the defaults are Next-ViT-S on ImageNet-1K.

    Attributes:
        stages: their patterns.
        stem: channels and stride of every 3 x 3 convolution before them.
        head_dim: channels of a head, and of a group of the convolutions.
        mix_ratio: share of an NTB's channels that attention makes; 1 leaves the convolution out.
        ncb_mlp_ratio, ntb_mlp_ratio: hidden width of the MLPs in units of the channels.
        divisor: of the rounded widths.
        drop_path: probability to drop a branch of the last block; it rises linearly from 0 over the blocks.
        in_channels, num_classes: of images and logits.
        strategy: `hybrid` is the paper's; `convolution` puts an NCB in place of every NTB; `attention last` has NTBs throughout
            the last stage and nowhere else.
        mixer: of tokens in an NCB: `mhca`; `mhsa`, attention without reduction; `pool`, the mean of 3 x 3 minus x, of
            PoolFormer.
        style: normaliser, activation and initial weights.
        extra_norms: one more normaliser behind every stage, for dense tasks.
        dilate_last: the last stage keeps the resolution of the one before and dilates its convolutions instead.

    Raises:
        ValueError: if a size is out of its range, `head_dim` does not divide channels, or a name is unknown.
    """

    stages: tuple[Stage, ...] = (
        Stage(96, 3, stride=1, sr_ratio=8),
        Stage(192, 3, 256, sr_ratio=4),
        Stage(384, 4, 512, repeats=2, sr_ratio=2),
        Stage(768, 2, 1024),
    )
    stem: tuple[tuple[int, int], ...] = ((64, 2), (32, 1), (64, 1), (64, 2))
    head_dim: int = 32
    mix_ratio: float = 0.75
    ncb_mlp_ratio: float = 3.0
    ntb_mlp_ratio: float = 2.0
    divisor: int = 32
    drop_path: float = 0.1
    in_channels: int = 3
    num_classes: int = 1000
    strategy: Strategy = "hybrid"
    mixer: Mixer = "mhca"
    style: Style = BN_RELU
    extra_norms: bool = False
    dilate_last: bool = False

    def __post_init__(self):
        _check_name("strategy", self.strategy, Strategy)
        _check_name("mixer", self.mixer, Mixer)
        if not self.stages or not self.stem:
            raise ValueError(f"stages has {len(self.stages)} entries and stem {len(self.stem)}; both need at least 1")
        if min(self.head_dim, self.in_channels, self.num_classes, *(min(pair) for pair in self.stem)) < 1:
            raise ValueError(
                f"head_dim is {self.head_dim}, in_channels {self.in_channels}, num_classes {self.num_classes}, stem {self.stem}; "
                "all must be at least 1"
            )
        if not 0 < self.mix_ratio <= 1 or not 0 <= self.drop_path < 1:
            raise ValueError(f"mix_ratio is {self.mix_ratio} and drop_path {self.drop_path}; they lie in (0, 1] and [0, 1)")
        for plan in self.blocks:
            _check_heads(plan, self.head_dim)

    @property
    def patterns(self) -> list[list[tuple[Kind, int]]]:
        """Kind and channels of the blocks of every stage, by the strategy."""
        patterns = [stage.pattern for stage in self.stages]
        if self.strategy == "hybrid":
            return patterns
        last: Kind = "NTB" if self.strategy == "attention last" else "NCB"
        kinds: list[Kind] = ["NCB"] * (len(patterns) - 1) + [last]
        return [[(kind, channels) for _, channels in pattern] for kind, pattern in zip(kinds, patterns, strict=True)]

    @property
    def stage_ends(self) -> list[int]:
        """Index of the last block of every stage."""
        return (np.cumsum([len(pattern) for pattern in self.patterns]) - 1).tolist()

    @property
    def blocks(self) -> list[BlockPlan]:
        """The blocks, one after the other through all stages."""
        rates = np.linspace(0, self.drop_path, sum(map(len, self.patterns))).tolist()
        plans, before = [], self.stem[-1][0]
        for number, (stage, pattern) in enumerate(zip(self.stages, self.patterns, strict=True), start=1):
            dilated = self.dilate_last and number == len(self.stages)
            for place, (kind, after) in enumerate(pattern):
                plans.append(
                    BlockPlan(
                        kind=kind,
                        before=before,
                        after=after,
                        hidden_dim=make_divisible(
                            after * (self.ncb_mlp_ratio if kind == "NCB" else self.ntb_mlp_ratio), self.divisor
                        ),
                        attention_dim=make_divisible(int(after * self.mix_ratio), self.divisor) if kind == "NTB" else 0,
                        stride=stage.stride if place == 0 and not dilated else 1,
                        sr_ratio=stage.sr_ratio,
                        dilation=2 if dilated and stage.stride == 2 else 1,
                        drop_path=rates[len(plans)],
                    )
                )
                before = after
        return plans


def _check_heads(plan: BlockPlan, head_dim: int) -> None:
    if plan.kind == "NCB" and plan.after % head_dim:
        raise ValueError(f"head_dim is {head_dim}; it must divide the {plan.after} channels of an NCB")
    conv_dim = plan.after - plan.attention_dim
    if plan.kind == "NTB" and (conv_dim < 0 or plan.attention_dim % head_dim or conv_dim % head_dim):
        raise ValueError(
            f"head_dim is {head_dim}; an NTB of {plan.after} channels gives {plan.attention_dim} to attention and {conv_dim} to "
            "convolution, which must not be negative and which head_dim must divide"
        )


def _deeper(repeats: int) -> NextViTConfig:
    first, second, third, last = NextViTConfig().stages
    return NextViTConfig((first, second, replace(third, repeats=repeats), last), drop_path=0.2)


SMALL, BASE, LARGE = NextViTConfig(), _deeper(4), _deeper(6)
"""Next-ViT-S, -B and -L: 2, 4 and 6 repeats in the third stage."""


def ablations(config: NextViTConfig) -> dict[str, NextViTConfig]:
    """The designs that the paper compares with, by name, each one change away from `config`."""
    unreduced = tuple(replace(stage, sr_ratio=1) for stage in config.stages)
    return {
        "convolution only": replace(config, strategy="convolution"),
        "attention in the last stage only": replace(config, strategy="attention last"),
        "NTB without MHCA": replace(config, mix_ratio=1.0),
        "attention without reduction": replace(config, stages=unreduced, mix_ratio=1.0),
        "LN and GELU": replace(config, style=replace(config.style, norm="layer", activation="gelu")),
        "MHSA in NCB": replace(config, mixer="mhsa"),
        "pooling in NCB": replace(config, mixer="pool"),
    }
