"""Small models of the three kinds that the paper quantises, each a chain of blocks: residual convolutions, encoder, decoder."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.layers.convolution import Conv
from quire.common.layers.norms import BatchNorm, fold_batchnorm
from quire.common.layers.resnet import ResNet
from quire.common.layers.transformer import TokenLM, vit_block
from quire.common.random import generator
from quire.common.train.seeds import Build
from quire.common.train.step import Model


class Chain(nnx.Module):
    """Blocks, one after the other: what `quantize_model` takes.

    Args:
        stages: modules of one argument each.
    """

    def __init__(self, stages: Iterable[nnx.Module]):
        self.stages = nnx.List(list(stages))

    def __call__(self, x: Array | np.ndarray) -> Array:
        out = jnp.asarray(x)
        for stage in self.stages:
            out = stage(out)
        return out


# --- Images ---


class DenseAct(nnx.Module):
    """A linear map of flattened inputs, and ReLU unless it is the last.

    Args:
        dim, out: channels before and after.
        last: without ReLU.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, out: int, *, last: bool = False, rngs: nnx.Rngs):
        self.dense = nnx.Linear(dim, out, kernel_init=nnx.initializers.he_normal(), rngs=rngs)
        self.last = last

    def __call__(self, x: Float[Array | np.ndarray, "n *shape"]) -> Float[Array, "n out"]:
        y = self.dense(jnp.reshape(x, (len(x), -1)))
        return y if self.last else jax.nn.relu(y)


def mlp(widths: Sequence[int], *, rngs: nnx.Rngs) -> Chain:
    """ReLU layers; the block of a reconstruction is a layer.

    >>> mlp((64, 96, 10), rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 1))).shape
    (2, 10)
    """
    pairs = list(pairwise(widths))
    return Chain(DenseAct(*pair, last=number == len(pairs) - 1, rngs=rngs) for number, pair in enumerate(pairs))


