"""Networks with one output per feature, which hand out the representations of their layers."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.layers.convolution import Conv
from quire.common.layers.transformer import TransformerBlock
from quire.common.random import generator
from quire.common.train.finite import leaf_name

START = 2
"""The token after the bits, at which the first feature is emitted."""


class Outputs(NamedTuple):
    """What a network makes of n inputs.

    Attributes:
        logits: scores of the classes 1, 2, ... of m features; that of class 0 is 0, so that two classes are a sigmoid.
        hidden: representations of the layers, first to last; the logits are linear in the last one.
    """

    logits: Float[Array, "n m others"]
    hidden: tuple[Float[Array, "n _"], ...]


class MLP(nnx.Module):
    """Perceptron: a layer is `relu(W h + b)`, and its representation what comes out of the ReLU.

    Args:
        dim: numbers of an input.
        widths: of the hidden layers.
        num_features: m.
        num_classes: of the feature that has most.
        rngs: for the initial weights.

    Raises:
        ValueError: without a hidden layer, or if a size is below 1 (`num_classes`: below 2).
    """

    def __init__(self, dim: int, widths: Sequence[int], num_features: int, num_classes: int = 2, *, rngs: nnx.Rngs):
        check_at_least("number of hidden layers", len(widths))
        for name, size in {"dim": dim, "smallest width": min(widths), "num_features": num_features}.items():
            check_at_least(name, size)
        self.hidden = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in zip((dim, *widths), widths, strict=False)])
        self.head = nnx.Linear(widths[-1], num_features * (check_at_least("num_classes", num_classes, 2) - 1), rngs=rngs)
        self.num_features = num_features

    def __call__(
        self,
        x: Float[Array, "n dim"],
        noise: Float[Array, "layers n width"] | None = None,
        dropout: float | Float[AnyArray, ""] = 0.0,
    ) -> Outputs:
        """Outputs; with noise, uniform numbers, units whose number is below `dropout` are off and the others scaled up."""
        hidden = []
        for layer, linear in enumerate(self.hidden):
            x = jax.nn.relu(linear(x))
            if noise is not None:
                x = jnp.where(noise[layer, :, : x.shape[1]] >= dropout, x / (1 - dropout), 0)
            hidden.append(x)
        return Outputs(self.head(x).reshape(len(x), self.num_features, -1), tuple(hidden))


class ConvNet(nnx.Module):
    """Convolutional network, with residual connections or without: `relu(s h + conv(relu(conv(h))))` with s = 1 or 0.

    Args:
        channels: of the stages; every stage begins with a convolution of stride 2.
        blocks: of two convolutions, a stage.
        num_features, num_classes: as for `MLP`.
        rngs: for the initial weights.

    Raises:
        ValueError: without a stage, or if a size is below 1 (`num_classes`: below 2).
    """

    def __init__(
        self, channels: Sequence[int], blocks: int, num_features: int, num_classes: int, *, in_channels: int = 3, rngs: nnx.Rngs
    ):
        check_at_least("number of stages", len(channels))
        check_at_least("blocks", blocks)
        widths = (in_channels, *channels)
        self.downs = nnx.List([Conv(a, b, stride=2, rngs=rngs) for a, b in zip(widths, channels, strict=False)])
        self.blocks = nnx.List([nnx.List([Conv(c, c, rngs=rngs) for _ in range(2 * blocks)]) for c in channels])
        self.head = nnx.Linear(channels[-1], num_features * (check_at_least("num_classes", num_classes, 2) - 1), rngs=rngs)
        self.num_features = check_at_least("num_features", num_features)

    def __call__(self, images: Num[AnyArray, "n h w c"], skip: float | Float[AnyArray, ""]) -> Outputs:
        """Outputs of images; `skip` is s. The representation of a stage is the mean over space of what leaves it."""
        h, hidden = jnp.asarray(images), []
        for down, convolutions in zip(self.downs, self.blocks, strict=True):
            h = jax.nn.relu(down(h))
            for first, second in zip(convolutions[::2], convolutions[1::2], strict=True):
                h = jax.nn.relu(skip * h + second(jax.nn.relu(first(h))))
            hidden.append(h.mean((1, 2)))
        return Outputs(self.head(hidden[-1]).reshape(len(h), self.num_features, -1), tuple(hidden))


class BitTransformer(nnx.Module):
    """Pre-norm transformer over bits as tokens.

    Args:
        bits: length of an input.
        extra: further tokens behind it.
        dim, depth, num_heads: channels, blocks, heads.
        causal: whether tokens see only what stands before them.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1 (`extra`: below 0), or `num_heads` does not divide `dim`.
    """

    def __init__(self, bits: int, extra: int, dim: int, depth: int, num_heads: int, *, causal: bool, rngs: nnx.Rngs):
        for name, size in {"bits": bits, "dim": dim, "depth": depth}.items():
            check_at_least(name, size)
        length = bits + check_at_least("extra", extra, 0)
        self.embed = nnx.Embed(3, dim, rngs=rngs)
        self.positions = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (length, dim)))
        self.blocks = nnx.List(
            [TransformerBlock(dim, num_heads, mlp_dim=2 * dim, causal=causal, rngs=rngs) for _ in range(depth)]
        )
        self.norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)

    def __call__(self, tokens: Int[Array, "n t"]) -> list[Float[Array, "n t dim"]]:
        """Tokens after every block, and after the last one also normalised."""
        x = self.embed(tokens)
        x = x + jnp.broadcast_to(self.positions[...], x.shape)
        graph = nnx.graphdef(self.blocks[0])

        def apply(x, state):  # blocks are alike: compiled once
            x = nnx.merge(graph, state)(x)
            return x, x

        states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[nnx.state(block) for block in self.blocks])
        x, layers = jax.lax.scan(apply, x, states)
        return [*layers, self.norm(x)]


class FeatureEncoder(nnx.Module):
    """Transformer encoder: the representation is the mean of the tokens, with all outputs on it.

    Args:
        bits, dim, depth, num_heads: see `BitTransformer`.
        num_features, num_classes: as for `MLP`.
        rngs: for the initial weights.
    """

    def __init__(self, bits: int, num_features: int, num_classes: int, *, dim: int, depth: int, num_heads: int, rngs: nnx.Rngs):
        self.body = BitTransformer(bits, 0, dim, depth, num_heads, causal=False, rngs=rngs)
        self.head = nnx.Linear(dim, num_features * (check_at_least("num_classes", num_classes, 2) - 1), rngs=rngs)
        self.num_features = check_at_least("num_features", num_features)

    def __call__(self, x: Num[Array, "n bits"]) -> Outputs:
        """Outputs of bits."""
        hidden = tuple(tokens.mean(1) for tokens in self.body(x.astype(jnp.int32)))
        return Outputs(self.head(hidden[-1]).reshape(len(x), self.num_features, -1), hidden)


class FeatureDecoder(nnx.Module):
    """Decoder-only transformer: after the bits it emits the features as tokens, one after the other.

    Args:
        bits, dim, depth, num_heads: see `BitTransformer`.
        num_features: m, each of two classes.
        rngs: for the initial weights.
    """

    def __init__(self, bits: int, num_features: int, *, dim: int, depth: int, num_heads: int, rngs: nnx.Rngs):
        self.body = BitTransformer(
            bits, check_at_least("num_features", num_features), dim, depth, num_heads, causal=True, rngs=rngs
        )
        self.head = nnx.Linear(dim, 1, rngs=rngs)
        self.bits = bits

    def __call__(self, x: Num[Array, "n bits"], features: Int[Array, "n m"]) -> Outputs:
        """Outputs for bits and the features emitted so far: feature i is read at the token before it, and the last is not read.

        The representations are, block by block, the mean of the bits' tokens, which see no feature, and the tokens at which
        features are emitted, side by side.
        """
        x, features = x.astype(jnp.int32), features.astype(jnp.int32)
        tokens = jnp.concatenate([x, jnp.full((len(x), 1), START), features[:, :-1]], axis=1)
        *layers, last = self.body(tokens)
        hidden = [(layer[:, : self.bits].mean(1), layer[:, self.bits :].reshape(len(x), -1)) for layer in layers]
        return Outputs(self.head(last[:, self.bits :]), tuple(rep for pair in hidden for rep in pair))

    def decode(self, x: Num[Array, "n bits"]) -> Int[Array, "n m"]:
        """Features, each emitted after reading those that the network itself emitted before."""
        count = self.body.positions.shape[0] - self.bits

        def emit(slot, features):
            found = self(x, features).logits[:, :, 0] > 0
            return jnp.where(jnp.arange(count)[None] == slot, found, features).astype(jnp.int32)

        return jax.lax.fori_loop(0, count, emit, jnp.zeros((len(x), count), jnp.int32))


def class_logits(logits: Float[Array, "n m others"], classes: Int[AnyArray, " m"]) -> Float[Array, "n m classes"]:
    """Scores of all classes: 0 for the first, and next to minus infinity for those that a feature does not have."""
    full = jnp.concatenate([jnp.zeros_like(logits[..., :1]), logits], axis=-1)
    exists = jnp.arange(full.shape[-1])[None] < jnp.asarray(classes)[:, None]
    return jnp.where(exists[None], full, -1e9)


def feature_loss(
    outputs: Outputs, labels: Int[AnyArray, "n m"], classes: Int[AnyArray, " m"], weights: Float[AnyArray, "#n m"]
) -> Float[Array, ""]:
    """Sum over features of the mean cross-entropy in nats, each example weighted.

    Args:
        outputs: of the network.
        labels: classes.
        classes: number of classes of each feature.
        weights: of every feature, or of every example and feature: 0 where it is not trained.
    """
    logs = jax.nn.log_softmax(class_logits(outputs.logits, classes))
    picked = jnp.take_along_axis(logs, jnp.asarray(labels)[..., None], axis=-1)[..., 0]
    return -jnp.sum(jnp.mean(picked * weights, axis=0))


def initial_state(build, key: jax.Array) -> tuple[nnx.GraphDef, nnx.State]:
    """Graph and parameters of a network, kernels and embeddings normal with variance 1 / fan in, biases zero; drawn on the host.

    Args:
        build: makes the network from its `nnx.Rngs`.
        key: for the weights.

    Returns:
        Parameters as NumPy arrays. An embedding's fan in is its channels.
    """
    graph, shapes = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))), nnx.Param)
    draw = generator(key)

    def fill(path, leaf):
        name, shape = leaf_name(path).split(".")[-1], leaf.shape
        if name in ("kernel", "embedding", "positions"):
            fan_in = int(np.prod(shape[:-1])) if name == "kernel" else shape[-1]
            return (draw.standard_normal(shape) * fan_in**-0.5).astype(np.float32)
        return np.full(shape, float(name == "scale"), np.float32)

    return graph, jax.tree.map_with_path(fill, shapes)
