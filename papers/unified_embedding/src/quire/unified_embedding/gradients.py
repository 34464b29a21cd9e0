"""What collisions do to a gradient: the true part, what other values of the feature add, and what other features add.

A linear model, `logit = b + sum_t <theta_t, E[h_t(x_t)]>`, with residuals `r = sigmoid(logit) - y` and `g_t(v)` their sum over
the examples with `x_t = v`. The gradient of row m is `sum_t theta_t sum_{v in m} g_t(v)`.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids, floating
from quire.common.layers.ctr import log_loss, lookup

Tables = Sequence[Int[AnyArray, " _"]]
"""The row of every value, by feature."""


class Components(NamedTuple):
    """Parts of the gradient of a row, as a value that lies there meets them; `[..., d]` each.

    Attributes:
        true: `g_t(u) theta_t`.
        intra: `sum g_t(v) theta_t` over the other values of the feature in the row: along `theta_t`, hence felt in full.
        inter: `sum g_s(v) theta_s` over the values of other features: invisible for `theta_t` when it is orthogonal to theirs.
    """

    true: Array
    intra: Array
    inter: Array


def linear_logits(
    table: Num[AnyArray, "rows d"],
    theta: Num[AnyArray, "features d"],
    bias: Num[AnyArray, ""] | float,
    tables: Tables,
    x: Int[AnyArray, "n features"],
) -> Float[Array, " n"]:
    """`b + sum_t <theta_t, E[h_t(x_t)]>`.

    Raises:
        ValueError: if shapes do not fit, or an id is out of range.
    """
    _check(table, theta, tables, x)
    table, theta = floating(table, theta)
    rows = jnp.stack([jnp.asarray(h)[x[:, t]] for t, h in enumerate(tables)], axis=1)
    return jnp.asarray(bias) + jnp.einsum("ntd,td->n", lookup(table, rows), theta)


def loss_sum(
    table: Num[AnyArray, "rows d"],
    theta: Num[AnyArray, "features d"],
    bias: Num[AnyArray, ""] | float,
    tables: Tables,
    x: Int[AnyArray, "n features"],
    y: Num[AnyArray, " n"],
) -> Float[Array, ""]:
    """Sum over the examples of `softplus(logit) - y logit`."""
    return len(x) * log_loss(linear_logits(table, theta, bias, tables, x), y)


def value_components(
    theta: Num[AnyArray, "features d"],
    tables: Tables,
    x: Int[AnyArray, "n features"],
    residual: Num[AnyArray, " n"],
    rows: int | None = None,
) -> list[Components]:
    """Components of every value: for each feature, arrays `[its values, d]`.

    Args:
        theta: weights of the features.
        tables: rows of their values.
        x: examples.
        residual: `sigmoid(logit) - y` of each.
        rows: of the table; those that occur by default, which a compiled function cannot look at.

    Raises:
        ValueError: if shapes do not fit, or an id is out of range.
    """
    rows = 1 + max(int(np.max(h)) for h in tables) if rows is None else rows
    _check(np.empty((rows, theta.shape[1])), theta, tables, x)
    theta, residual = floating(theta, residual)
    by_value = [jnp.zeros(len(h), residual.dtype).at[x[:, t]].add(residual) for t, h in enumerate(tables)]
    by_row = [jnp.zeros(rows, residual.dtype).at[jnp.asarray(h)].add(g) for h, g in zip(tables, by_value, strict=True)]
    whole = reduce(add, (g[:, None] * theta[t][None] for t, g in enumerate(by_row)))

    def of(t, h, g):
        own = by_row[t][h]
        return Components(*(part[:, None] * theta[t][None] for part in (g, own - g)), whole[h] - own[:, None] * theta[t][None])

    return [of(t, jnp.asarray(h), g) for t, (h, g) in enumerate(zip(tables, by_value, strict=True))]


def gradient_components(
    table: Num[AnyArray, "rows d"],
    theta: Num[AnyArray, "features d"],
    bias: Num[AnyArray, ""] | float,
    tables: Tables,
    x: Int[AnyArray, "n features"],
    y: Num[AnyArray, " n"],
    feature: int,
    value: int,
) -> Components:
    """Components of the gradient of the row in which a value of a feature lies; their sum is that gradient.

    Raises:
        ValueError: if shapes do not fit, or an id is out of range.

    >>> rows, ones = [np.array([0, 1]), np.array([0])], np.ones((2, 2))
    >>> parts = gradient_components(ones, np.eye(2), -2.0, rows, np.array([[0, 0], [1, 0]]), np.array([1, 0]), 0, 0)
    >>> [part.tolist() for part in parts]
    [[-0.5, -0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    check_ids("feature", np.asarray(feature), len(tables))
    check_ids("value", np.asarray(value), len(tables[int(feature)]))
    logits = linear_logits(table, theta, bias, tables, x)
    found = value_components(theta, tables, x, jax.nn.sigmoid(logits) - jnp.asarray(y, logits.dtype), len(table))
    return Components(*(part[int(value)] for part in found[int(feature)]))


def _check(table, theta, tables, x) -> None:
    if theta.ndim != 2 or table.ndim != 2 or table.shape[1] != theta.shape[1]:
        raise ValueError(f"table has shape {table.shape} and theta {theta.shape}; they need [rows, d] and [features, d]")
    if not len(tables) == len(theta) == x.shape[1]:
        raise ValueError(
            f"there are {len(tables)} tables, {len(theta)} rows of theta, x has shape {x.shape}; they need one a feature"
        )
    for t, h in enumerate(tables):
        check_ids(f"tables[{t}]", h, len(table))
        check_ids(f"x[:, {t}]", x[:, t], len(h))