class PooledClassifier(nnx.Module):
    """A norm, the mean over all positions, a linear map.

    Args:
        dim, classes: channels, logits.
        norm: before the mean, or None.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, classes: int, *, norm: nnx.Module | None = None, rngs: nnx.Rngs):
        self.norm, self.head = norm, nnx.Linear(dim, classes, rngs=rngs)

    def __call__(self, x: Float[Array, "n *positions dim"]) -> Float[Array, "n classes"]:
        x = x if self.norm is None else self.norm(x)
        return self.head(x.mean(tuple(range(1, x.ndim - 1))))


class ResNetStem(nnx.Module):
    """Everything of a `ResNet` before its first block."""

    def __init__(self, model: ResNet):
        self.stem, self.pools = model.stem, model.pools

    __call__ = ResNet.entry


def residual_network(model: ResNet, classes: int, *, rngs: nnx.Rngs) -> Chain:
    """A `ResNet` with a classifier as a chain: stem, residual blocks, pooled classifier. The parameters are shared.

    >>> resnet = ResNet((1, 1), width=4, stem="cifar", in_channels=1, rngs=nnx.Rngs(0))
    >>> residual_network(resnet, 10, rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 1))).shape
    (2, 10)
    """
    blocks = [block for stage in model.stages for block in stage]
    dim = blocks[-1].layers[-1].norm.mean.shape[0]
    return Chain([ResNetStem(model), *blocks, PooledClassifier(dim, classes, rngs=rngs)])


class Unchanged(nnx.Module):
    """What is left of a normaliser that has become part of the weights."""

    def __call__(self, x: Array) -> Array:
        return x


def fold(model: Model) -> Model:
    """A copy in which every batch norm after a convolution has become part of its weights and bias.

    It holds for modules with a `conv` and a `norm` of its output, as `ConvNorm` and `ConvNormAct` are.

    >>> resnet = ResNet((1,), width=4, stem="cifar", rngs=nnx.Rngs(0))
    >>> resnet.eval()
    >>> x = jnp.ones((2, 8, 8, 3))
    >>> bool(jnp.allclose(fold(resnet)(x), resnet(x), atol=1e-5))
    True
    """
    model = nnx.merge(*nnx.split(model))
    modules: list[tuple[tuple, Any]] = list(nnx.iter_modules(model))
    for _, module in modules:
        conv, norm = getattr(module, "conv", None), getattr(module, "norm", None)
        if isinstance(conv, Conv) and isinstance(norm, BatchNorm):
            kernel, bias = fold_batchnorm(conv.kernel[...], None if conv.bias is None else conv.bias[...], norm)
            conv.kernel, conv.bias, module.norm = nnx.Param(kernel), nnx.data(nnx.Param(bias)), Unchanged()
    return model


# --- Text ---


class TokenStem(nnx.Module):
    """Embeddings and positions of a `TokenLM`."""

    def __init__(self, model: TokenLM):
        self.embed, self.positions = model.embed, model.positions

    def __call__(self, tokens: Int[Array | np.ndarray, "n t"]) -> Float[Array, "n t dim"]:
        return self.embed(jnp.asarray(tokens)) + self.positions[None, : tokens.shape[1]]


class ReadOut(nnx.Module):
    """Last norm and head of a `TokenLM`."""

    def __init__(self, model: TokenLM):
        self.norm, self.head = model.norm, model.head

    def __call__(self, x: Float[Array, "n t dim"]) -> Float[Array, "n t vocab"]:
        return self.head(self.norm(x))


def chain_of(model: TokenLM) -> Chain:
    """A language model as a chain: embedding, blocks, head. The parameters are shared.

    >>> lm = TokenLM(vocab_size=5, max_length=4, dim=8, depth=2, block=vit_block(8, 2, causal=True), rngs=nnx.Rngs(0))
    >>> len(chain_of(lm).stages)
    4
    """
    return Chain([TokenStem(model), *model.blocks, ReadOut(model)])


def decoder(vocab_size: int, max_length: int, dim: int, depth: int, num_heads: int, *, rngs: nnx.Rngs) -> Chain:
    """A small GPT: logits `[n, t, vocab_size]` of the next token."""
    return chain_of(_token_model(vocab_size, max_length, dim, depth, num_heads, True, rngs))


def encoder(vocab_size: int, max_length: int, dim: int, depth: int, num_heads: int, classes: int, *, rngs: nnx.Rngs) -> Chain:
    """A small BERT-like classifier of texts: logits `[n, classes]`."""
    model = _token_model(vocab_size, max_length, dim, depth, num_heads, False, rngs)
    return Chain([TokenStem(model), *model.blocks, PooledClassifier(dim, classes, norm=model.norm, rngs=rngs)])


def _token_model(vocab_size: int, max_length: int, dim: int, depth: int, num_heads: int, causal: bool, rngs: nnx.Rngs) -> TokenLM:
    block = vit_block(dim, num_heads, causal=causal)
    return TokenLM(vocab_size=vocab_size, max_length=max_length, dim=dim, depth=depth, block=block, rngs=rngs)


# --- Initial weights ---


def drawn(build: Build[Model], key: jax.Array) -> Model:
    """A model with initial weights that are drawn on the host: JAX would compile a generator for every shape.

    Kernels are normal with variance `2 / fan_in` in convolutions and dense ReLU layers, `1 / fan_in` elsewhere; embeddings and
    positions `N(0, 0.02^2)`; all else is what the layers start with, zero or one.

    Args:
        build: makes the model.
        key: for the weights.

    >>> drawn(lambda rngs: mlp((64, 8, 10), rngs=rngs), jax.random.key(0))(jnp.ones((2, 64))).shape
    (2, 10)
    """
    rng = generator(key)
    graph, shapes = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
    state = []
    for path, variable in nnx.to_flat_state(shapes):
        shape, kind = variable.shape, path[-1]
        if kind == "kernel":
            gain = 2 if len(shape) == 4 or "dense" in path else 1
            value = rng.standard_normal(shape) * math.sqrt(gain / math.prod(shape[:-1]))
        elif kind in ("embedding", "positions"):
            value = rng.standard_normal(shape) * 0.02
        else:
            value = np.ones(shape) if kind in ("scale", "var") else np.zeros(shape)
        state.append((path, variable.replace(jnp.asarray(value, variable.dtype))))
    return nnx.merge(graph, nnx.from_flat_state(state))
