"""Five models of clicks that read embedding vectors: FM, DeepFM, FNN, IPNN, DCN."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating
from quire.common.layers.ctr import FeatureTable
from quire.common.layers.initialisers import he_normal, normal
from quire.common.layers.norms import BatchNorm

Kind = Literal["fm", "deepfm", "fnn", "ipnn", "dcn"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def pair_interactions(x: Real[AnyArray, "batch fields dim"]) -> Float[Array, " batch"]:
    """Inner products of all pairs of fields, summed, in linear time: `1/2 sum_d [(sum_i x_id)^2 - sum_i x_id^2]`.

    >>> print(pair_interactions(jnp.array([[[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]]])))
    [17.]

    References:
        Rendle, *Factorization machines*, 2010, lemma 3.1.
    """
    (x,) = floating(x)
    return jnp.sum(jnp.square(x.sum(1)) - jnp.square(x).sum(1), axis=-1) / 2


def inner_products(x: Real[AnyArray, "batch fields dim"]) -> Float[Array, "batch pairs"]:
    """`<x_i, x_j>` of all pairs `i < j`, row by row: 01, 02, ..., 12, ...

    >>> print(inner_products(jnp.array([[[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]]])))
    [[11.  2.  4.]]

    References:
        Qu et al., *Product-based neural networks for user response prediction*, 2016.
    """
    (x,) = floating(x)
    i, j = np.triu_indices(x.shape[1], 1)
    return jnp.sum(x[:, i] * x[:, j], axis=-1)


def vector_cross(
    x0: Real[AnyArray, "batch n"], x: Real[AnyArray, "batch n"], weight: Real[AnyArray, " n"], bias: Real[AnyArray, " n"]
) -> Float[Array, "batch n"]:
    """`x_0 (w^T x) + b + x`, the cross of the first DCN; that of DCN-v2 is `quire.common.layers.ctr.cross`.

    Raises:
        ValueError: if shapes do not fit.

    >>> print(vector_cross(jnp.array([[2.0, 3.0]]), jnp.array([[1.0, 1.0]]), jnp.array([1.0, 0.0]), jnp.zeros(2)))
    [[3. 4.]]

    References:
        Wang et al., *Deep and cross network for ad click predictions*, 2017, equation 3.
    """
    size = x0.shape[-1]
    if x.shape != x0.shape or weight.shape != (size,) or bias.shape != (size,):
        raise ValueError(
            f"x0 has shape {x0.shape}, x {x.shape}, weight {weight.shape}, bias {bias.shape}; "
            "they need [batch, n] twice and [n] twice"
        )
    x0, x, weight, bias = floating(x0, x, weight, bias)
    return x0 * (x @ weight)[:, None] + bias[None] + x


class FirstOrder(nnx.Module):
    """A number for every value, and a bias: logistic regression.

    Args:
        values: of all fields together.
        rngs: random keys.
    """

    def __init__(self, values: int, *, rngs: nnx.Rngs):
        self.weights = FeatureTable(values, 1, std=0.01, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(1))

    def __call__(self, ids: Int[AnyArray, "batch fields"]) -> Float[Array, " batch"]:
        """Sum of the numbers of an example's values."""
        return self.weights(ids)[..., 0].sum(1) + self.bias[...]


