"""The protocol of the evaluation: ranking of all unseen items for every user, and of links against non-edges."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, check_ids
from quire.common.metrics.ranking import ranked_hits, summarise, user_metrics

USERS_AT_ONCE = 256
WIDTHS = 32
"""Vectors are filled up with zeros to a multiple of it, so that one program ranks by popularity and by models."""


@partial(jax.tree_util.register_dataclass, data_fields=["seen", "relevant"], meta_fields=["num_items"])
@dataclass(frozen=True)
class Held:
    """What is held back for evaluation, as rows of items filled up with `num_items`.

    Attributes:
        seen: int32 `[users, a]`, training items.
        relevant: int32 `[users, b]`, test items.
        num_items: number of items.
    """

    seen: Array
    relevant: Array
    num_items: int


def held(train: np.ndarray, test: np.ndarray, num_users: int, num_items: int) -> Held:
    """Rows of items from pairs `[2, n]` of users and items.

    Raises:
        ValueError: for a size below 1, a user or item out of range, or arrays of another shape.
    """
    check_at_least("num_users", num_users)
    check_at_least("num_items", num_items)
    train, test = np.asarray(train), np.asarray(test)
    for name, pairs in (("train", train), ("test", test)):
        if pairs.ndim != 2 or len(pairs) != 2:
            raise ValueError(f"{name} has shape {np.shape(pairs)}; it must be pairs of users and items, (2, n)")
        for side, index, size in (("users", pairs[0], num_users), ("items", pairs[1], num_items)):
            check_ids(f"{name} {side}", index, size)
    rows = [jax.device_put(padded_rows(part, num_users, num_items)) for part in (train, test)]
    return Held(*rows, num_items)


def padded_rows(pairs: np.ndarray, num_users: int, fill: int) -> np.ndarray:
    """Items of every user in a row, filled up: int32 `[num_users, longest]`."""
    user, item = pairs[:, np.argsort(pairs[0], kind="stable")]
    count = np.bincount(user, minlength=num_users)
    rows = np.full((num_users, max(count.max(initial=0), 1)), fill, np.int32)
    rows[user, np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)] = item
    return rows


def evaluate(out: Float[Array, "runs nodes dim"], task: Held, ks: tuple[int, ...] = (10, 20)) -> dict[str, Float[Array, " runs"]]:
    """Ranking metrics of each run; users come in portions, so that no matrix of all users by all items is held.

    Args:
        out: vectors of users, then of items.
        task: what was seen and what is relevant.
        ks: list lengths.

    Raises:
        ValueError: unless there is a run, and in each a vector for every user and item.
    """
    num_users = task.seen.shape[0]
    if out.ndim != 3 or not len(out):
        raise ValueError(f"out has shape {out.shape}; it needs (runs, nodes, dim), and a run at least")
    if out.shape[1] != num_users + task.num_items:
        raise ValueError(f"out has vectors of {out.shape[1]} nodes; {num_users} users and {task.num_items} items are needed")
    widened = jnp.pad(out, ((0, 0), (0, 0), (0, -out.shape[2] % WIDTHS)))
    return jax.tree.map(lambda *values: jnp.stack(values), *[_evaluate_run(run, task, tuple(ks)) for run in widened])


@partial(jax.jit, static_argnames="ks")
def _evaluate_run(out: Float[Array, "nodes dim"], task: Held, ks: tuple[int, ...]) -> dict[str, Float[Array, ""]]:
    num_users = task.seen.shape[0]
    size = min(USERS_AT_ONCE, num_users)
    padding = -num_users % size

    def portions(rows, fill):
        rows = jnp.pad(rows, ((0, padding), (0, 0)), constant_values=fill)
        return rows.reshape(-1, size, rows.shape[-1])

    def dense(rows):
        place = jnp.broadcast_to(jnp.arange(size)[:, None], rows.shape)
        return jnp.zeros((size, task.num_items), bool).at[place, rows].set(True, mode="drop")

    def portion(rows):
        user, seen, relevant = rows
        relevant = dense(relevant)
        hits = ranked_hits(user @ out[num_users:].T, relevant, max(ks), dense(seen))
        count = relevant.sum(-1)
        return user_metrics(hits, count, ks), count

    rows = portions(out[:num_users], 0), portions(task.seen, task.num_items), portions(task.relevant, task.num_items)
    per_user, count = jax.lax.map(portion, rows)
    return summarise({name: values.reshape(-1) for name, values in per_user.items()}, count.reshape(-1))


def popularity(train: np.ndarray, num_users: int, num_items: int) -> Float[Array, "1 nodes 1"]:
    """Vectors that rank items by their number of interactions, the same for every user; for `evaluate`.

    Raises:
        ValueError: for an item out of range.
    """
    check_ids("train items", np.asarray(train[1]), num_items)
    count = np.bincount(train[1], minlength=num_items)
    return jnp.asarray(np.concatenate([np.ones(num_users), count]), jnp.float32)[None, :, None]
