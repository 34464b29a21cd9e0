"""Compositions of task vectors: block by block, as a whole, in parts of blocks, and linearised (sections 3 and 4)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.atlas.task_vectors import Blocks, blocks_of, check_same_blocks, with_blocks
from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_finite, floating, is_concrete
from quire.common.random import generator


def combine(tvs: Mapping[str, Any], coef: Float[AnyArray, "t j"] | Float[AnyArray, " t"]) -> Blocks:
    """`delta_j = sum_t Lambda[t, j] tau_t,j` for every block j; with one coefficient a vector, `sum_t lambda_t tau_t,j`.

    The derivative by `Lambda[t, j]` is the inner product of the derivative by block j with `tau_t,j`: one backward pass through
    the network serves all coefficients.

    Args:
        tvs: task vectors `[T, ...]` by block, see `stack_task_vectors`; in any floating dtype, sums are at least in float32.
        coef: Lambda; columns follow the sorted names of the blocks.

    Raises:
        ValueError: without a vector or a block, for a shape that does not fit, or coefficients that are not finite.

    >>> combine({"b": np.ones((2, 1)), "w": np.ones((2, 3))}, np.array([[1.0, 2.0], [3.0, 4.0]]))["w"].tolist()
    [6.0, 6.0, 6.0]
    """
    names = sorted(tvs)
    count = _count(tvs)
    (coef,) = floating(coef)
    if coef.shape not in ((count, len(names)), (count,)):
        raise ValueError(f"coef has shape {coef.shape}; {count} task vectors of {len(names)} blocks need "
                         f"({count}, {len(names)}) or ({count},)")  # fmt: skip
    check_finite("coef", coef)
    columns = coef if coef.ndim == 2 else jnp.broadcast_to(coef[:, None], (count, len(names)))
    return {name: _weighted(columns[:, j], tvs[name]) for j, name in enumerate(names)}


def compose(base: Any, tvs: Mapping[str, Any], coef: Float[AnyArray, "t j"] | Float[AnyArray, " t"]) -> Any:
    """`theta(Lambda)_j = theta_0,j + sum_t Lambda[t, j] tau_t,j`: the pre-trained model moved along task vectors.

    Args:
        base: pre-trained parameters, any pytree; what is not floating is kept.
        tvs: task vectors `[T, ...]` by block.
        coef: `[T, J]`, one coefficient for every vector and block, or `[T]`, one for every vector.

    Returns:
        Parameters like `base`, in its dtypes.

    Raises:
        ValueError: as `combine`, or if base and vectors have different blocks.

    >>> tvs = {"b": jnp.array([[1.0], [2.0]]), "w": jnp.array([[10.0], [20.0]])}
    >>> compose({"w": jnp.zeros(1), "b": jnp.zeros(1)}, tvs, jnp.array([[1.0, 0.0], [0.0, 0.5]]))
    {'b': Array([1.], dtype=float32), 'w': Array([10.], dtype=float32)}
    """
    return _moved(base, combine(tvs, coef), tvs)


def random_masks(key: jax.Array, base: Any, parts: int, *, matrices_only: bool = False) -> Blocks:
    """To which of K parts every number of every block belongs, drawn once and then fixed.

    Args:
        key: for the draw.
        base: parameters, or stacked shapes of them.
        parts: K.
        matrices_only: leave all but two-dimensional arrays out, as the authors' code does; the paper composes all of them.

    Returns:
        int8 or int32 arrays like the blocks, `0 .. K - 1`, or -1 for what no coefficient moves.

    Raises:
        ValueError: for K below 1, or without a block.

    >>> masks = random_masks(jax.random.key(0), {"w": np.ones((2, 3)), "b": np.ones(2)}, 2, matrices_only=True)
    >>> masks["b"].tolist(), masks["w"].shape
    ([-1, -1], (2, 3))
    """
    check_at_least("parts", parts)
    draw, blocks = generator(key), blocks_of(base)
    if not blocks:
        raise ValueError("base has no block; it needs an array of a floating dtype")
    dtype = np.int8 if parts <= 127 else np.int32
    masks = {name: draw.integers(0, parts, np.shape(x)).astype(dtype) for name, x in blocks.items()}
    left_out = [name for name, x in blocks.items() if matrices_only and np.ndim(x) != 2]
    return masks | {name: np.full_like(masks[name], -1) for name in left_out}


def combine_partitioned(
    tvs: Mapping[str, Any], coef: Float[AnyArray, "t j k"], masks: Mapping[str, Int[AnyArray, "..."]]
) -> Blocks:
    """`delta_j = sum_t sum_k coef[t, j, k] 1[mask_j = k] tau_t,j` (aTLAS x K, section 4): T J K coefficients.

    Args:
        tvs: task vectors `[T, ...]` by block.
        coef: a coefficient for every vector, block and part.
        masks: the part of every number, see `random_masks`.

    Raises:
        ValueError: for shapes that do not fit, or a part that there is not.
    """
    names, count = sorted(tvs), _count(tvs)
    (coef,) = floating(coef)
    if coef.ndim != 3 or coef.shape[:2] != (count, len(names)) or not coef.shape[2]:
        raise ValueError(f"coef has shape {coef.shape}; it must be ({count}, {len(names)}, K) with K at least 1")
    check_finite("coef", coef)
    check_same_blocks("tvs", {n: x.shape[1:] for n, x in tvs.items()}, "masks", {n: x.shape for n, x in masks.items()})
    for name, mask in masks.items():
        if is_concrete(mask) and mask.size and not -1 <= np.min(mask) <= np.max(mask) < coef.shape[2]:
            raise ValueError(f"masks of {name} run from {np.min(mask)} to {np.max(mask)}; parts are -1 to {coef.shape[2] - 1}")
    return {name: _in_parts(coef[:, j], tvs[name], masks[name]) for j, name in enumerate(names)}


def compose_partitioned(
    base: Any, tvs: Mapping[str, Any], coef: Float[AnyArray, "t j k"], masks: Mapping[str, Int[AnyArray, "..."]]
) -> Any:
    """`compose` with a coefficient for each of K random parts of every block.

    Args:
        base, tvs, coef, masks: as for `compose` and `combine_partitioned`.

    Raises:
        ValueError: as these.

    >>> tvs, masks = {"w": jnp.array([[1.0, 1.0, 1.0]])}, {"w": np.array([0, 1, -1])}
    >>> compose_partitioned({"w": jnp.zeros(3)}, tvs, jnp.array([[[2.0, 3.0]]]), masks)["w"].tolist()
    [2.0, 3.0, 0.0]
    """
    return _moved(base, combine_partitioned(tvs, coef, masks), tvs)


def linearized_apply(fn: Callable[[Any, Any], Any], base: Any, deltas: Mapping[str, Any], x: Any) -> Any:
    """`f_lin(x) = f(x; theta_0) + J_theta f(x; theta_0) . delta`, one forward derivative.

    Args:
        fn: `fn(params, x)`.
        base: theta_0.
        deltas: by block, as `combine` returns them, or those of a `TaskVector`.
        x: inputs.

    Raises:
        ValueError: if base and deltas have different blocks.

    >>> fn = lambda params, x: params["w"] ** 2 * x
    >>> float(linearized_apply(fn, {"w": jnp.array(3.0)}, {"w": jnp.array(0.5)}, 1.0))
    12.0
    """
    blocks = blocks_of(base)
    check_same_blocks("base", _shapes(blocks), "deltas", _shapes(deltas))
    start = {name: jnp.asarray(x) for name, x in blocks.items()}
    tangent = {name: jnp.asarray(deltas[name], x.dtype) for name, x in start.items()}
    value, change = jax.jvp(lambda b: fn(with_blocks(base, b), x), (start,), (tangent,))
    return jax.tree.map(jnp.add, value, change)


def _shapes(blocks: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(x) for name, x in blocks.items()}


def _count(tvs: Mapping[str, Any]) -> int:
    counts = {name: x.shape[0] if x.ndim else 0 for name, x in tvs.items()}
    if not counts or min(counts.values()) < 1 or len(set(counts.values())) > 1:
        raise ValueError(f"tvs holds {counts} vectors by block; every block needs the same number, at least 1")
    return next(iter(counts.values()))


def _weighted(column: Array, vectors: Any) -> Array:
    column, vectors = at_least_float32(column, vectors)
    return jnp.tensordot(column, vectors, axes=1, precision="highest")


def _in_parts(coef: Array, vectors: Any, mask: Any) -> Array:
    """`coef [t, k]`; a product with the parts of all numbers, whose derivative is again a product rather than a scatter."""
    coef, vectors = at_least_float32(coef, vectors)
    members = jax.nn.one_hot(jnp.asarray(mask, jnp.int32), coef.shape[1], dtype=coef.dtype, axis=0)
    return jnp.sum(jnp.tensordot(coef, members, axes=1, precision="highest") * vectors, axis=0)


def _moved(base: Any, deltas: Blocks, tvs: Mapping[str, Any]) -> Any:
    blocks = {name: jnp.asarray(x) for name, x in blocks_of(base).items()}
    check_same_blocks("base", _shapes(blocks), "tvs", {name: x.shape[1:] for name, x in tvs.items()})
    return with_blocks(base, {name: (x + deltas[name]).astype(x.dtype) for name, x in blocks.items()})
