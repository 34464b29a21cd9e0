"""Bayesian personalised ranking: interactions in compressed rows, exact negative sampling, the loss (Rendle et al. 2009)."""

from dataclasses import dataclass
from functools import partial, reduce
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating, is_concrete


@partial(jax.tree_util.register_dataclass, data_fields=["starts", "items", "keys"], meta_fields=["num_users", "num_items"])
@dataclass(frozen=True)
class Interactions:
    """Items of every user, sorted, in compressed rows; made by `interactions`.

    Attributes:
        starts: int32 `[num_users + 1]`; user u has `items[starts[u] : starts[u + 1]]`.
        items: int32 `[n]`.
        keys: int32 `[n]`, sorted: `u (num_items + 1) + p_j - j` for the j-th item p_j of user u; see `unseen_item`.
        num_users, num_items: sizes.
    """

    starts: Array
    items: Array
    keys: Array
    num_users: int
    num_items: int


def interactions(user: np.ndarray, item: np.ndarray, num_users: int, num_items: int) -> Interactions:
    """Interactions in compressed rows.

    Args:
        user, item: integers `[n]`, every pair once, in any order.
        num_users, num_items: sizes.

    Raises:
        ValueError: if `user` and `item` differ in length, for an index out of range, a repeated pair, a user without items or
            with all of them, or if keys would not fit in 32 bits.
    """
    check_at_least("num_users", num_users)
    check_at_least("num_items", num_items)
    user, item = np.asarray(user), np.asarray(item)
    if user.ndim != 1 or user.shape != item.shape:
        raise ValueError(f"user has shape {user.shape} and item {item.shape}; both need one entry for every interaction")
    if num_users * (num_items + 1) >= 2**31:
        raise ValueError(f"num_users * (num_items + 1) is {num_users * (num_items + 1)}; keys of 32 bits need less than 2^31")
    check_ids("user", user, num_users)
    check_ids("item", item, num_items)
    user, item = user.astype(np.int64), item.astype(np.int64)
    count = np.bincount(user, minlength=num_users)
    if (count == 0).any():
        raise ValueError(f"{int((count == 0).sum())} users have no item, the first is {int(count.argmin())}; remove them")
    if (count >= num_items).any():
        raise ValueError(f"user {int(count.argmax())} has all {num_items} items; there is no negative to draw")
    codes = np.sort(user * num_items + item)
    if (np.diff(codes) == 0).any():
        raise ValueError(f"{int((np.diff(codes) == 0).sum())} pairs of user and item are repeated; remove duplicates")
    user, item = np.divmod(codes, num_items)
    starts = np.concatenate([[0], np.cumsum(count)])
    keys = user * (num_items + 1) + item - (np.arange(len(item)) - starts[user])
    return Interactions(*(jnp.asarray(a, jnp.int32) for a in (starts, item, keys)), num_users, num_items)


def unseen_item(data: Interactions, user: Integer[AnyArray, "*b"], rank: Integer[AnyArray, "*b"]) -> Integer[AnyArray, "*b"]:
    """The item that is number `rank` among those a user has not interacted with, from 0.

    `p_j - j` items below the j-th item of the user are unseen, so the answer is rank plus the number of j with
    `p_j - j <= rank`: one binary search in the keys, no rejection.

    Args:
        data: the interactions.
        user, rank: integers of one shape. What is known is searched on the host: JAX compiles a search for every shape.

    Raises:
        ValueError: if a user is out of range, or has fewer unseen items than `rank` says; unless they are traced.
    """
    check_ids("user", user, data.num_users)
    check_ids("rank", rank, data.num_items)
    known = is_concrete(user, rank, data.starts)
    library = np if known else jnp
    keys, starts, user, rank = (library.asarray(x, np.int32) for x in (data.keys, data.starts, user, rank))
    if known and (rank >= data.num_items - (starts[user + 1] - starts[user])).any():
        raise ValueError(f"rank runs from {rank.min()} to {rank.max()}; it must lie below the number of unseen items")
    below = library.searchsorted(keys, user * (data.num_items + 1) + rank, side="right").astype(np.int32)
    return rank + below - starts[user]


def sample_bpr(
    key: jax.Array, data: Interactions, batch_size: int
) -> tuple[Int[Array, " batch_size"], Int[Array, " batch_size"], Int[Array, " batch_size"]]:
    """A batch of users with one item that they have and one that they have not, both uniform.

    Args:
        key: randomness.
        data: the interactions.
        batch_size: users; distinct when there are that many, with replacement otherwise.

    Returns:
        Users, positive items, negative items, int32.

    Raises:
        ValueError: if `batch_size` is below 1.
    """
    check_at_least("batch_size", batch_size)
    pick, positive, negative = jax.random.split(key, 3)
    distinct = batch_size <= data.num_users
    user = (
        jax.random.permutation(pick, data.num_users)[:batch_size]
        if distinct
        else jax.random.randint(pick, (batch_size,), 0, data.num_users)
    ).astype(jnp.int32)
    start, count = data.starts[user], data.starts[user + 1] - data.starts[user]
    pos = data.items[start + jax.random.randint(positive, (batch_size,), 0, count, jnp.int32)]
    rank = jax.random.randint(negative, (batch_size,), 0, data.num_items - count, jnp.int32)
    return user, pos, jnp.asarray(unseen_item(data, user, rank))


def draw_bpr(draw: np.random.Generator, data: Interactions, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `sample_bpr` gives, for several batches at once and drawn on the host, where nothing is compiled.

    Args:
        draw: randomness.
        data: the interactions.
        shape: batches, and users in each; distinct within a batch when there are that many.

    Returns:
        Users, positive items, negative items, int32 of this shape.

    Raises:
        ValueError: if a length is below 1.
    """
    batches, size = (check_at_least(name, n) for name, n in zip(("batches", "batch_size"), shape, strict=True))
    starts, everyone = np.asarray(data.starts), np.arange(data.num_users)
    if size <= data.num_users:
        user = draw.permuted(np.tile(everyone, (batches, 1)), axis=1)[:, :size]
    else:
        user = draw.integers(0, data.num_users, shape)
    count = starts[user + 1] - starts[user]
    positive = np.asarray(data.items)[starts[user] + draw.integers(0, count)]
    negative = unseen_item(data, user, draw.integers(0, data.num_items - count))
    return user.astype(np.int32), positive, np.asarray(negative)


def bpr_loss(positive: Float[Array, " b"], negative: Float[Array, " b"]) -> Float[Array, ""]:
    """`mean softplus(s_neg - s_pos)`; `log 2` for scores that know nothing.

    Raises:
        ValueError: if the shapes differ or there is no pair.

    >>> round(float(bpr_loss(jnp.zeros(3), jnp.zeros(3))), 4)
    0.6931
    """
    if positive.shape != negative.shape or not positive.size:
        raise ValueError(f"positive has shape {positive.shape} and negative {negative.shape}; they must be the same, with a pair")
    positive, negative = floating(positive, negative)
    return jnp.mean(jax.nn.softplus(negative - positive))


def embedding_penalty(*rows: Float[Array, "b c"]) -> Float[Array, ""]:
    """`sum of |rows|^2 / (2 B)` over the embeddings of a batch of B.

    Raises:
        ValueError: without rows, or if their numbers differ.
    """
    sizes = {r.shape[0] for r in rows}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"rows hold {sorted(sizes)} embeddings; all need the same number, at least 1")
    return reduce(add, [jnp.sum(r**2) for r in floating(*rows)]) / (2 * rows[0].shape[0])
