"""The supernet: one set of weights that has seen every table, since rows and dimensions are masked while it trains."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Real, Shaped

from quire.common.arrays import AnyArray
from quire.common.layers.ctr import log_loss
from quire.optembed.base_models import CTRModel
from quire.optembed.embedding_table import OptEmbedTable

Mode = Literal["all", "rows", "dims", "none"]
MODES: tuple[Mode, ...] = get_args(Mode)


class Supernet(nnx.Module):
    """A table whose rows and dimensions are masked, and the model that reads it.

    Args:
        table: of embeddings.
        base: the model of clicks.

    >>> net = Supernet(OptEmbedTable((3, 2), 4, rngs=nnx.Rngs(0)), CTRModel("fm", (3, 2), 4, rngs=nnx.Rngs(1)))
    >>> net(np.array([[0, 3], [2, 4]]), np.array([1, 3])).shape
    (2,)
    """

    def __init__(self, table: OptEmbedTable, base: CTRModel):
        self.table, self.base = table, base

    def __call__(
        self,
        ids: Int[AnyArray, "batch fields"],
        dim_index: Int[AnyArray, "*batch fields"] | None = None,
        *,
        keep: Shaped[AnyArray, " values"] | None = None,
        learn: bool | np.bool_ | Bool[AnyArray, ""] = True,
    ) -> Float[Array, " batch"]:
        """Log-odds; arguments as for `OptEmbedTable`."""
        return self.base(self.table(ids, dim_index, keep=keep, learn=learn), ids)


def threshold_penalty(threshold: Real[AnyArray, " n"]) -> Float[Array, ""]:
    """`sum exp(-t)`, which falls as thresholds rise and rows go.

    >>> print(threshold_penalty(jnp.zeros(3)))
    3.0
    """
    return jnp.sum(jnp.exp(-jnp.asarray(threshold)))


def supernet_loss(
    net: Supernet,
    ids: Int[AnyArray, "batch fields"],
    labels: Real[AnyArray, " batch"],
    dim_index: Int[AnyArray, "*batch fields"] | None,
    alpha: float | Float[AnyArray, ""],
) -> Float[Array, ""]:
    """Cross-entropy of clicks, plus `alpha sum exp(-t)`.

    Args:
        net: the supernet.
        ids, labels: a batch.
        dim_index: the dimensions that each example has drawn.
        alpha: weight of the second term.
    """
    return log_loss(net(ids, dim_index), labels) + alpha * threshold_penalty(net.table.threshold[...])


class Plan(NamedTuple):
    """What a run of training is to do, as arrays: one program trains supernets, their ablations, and tables that are fixed.

    Attributes:
        keep: float32 `[values]`, 1 for rows that may be read, 0 for others.
        dim_index: int32 `[fields]`, c of every field where dimensions are not drawn.
        learn: whether thresholds prune.
        sample: whether every example draws its dimensions.
        alpha: weight of the regulariser.
    """

    keep: AnyArray
    dim_index: AnyArray
    learn: AnyArray | np.bool_
    sample: AnyArray | np.bool_
    alpha: AnyArray | np.floating


def supernet_plan(field_dims: Sequence[int], dim: int, alpha: float, mode: Mode = "all") -> Plan:
    """A supernet of the authors' kind: `all`; `rows`, only thresholds; `dims`, only dimensions; `none`, the full table.

    Raises:
        ValueError: for another mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}; it must be one of {', '.join(MODES)}")
    rows, dims = mode in ("all", "rows"), mode in ("all", "dims")
    whole = fixed_plan(np.ones(sum(field_dims)), np.full(len(field_dims), dim - 1))
    return whole._replace(learn=np.bool_(rows), sample=np.bool_(dims), alpha=np.float32(alpha if rows else 0))


def fixed_plan(keep: Shaped[AnyArray, " values"], dim_index: Int[AnyArray, " fields"]) -> Plan:
    """A table whose rows and dimensions are settled."""
    index = np.asarray(dim_index, np.int32)
    return Plan(np.asarray(keep, np.float32), index, np.bool_(False), np.bool_(False), np.float32(0))


def plan_loss(net: Supernet, batch: tuple[AnyArray, AnyArray, Plan], key: jax.Array) -> Float[Array, ""]:
    """`supernet_loss` as a plan has it: with dimensions drawn uniformly from `0 .. D - 1` for every example and field, or not."""
    ids, labels, plan = batch
    drawn = jax.random.randint(key, ids.shape, 0, net.table.dim)
    dim_index = jnp.where(plan.sample, drawn, plan.dim_index[None])
    logits = net(ids, dim_index, keep=plan.keep, learn=plan.learn)
    return log_loss(logits, labels) + plan.alpha * threshold_penalty(net.table.threshold[...])


def settled_loss(net: Supernet, batch: tuple[AnyArray, AnyArray, Plan], key: jax.Array) -> Float[Array, ""]:
    """`plan_loss` of plans in which nothing is learned or drawn, at half the cost: cross-entropy of a fixed table."""
    ids, labels, plan = batch
    return log_loss(net(ids, plan.dim_index, keep=plan.keep, learn=False), labels)