class DeepMlp(nnx.Module):
    """Linear maps, each with batch normalisation and a ReLU; a last linear map to one number where `output` is set.

    The authors' dropout has the rate 0 in all their settings, and is left out.

    Args:
        width: of the input.
        hidden: of the layers.
        output: whether the log-odds are made here.
        rngs: random keys.

    Raises:
        ValueError: without a layer, or for a width below 1.
    """

    def __init__(self, width: int, hidden: Sequence[int], *, output: bool = True, rngs: nnx.Rngs):
        if not hidden or min(width, *hidden) < 1:
            raise ValueError(f"width is {width} and hidden {tuple(hidden)}; a layer at least is needed, each width at least 1")

        def linear(before: int, after: int) -> nnx.Linear:
            return nnx.Linear(before, after, kernel_init=he_normal, rngs=rngs)

        self.layers = nnx.List([linear(*widths) for widths in pairwise((width, *hidden))])
        self.norms = nnx.List([BatchNorm(size) for size in hidden])
        self.output = linear(hidden[-1], 1) if output else None

    def __call__(self, x: Float[Array, "batch width"]) -> Float[Array, "batch _"]:
        """`[batch, 1]`, or the last hidden layer."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = jax.nn.relu(norm(layer(x)))
        return x if self.output is None else self.output(x)


class CrossNetwork(nnx.Module):
    """Layers of `vector_cross` over one vector an example.

    Args:
        width: n.
        layers: how many.
        rngs: random keys.
    """

    def __init__(self, width: int, layers: int, *, rngs: nnx.Rngs):
        self.weights = nnx.List([nnx.Param(normal(width**-0.5)(rngs.params(), (width,))) for _ in range(layers)])
        self.biases = nnx.List([nnx.Param(jnp.zeros(width)) for _ in range(layers)])

    def __call__(self, x0: Float[Array, "batch width"]) -> Float[Array, "batch width"]:
        """The last cross."""
        x = x0
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = vector_cross(x0, x, weight[...], bias[...])
        return x


class CTRModel(nnx.Module):
    """The log-odds of a click from the embedding vectors x of an example.

    - `fm`: `first order + sum_{i<j} <x_i, x_j>`
    - `deepfm`: FM and a perceptron over all x side by side, added
    - `fnn`: the perceptron alone
    - `ipnn`: the perceptron over all x and the inner products of their pairs
    - `dcn`: a linear map of the perceptron's last layer and of crosses of all x

    Args:
        kind: which of the five.
        field_dims: number of values of every field.
        dim: of a vector.
        hidden: widths of the perceptron.
        cross_layers: of `dcn`.
        rngs: random keys.

    Raises:
        ValueError: for another kind, or a size below 1; when called, for vectors that do not fit.

    >>> model = CTRModel("ipnn", (3, 2), 4, hidden=(8,), rngs=nnx.Rngs(0))
    >>> model(jnp.ones((5, 2, 4)), np.array([[0, 3]] * 5)).shape
    (5,)
    """

    def __init__(
        self,
        kind: Kind,
        field_dims: Sequence[int],
        dim: int,
        *,
        hidden: Sequence[int] = (1024, 512, 256),
        cross_layers: int = 6,
        rngs: nnx.Rngs,
    ):
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
        check_at_least("cross_layers", cross_layers)
        self.kind, self.fields, self.dim = kind, check_at_least("fields", len(field_dims)), check_at_least("dim", dim)
        flat = self.fields * dim
        self.first_order = FirstOrder(sum(field_dims), rngs=rngs) if kind in ("fm", "deepfm") else None
        width = flat + (self.fields * (self.fields - 1) // 2 if kind == "ipnn" else 0)
        self.mlp = None if kind == "fm" else DeepMlp(width, hidden, output=kind != "dcn", rngs=rngs)
        self.cross = CrossNetwork(flat, cross_layers, rngs=rngs) if kind == "dcn" else None
        self.combine = nnx.Linear(hidden[-1] + flat, 1, kernel_init=he_normal, rngs=rngs) if kind == "dcn" else None

    def __call__(self, x: Float[Array, "batch fields dim"], ids: Int[AnyArray, "batch fields"]) -> Float[Array, " batch"]:
        """Log-odds `[batch]`.

        Args:
            x: embedding vectors.
            ids: of the values, which the first order of `fm` and `deepfm` reads.
        """
        if x.shape[1:] != (self.fields, self.dim) or ids.shape != x.shape[:2]:
            raise ValueError(
                f"x has shape {x.shape} and ids {ids.shape}; they need [batch, {self.fields}, {self.dim}] "
                f"and [batch, {self.fields}]"
            )
        flat = x.reshape(len(x), self.fields * self.dim)
        logits = jnp.zeros(len(x), x.dtype)
        if self.first_order is not None:
            logits += self.first_order(ids) + pair_interactions(x)
        if self.mlp is not None:
            deep = self.mlp(jnp.concatenate([flat, inner_products(x)], axis=1) if self.kind == "ipnn" else flat)
            if self.cross is not None and self.combine is not None:
                deep = self.combine(jnp.concatenate([deep, self.cross(flat)], axis=1))
            logits += deep[:, 0]
        return logits
