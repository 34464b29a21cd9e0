"""Layers whose weights are low-rank, quantised, or softly quantised: one linear map and one convolution for all of them.

A weight is a module that answers with an array `[out, in, *kernel]`; exchanging it compresses a layer without touching the rest.
"""

import math
from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_positive
from quire.common.layers.convolution import conv_nd
from quire.common.quant.codebooks import kmeans
from quire.common.quant.soft_kmeans import dkm
from quire.common.quant.subvectors import from_subvectors, to_subvectors
from quire.lr2vq.low_rank import LowRank, low_rank_normal, low_rank_svd, orthonormal, restored


@runtime_checkable
class Weight(Protocol):
    """What a layer multiplies with."""

    def __call__(self) -> Float[Array, "out ..."]:
        """`[out, in, *kernel]`."""


class Codes(nnx.Variable):
    """Codes of a quantised weight: no parameter, so that no optimiser moves them."""


class DenseWeight(nnx.Module):
    """An array as it is."""

    def __init__(self, value: Float[Array, "out ..."]):
        self.value = nnx.Param(value)

    def __call__(self) -> Float[Array, "out ..."]:
        """The array."""
        return self.value[...]


class LowRankWeight(nnx.Module):
    """`S = L D`, the rows of a weight from d numbers each.

    Args:
        shape: `[out, in, *kernel]`.
        factors: L and D.

    Raises:
        ValueError: when called, if the rows are not those of the shape.
    """

    def __init__(self, shape: tuple[int, ...], factors: LowRank):
        self.shape = shape
        self.rows, self.basis = nnx.Param(factors.rows), nnx.Param(factors.basis)

    @property
    def factors(self) -> LowRank:
        """L and D as arrays."""
        return LowRank(self.rows[...], self.basis[...])

    def __call__(self) -> Float[Array, "out ..."]:
        """The weight."""
        return from_subvectors(self.rows[...] @ self.basis[...], self.shape)


class QuantizedWeight(nnx.Module):
    """`S = C[a] D`: codes a stay, codebook C and map D learn.

    Args:
        shape: `[out, in, *kernel]`.
        codebook, basis: `[k, d]` and `[d, m]`.
        codes: `[n]`.
    """

    def __init__(
        self, shape: tuple[int, ...], codebook: Float[Array, "k d"], codes: Int[Array, " n"], basis: Float[Array, "d m"]
    ):
        self.shape = shape
        self.codebook, self.basis = nnx.Param(codebook), nnx.Param(basis)
        self.codes = Codes(codes)

    def __call__(self) -> Float[Array, "out ..."]:
        """The weight."""
        return from_subvectors(restored(self.codebook[...], self.codes[...], self.basis[...]), self.shape)


class SoftWeight(nnx.Module):
    """DKM on representations: rows are softly assigned at every call, so that rows, centres and map learn together.

    Args:
        shape: `[out, in, *kernel]`.
        factors: L and D.
        centres: where soft k-means starts, `[k, d]`.
        tau: its temperature.
        iters: its iterations.
    """

    def __init__(self, shape: tuple[int, ...], factors: LowRank, centres: Float[Array, "k d"], tau: float, iters: int = 5):
        self.shape, self.tau, self.iters = shape, tau, iters
        self.rows, self.basis = nnx.Param(factors.rows), nnx.Param(factors.basis)
        self.centres = Codes(centres)

    def __call__(self) -> Float[Array, "out ..."]:
        """The weight."""
        soft = dkm(self.rows[...], self.centres[...], self.tau, self.iters)
        return from_subvectors(soft.rows @ self.basis[...], self.shape)

    def hardened(self) -> QuantizedWeight:
        """What is exported: every row takes the centre that it attends to most."""
        soft = dkm(self.rows[...], self.centres[...], self.tau, self.iters)
        return QuantizedWeight(self.shape, soft.centres, soft.attention.argmax(1), self.basis[...])


class Linear(nnx.Module):
    """`y = W x + b` with any weight.

    >>> layer = low_rank_linear(8, 4, m=4, d=2, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((3, 8))).shape, quantize(layer, 5, jax.random.key(0))(jnp.ones((3, 8))).shape
    ((3, 4), (3, 4))
    """

    def __init__(self, weight: Weight, bias: Float[Array, " out"]):
        self.weight, self.bias = weight, nnx.Param(bias)

    def __call__(self, x: Float[Array, "*batch in"]) -> Float[Array, "*batch out"]:
        """Outputs."""
        bias = self.bias[...]
        return x @ self.weight().T + bias.reshape((1,) * (x.ndim - 1) + bias.shape)


