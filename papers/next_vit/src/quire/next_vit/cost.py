"""Parameters and multiplications of a network, counted from its configuration alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from quire.next_vit.config import BlockPlan, NextViTConfig


@dataclass(frozen=True)
class Cost:
    """Of one part of the network.

    Attributes:
        name: of the part.
        side: height and width of what it makes.
        channels: of what it makes.
        params: trained numbers.
        macs: multiply-accumulate operations of convolutions, linear maps and the two products of attention.
    """

    name: str
    side: tuple[int, int]
    channels: int
    params: int
    macs: int


def costs(config: NextViTConfig, size: tuple[int, int] = (224, 224)) -> list[Cost]:
    """Cost of every part for one image of `(height, width)`: the convolutions of the stem, the blocks, the classifier.

    Raises:
        ValueError: if the style or the mixer is not the paper's, which is what is counted here, or the image is empty.
    """
    if config.style.norm != "batch" or config.mixer != "mhca":
        raise ValueError(
            f"config has norm {config.style.norm!r} and mixer {config.mixer!r}; what is counted is 'batch' and 'mhca'"
        )
    if min(size) < 1:
        raise ValueError(f"size is {size}; an image has at least one pixel")
    found, before = [], config.in_channels
    for number, (channels, stride) in enumerate(config.stem):
        size = _strided(size, stride)
        weights = 9 * before * channels
        found.append(Cost(f"stem {number + 1}", size, channels, weights + 2 * channels, weights * size[0] * size[1]))
        before = channels
    for plan in config.blocks:
        size = _strided(size, plan.stride)
        parts = list(_block(plan, config.head_dim, size[0] * size[1]))
        params, macs = (sum(column) for column in zip(*parts, strict=True))
        found.append(Cost(plan.kind, size, plan.after, params, macs))
        before = plan.after
    extra = sum(2 * config.blocks[end].after for end in config.stage_ends[:-1]) if config.extra_norms else 0
    head = before * config.num_classes
    found.append(Cost("head", (1, 1), config.num_classes, 2 * before + extra + head + config.num_classes, head))
    return found


def count_params(config: NextViTConfig) -> int:
    """Trained numbers of the network.

    >>> from quire.next_vit.config import SMALL
    >>> count_params(SMALL)
    31763368
    """
    return sum(cost.params for cost in costs(config))


def count_macs(config: NextViTConfig, size: tuple[int, int] = (224, 224)) -> int:
    """Multiply-accumulate operations for one image of `(height, width)`.

    >>> from quire.next_vit.config import SMALL
    >>> count_macs(SMALL)
    5794420224
    """
    return sum(cost.macs for cost in costs(config, size))


def attention_macs(tokens: int, channels: int, sr_ratio: int = 1) -> tuple[int, int]:
    """Multiply-accumulate operations of E-MHSA: those of scores and weighted sums, and those of the four linear maps.

    >>> attention_macs(64, 32), attention_macs(64, 32, sr_ratio=2)
    ((262144, 262144), (65536, 163840))
    """
    keys = tokens // sr_ratio**2
    return 2 * tokens * keys * channels, 2 * (tokens + keys) * channels**2


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)


def _block(plan: BlockPlan, head_dim: int, tokens: int) -> Iterator[tuple[int, int]]:
    """Parameters and operations of the parts of a block."""
    first = plan.attention_dim or plan.after
    if plan.stride == 2 or plan.before != first:
        yield _conv(plan.before * first, first, tokens)
    conv_dim = plan.after - plan.attention_dim
    if plan.attention_dim:
        norms = 2 if plan.sr_ratio > 1 else 1
        yield 4 * first * (first + 1) + norms * 2 * first, sum(attention_macs(tokens, first, plan.sr_ratio))
        if conv_dim and conv_dim != first:
            yield _conv(first * conv_dim, conv_dim, tokens)
    if conv_dim:
        yield _conv(9 * head_dim * conv_dim, conv_dim, tokens)
        yield conv_dim**2, conv_dim**2 * tokens
    products = 2 * plan.after * plan.hidden_dim
    yield products + plan.hidden_dim + 3 * plan.after, products * tokens


def _conv(weights: int, channels: int, tokens: int) -> tuple[int, int]:
    """A convolution and its normaliser."""
    return weights + 2 * channels, weights * tokens
