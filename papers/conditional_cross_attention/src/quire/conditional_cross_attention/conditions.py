"""Conditions: what stands for an attribute, as a vector that the cross-attention takes for its query."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.layers.initialisers import normal

ConditionKind = Literal["table", "mask"]

MASK_MEAN, MASK_STD = 0.9, 0.7
"""Of the initial masks of conditional similarity networks (Veit et al. 2017)."""


QUERY_STD = 6.0
"""Of the initial table."""


def rows_of(table: Float[Array, "attributes dim"], attr: Int[Array, "*batch"]) -> Float[Array, "*batch dim"]:
    """Rows of a table by the numbers of attributes; NaN for a traced number that is out of range.

    Raises:
        ValueError: for numbers that are not integers, or out of range.

    >>> rows_of(jnp.eye(2), jnp.array([1, 0])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    size = len(table)
    check_ids("attr", attr, size)
    attr = jnp.asarray(attr).astype(jnp.int32)
    return jnp.take(table, jnp.where(attr < 0, size, attr), axis=0, mode="fill", fill_value=jnp.nan)


def initial_masks(num_attributes: int, dim: int, *, rngs: nnx.Rngs) -> Float[Array, "attributes dim"]:
    """Masks `N(0.9, 0.7^2)`."""
    return MASK_MEAN + normal(MASK_STD)(rngs.params(), (num_attributes, dim))


class ConditionTable(nnx.Module):
    """A one-hot attribute through a linear layer: a row of a table for each.

    Args:
        num_attributes: A.
        dim: of the vectors.
        rngs: for the initial rows, `N(0, 6^2)`: so much larger than normalised tokens that each condition starts with a few
            tokens of its own, which parts the spaces. Conditions that start near 0 all begin with the mean of the tokens.

    Raises:
        ValueError: for a size below 1; when called, for attributes out of range. Traced ones give NaN.

    >>> ConditionTable(3, 8, rngs=nnx.Rngs(0))(jnp.array([2, 0])).shape
    (2, 8)
    """

    def __init__(self, num_attributes: int, dim: int, *, rngs: nnx.Rngs):
        check_at_least("num_attributes", num_attributes)
        check_at_least("dim", dim)
        self.table = nnx.Param(normal(QUERY_STD)(rngs.params(), (num_attributes, dim)))

    def __call__(self, attr: Int[Array, "*batch"]) -> Float[Array, "*batch dim"]:
        return rows_of(self.table[...], attr)


class ConditionMask(nnx.Module):
    """A learned mask for each attribute, as in conditional similarity networks, through a linear layer: `W relu(m_a) + b`.

    Args, Raises: as for `ConditionTable`; masks start as `N(0.9, 0.7^2)`.

    >>> ConditionMask(3, 8, rngs=nnx.Rngs(0))(jnp.array([2, 0])).shape
    (2, 8)
    """

    def __init__(self, num_attributes: int, dim: int, *, rngs: nnx.Rngs):
        check_at_least("num_attributes", num_attributes)
        check_at_least("dim", dim)
        self.masks = nnx.Param(initial_masks(num_attributes, dim, rngs=rngs))
        self.linear = nnx.Linear(dim, dim, rngs=rngs)

    def __call__(self, attr: Int[Array, "*batch"]) -> Float[Array, "*batch dim"]:
        return self.linear(jax.nn.relu(rows_of(self.masks[...], attr)))


def build_conditions(kind: ConditionKind, num_attributes: int, dim: int, *, rngs: nnx.Rngs) -> ConditionTable | ConditionMask:
    """The embedding of conditions of a kind.

    Raises:
        ValueError: for another kind.
    """
    kinds = {"table": ConditionTable, "mask": ConditionMask}
    if kind not in kinds:
        raise ValueError(f"cond is {kind!r}; it must be one of {', '.join(get_args(ConditionKind))}")
    return kinds[kind](num_attributes, dim, rngs=rngs)