class Conv(nnx.Module):
    """A convolution, channels last, with any weight `[out, in, *kernel]` and no bias."""

    def __init__(self, weight: Weight, stride: int = 1, padding: Literal["SAME", "VALID"] = "SAME"):
        self.weight, self.stride, self.padding = weight, stride, padding

    def __call__(self, x: Float[Array, "batch *space in"]) -> Float[Array, "batch *space_out out"]:
        """Outputs."""
        kernel = jnp.moveaxis(self.weight(), (0, 1), (-1, -2))
        return conv_nd(x, kernel, stride=self.stride, padding=self.padding)


def low_rank_linear(in_features: int, out_features: int, *, m: int, d: int, rngs: nnx.Rngs) -> Linear:
    """A linear map to train from scratch in d numbers a row of m.

    Raises:
        ValueError: if m does not divide the number of weights, or for a d outside 1..m.
    """
    shape = (out_features, in_features)
    return Linear(_from_scratch(shape, m, d, rngs), jnp.zeros(out_features))


def low_rank_conv(
    in_channels: int, out_channels: int, kernel: tuple[int, ...], *, m: int, d: int, stride: int = 1, rngs: nnx.Rngs
) -> Conv:
    """A convolution to train from scratch in d numbers a row of m; whole kernels a row where m is a multiple of their size.

    Raises:
        ValueError: as `low_rank_linear`.
    """
    return Conv(_from_scratch((out_channels, in_channels, *kernel), m, d, rngs), stride)


def _from_scratch(shape: tuple[int, ...], m: int, d: int, rngs: nnx.Rngs) -> LowRankWeight:
    size = math.prod(shape)
    if check_at_least("m", m) and size % m:
        raise ValueError(f"m is {m}; it must divide the {size} weights of shape {shape}")
    return LowRankWeight(shape, low_rank_normal(rngs.params(), size // m, m, d, fan_in=size // shape[0]))


def factored(layer: Linear | Conv, *, m: int, d: int) -> Linear | Conv:
    """A trained layer with its weight replaced by the best one of rank d.

    Raises:
        ValueError: if m does not divide the number of weights, or for a d outside 1..m.
    """
    weight = layer.weight()
    return _with_weight(layer, LowRankWeight(weight.shape, low_rank_svd(to_subvectors(weight, m), d)))


def quantize(layer: Linear | Conv, k: int, key: jax.Array, *, iters: int = 25) -> Linear | Conv:
    """A layer with a `LowRankWeight` after clustering: representations made orthonormal, k-means over them.

    Args:
        layer: its other parameters are shared with the answer.
        k: codewords, at most one for each row.
        key: for k-means++.
        iters: of Lloyd.

    Raises:
        ValueError: if its weight is not low-rank, or for a k outside 1..n.
    """
    return _with_weight(layer, _clustered(_low_rank(layer), k, key, iters))


def _low_rank(layer: Linear | Conv) -> LowRankWeight:
    if not isinstance(layer.weight, LowRankWeight):
        raise ValueError(f"layer has a {type(layer.weight).__name__}; clustering needs a LowRankWeight, see `factored`")
    return layer.weight


def _clustered(weight: LowRankWeight, k: int, key: jax.Array, iters: int = 25) -> QuantizedWeight:
    factors = orthonormal(weight.factors)
    found = kmeans(factors.rows, k, key=key, iters=iters)
    return QuantizedWeight(weight.shape, found.centres, found.labels, factors.basis)


def soften(layer: Linear | Conv, k: int, key: jax.Array, *, tau: float, iters: int = 5) -> Linear | Conv:
    """A layer with a `LowRankWeight` as DKM trains it, from centres by k-means.

    Raises:
        ValueError: as `quantize`, or for a temperature that is not positive.
    """
    check_positive("tau", tau)
    weight = _low_rank(layer)
    centres = _clustered(weight, k, key).codebook[...]
    return _with_weight(layer, SoftWeight(weight.shape, orthonormal(weight.factors), centres, tau, iters))


def _with_weight(layer: Linear | Conv, weight: Weight) -> Linear | Conv:
    return Linear(weight, layer.bias[...]) if isinstance(layer, Linear) else Conv(weight, layer.stride, layer.padding)
