"""Other ways to make a table smaller: one width for all fields, frequent rows only, candidates without a search."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.optembed.compact import kept_rows


def uniform_dim(field_dims: Sequence[int], dim: int, budget: int) -> Int[np.ndarray, " fields"]:
    """c of every field, the same for all: the most dimensions that the whole table may have.

    Args:
        field_dims: number of values of every field.
        dim: D, which is not exceeded.
        budget: parameters.

    Raises:
        ValueError: for a budget that does not pay for one dimension.

    >>> uniform_dim((3, 2), 4, 11).tolist()
    [1, 1]
    """
    values = sum(field_dims)
    if budget < values:
        raise ValueError(f"budget is {budget}; one dimension of {values} values takes as many")
    return np.full(len(field_dims), min(budget // values, check_at_least("dim", dim)) - 1)


def value_counts(ids: Int[np.ndarray, "n fields"], values: int) -> Int[np.ndarray, " values"]:
    """How often each value occurs.

    Raises:
        ValueError: for ids out of range.

    >>> value_counts(np.array([[0, 2], [0, 3]]), 5).tolist()
    [2, 0, 1, 1, 0]
    """
    check_ids("ids", ids, values)
    return np.bincount(np.asarray(ids).reshape(-1), minlength=values)


def most_frequent(counts: Int[np.ndarray, " values"], rows: int) -> Float[np.ndarray, " values"]:
    """The rows of the values that occur most, so many of them; the first of equals.

    Raises:
        ValueError: for a negative number, or more rows than there are.

    >>> most_frequent(np.array([2, 0, 1, 2]), 2).tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    counts = np.asarray(counts)
    if not 0 <= rows <= len(counts):
        raise ValueError(f"rows is {rows}; it must lie between 0 and {len(counts)}")
    keep = np.zeros(len(counts), np.float32)
    keep[np.argsort(-counts, kind="stable")[:rows]] = 1
    return keep


def candidates_within(
    keep: Shaped[AnyArray, " values"],
    field_dims: Sequence[int],
    dim: int,
    budget: int,
    count: int,
    rng: np.random.Generator,
    draws: int = 100_000,
) -> Int[np.ndarray, "count fields"]:
    """Candidates that were not searched for: uniform among those of no more parameters.

    Args:
        keep: rows that stay.
        field_dims: number of values of every field.
        dim: D.
        budget: parameters, at most.
        count: how many.
        rng: of the draws.
        draws: that are looked at, at most.

    Raises:
        ValueError: if so many draws do not hold as many candidates.

    >>> found = candidates_within(np.ones(5), (3, 2), 4, 8, 2, np.random.default_rng(0))
    >>> [int(x @ (3, 2)) + 5 <= 8 for x in found]
    [True, True]
    """
    rows = kept_rows(keep, field_dims)
    drawn = rng.integers(0, check_at_least("dim", dim), (draws, len(rows)))
    fitting = drawn[(drawn + 1) @ rows <= budget]
    if len(fitting) < count:
        raise ValueError(f"budget is {budget}; of {draws} candidates {len(fitting)} keep to it, and {count} are needed")
    return fitting[:count]
