"""Models of click-through rates: one table for the categorical features, and the heads that read what it says.

Which rows a value reads is settled outside, by an index: hashed, one by one, shared or not. One program then serves every way of
filling a table.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating, is_concrete
from quire.common.layers.initialisers import normal


def lookup(table: Float[AnyArray, "rows dim"], index: Int[AnyArray, "*batch"]) -> Float[Array, "*batch dim"]:
    """Rows of a table by one gather, and one scatter-add in its gradient; NaN for an index of a traced call that is not there.

    Raises:
        ValueError: if the index is not one of rows.

    >>> lookup(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[1, 1], [0, 1]])).shape
    (2, 2, 2)
    """
    check_ids("index", index, len(table))
    if is_concrete(index):
        return jnp.take(table, index, axis=0, mode="clip")
    return jnp.take(table, index, axis=0, mode="fill", fill_value=jnp.nan)


class FeatureTable(nnx.Module):
    """One table for all features of an example.

    Args:
        rows, dim: of the table.
        std: standard deviation of the initial weights; `1 / sqrt(dim)` by default.
        rngs: random keys.

    Raises:
        ValueError: for a size below 1, or a negative deviation; when called, for an index out of range.

    >>> table = FeatureTable(10, 4, rngs=nnx.Rngs(0))
    >>> table(jnp.array([[0, 3, 3], [9, 0, 1]])).shape
    (2, 3, 4)
    """

    def __init__(self, rows: int, dim: int, *, std: float | None = None, rngs: nnx.Rngs):
        check_at_least("rows", rows)
        check_at_least("dim", dim)
        self.weights = nnx.Param(normal(dim**-0.5 if std is None else std)(rngs.params(), (rows, dim)))

    def __call__(self, index: Int[AnyArray, "*batch"]) -> Float[Array, "*batch dim"]:
        """Rows `[*batch, dim]` of an index `[*batch]`, all features by one gather."""
        return lookup(self.weights[...], index)


def cross(
    x0: Num[AnyArray, "*batch n"], x: Num[AnyArray, "*batch n"], kernel: Num[AnyArray, "n n"], bias: Num[AnyArray, " n"]
) -> Float[Array, "*batch n"]:
    """`x0 * (x W + b) + x`: products of features of one degree more.

    Raises:
        ValueError: if shapes do not fit.

    >>> cross(jnp.array([2.0, 3.0]), jnp.array([1.0, 1.0]), jnp.eye(2), jnp.zeros(2)).tolist()
    [3.0, 4.0]

    References:
        Wang et al., *DCN V2*, 2021, equation 1.
    """
    size = x0.shape[-1]
    if x.shape != x0.shape or kernel.shape != (size, size) or bias.shape != (size,):
        raise ValueError(
            f"x0 has shape {x0.shape}, x {x.shape}, kernel {kernel.shape}, bias {bias.shape}; "
            "they need [*batch, n] twice, [n, n] and [n]"
        )
    x0, x, kernel, bias = floating(x0, x, kernel, bias)
    return x0 * (x @ kernel + bias.reshape((1,) * (x.ndim - 1) + (-1,))) + x


class CrossLayer(nnx.Module):
    """Holder of `cross`, with weights of variance `1 / width`.

    Raises:
        ValueError: for a width below 1.
    """

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        check_at_least("width", width)
        self.kernel = nnx.Param(normal(width**-0.5)(rngs.params(), (width, width)))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x0: Num[AnyArray, "*batch n"], x: Num[AnyArray, "*batch n"]) -> Float[Array, "*batch n"]:
        """The next `x`."""
        return cross(x0, x, self.kernel[...], self.bias[...])


class Mlp(nnx.Module):
    """Linear maps with ReLUs between them, He's normal weights.

    Args:
        widths: of the input, the hidden layers and the output.
        rngs: random keys.

    Raises:
        ValueError: for fewer than two widths, or one below 1.

    >>> Mlp((6, 4, 1), rngs=nnx.Rngs(0))(jnp.ones((3, 6))).shape
    (3, 1)
    """

    def __init__(self, widths: Sequence[int], *, rngs: nnx.Rngs):
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"widths is {tuple(widths)}; it needs two at least, each at least 1")
        draws = [normal((2 / before) ** 0.5)(rngs.params(), (before, after)) for before, after in pairwise(widths)]
        self.kernels = nnx.List([nnx.Param(draw) for draw in draws])
        self.biases = nnx.List([nnx.Param(jnp.zeros(after)) for after in widths[1:]])

    def __call__(self, x: Num[AnyArray, "batch n"]) -> Float[Array, "batch m"]:
        """Output `[batch, widths[-1]]`."""
        (h,) = floating(x)
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            h = (jax.nn.relu(h) if i else h) @ kernel[...] + bias[...][None]
        return h


class CtrNet(nnx.Module):
    """The log-odds of a click: what an embedding says of the features, side by side, crossed, and read by a perceptron.

    Without cross layers it is a perceptron; with them a stacked DCN-v2.

    Args:
        embedding: called with what the model is called with; its answer is flattened to one vector an example.
        width: of that vector, dense features included.
        hidden: widths of the hidden layers.
        cross_layers: number of `CrossLayer`.
        rngs: random keys.

    Raises:
        ValueError: for a size below 1, or a negative number of layers; when called, if the width is another.

    >>> net = CtrNet(FeatureTable(10, 4, rngs=nnx.Rngs(0)), 13, (8,), cross_layers=2, rngs=nnx.Rngs(1))
    >>> net(jnp.array([[0, 3, 3], [9, 0, 1]]), dense=jnp.ones((2, 1))).shape
    (2,)
    """

    def __init__(
        self, embedding: nnx.Module, width: int, hidden: Sequence[int] = (32,), *, cross_layers: int = 0, rngs: nnx.Rngs
    ):
        check_at_least("cross_layers", cross_layers, 0)
        self.embedding = embedding
        self.width = check_at_least("width", width)
        self.crosses = nnx.List([CrossLayer(width, rngs=rngs) for _ in range(cross_layers)])
        self.mlp = Mlp((width, *hidden, 1), rngs=rngs)

    def __call__(self, *inputs: Any, dense: Num[AnyArray, "batch _"] | None = None) -> Float[Array, " batch"]:
        """Log-odds `[batch]`.

        Args:
            inputs: of the embedding, the batch first.
            dense: features that are numbers, `[batch, n]`.
        """
        found = self.embedding(*inputs)
        x0 = found.reshape(len(found), -1) if len(found) else jnp.zeros((0, self.width), found.dtype)
        if dense is not None and len(dense) != len(found):
            raise ValueError(f"dense has {len(dense)} rows; the batch has {len(found)}")
        if dense is not None and len(found):
            x0 = jnp.concatenate(floating(x0, dense), axis=1)
        if x0.shape[1] != self.width:
            raise ValueError(f"the features have {x0.shape[1]} numbers; width is {self.width}")
        x = x0
        for layer in self.crosses:
            x = layer(x0, x)
        return self.mlp(x)[:, 0]


def log_loss(logits: Num[AnyArray, " n"], labels: Num[AnyArray, " n"]) -> Float[Array, ""]:
    """Mean of `softplus(logit) - y logit`, the cross-entropy of clicks in nats.

    Raises:
        ValueError: if there are not as many of each, or none.

    >>> print(f"{log_loss(jnp.array([0.0, 100.0]), jnp.array([1, 1])):.4f}")
    0.3466
    """
    if logits.shape != labels.shape or not logits.size:
        raise ValueError(f"logits has shape {logits.shape}, labels {labels.shape}; they need one shape [n], n at least 1")
    logits, labels = floating(logits, labels)
    return jnp.mean(jax.nn.softplus(logits) - labels * logits)
