"""What composition is compared with: LoRA, and a random subspace of as many dimensions."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.atlas.task_vectors import Blocks, blocks_of, with_blocks
from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.random import generator


def lora_start(key: jax.Array, base: Any, rank: int) -> dict[str, tuple[Array, Array]]:
    """Factors of a change of every matrix: the first normal with variance 1 / rows, the second zero (Hu et al. 2021).

    Args:
        key: for the first factors.
        base: parameters; arrays that are no matrices stay as they are.
        rank: of the change.

    Raises:
        ValueError: for a rank below 1, or without a matrix.

    >>> {name: (a.shape, b.shape) for name, (a, b) in lora_start(jax.random.key(0), {"w": np.ones((3, 4))}, 2).items()}
    {'w': ((3, 2), (2, 4))}
    """
    check_at_least("rank", rank)
    draw, matrices = generator(key), {name: x for name, x in blocks_of(base).items() if np.ndim(x) == 2}
    if not matrices:
        raise ValueError("base has no matrix; LoRA changes matrices alone")

    def factors(x):
        rows, columns = x.shape
        return jnp.asarray(draw.normal(size=(rows, rank)) / rows**0.5, x.dtype), jnp.zeros((rank, columns), x.dtype)

    return {name: factors(jnp.asarray(x)) for name, x in matrices.items()}


def lora_apply(base: Any, factors: dict[str, tuple[Array, Array]]) -> Any:
    """`W + A B` for every matrix with factors."""
    moved = {name: x + factors[name][0] @ factors[name][1] if name in factors else x for name, x in blocks_of(base).items()}
    return with_blocks(base, moved)


class Subspace(NamedTuple):
    """A random linear map from d numbers to all parameters: each parameter follows one of them, with a sign.

    Attributes:
        follows: which one, int32 arrays by block.
        signs: +1 or -1, int8 arrays by block.
    """

    follows: dict[str, Int[np.ndarray, "..."]]
    signs: dict[str, Int[np.ndarray, "..."]]


def random_subspace(key: jax.Array, base: Any, dim: int) -> Subspace:
    """A sparse random projection P with d orthogonal columns and one entry a row (Li et al. 2018 use sparse ones too).

    It needs as much memory as the parameters, whatever d is.

    Args:
        key: for the draw.
        base: parameters.
        dim: d, at most the number of parameters.

    Raises:
        ValueError: for d below 1 or too large.
    """
    blocks = blocks_of(base)
    total = sum(math.prod(np.shape(x)) for x in blocks.values())
    if not 1 <= dim <= total:
        raise ValueError(f"dim is {dim}; it must be 1 to {total}, the number of parameters")
    draw = generator(key)
    follows = np.split(draw.permutation(total) % dim, np.cumsum([np.size(x) for x in blocks.values()])[:-1])
    return Subspace(
        {name: part.reshape(np.shape(x)).astype(np.int32) for (name, x), part in zip(blocks.items(), follows, strict=True)},
        {name: draw.choice(np.array([-1, 1], np.int8), np.shape(x)) for name, x in blocks.items()},
    )


def subspace_apply(base: Any, subspace: Subspace, d: Float[AnyArray, " dim"]) -> Any:
    """`theta_0 + P d`.

    >>> subspace = random_subspace(jax.random.key(0), {"w": jnp.zeros(4)}, 2)
    >>> jnp.abs(subspace_apply({"w": jnp.zeros(4)}, subspace, jnp.array([1.0, 1.0]))["w"]).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    d = jnp.asarray(d)
    blocks = {name: jnp.asarray(x) for name, x in blocks_of(base).items()}
    moved = {n: x + (subspace.signs[n] * d[subspace.follows[n]]).astype(x.dtype) for n, x in blocks.items()}
    return with_blocks(base, moved)


def random_task_vectors(key: jax.Array, tvs: Blocks) -> Blocks:
    """Normal directions in place of task vectors, every one as long as the one that it replaces, block by block.

    Args:
        key: for the draw.
        tvs: task vectors `[T, ...]` by block.

    >>> tvs = {"w": np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)}
    >>> np.linalg.norm(random_task_vectors(jax.random.key(0), tvs)["w"], axis=1).round(4).tolist()
    [5.0, 0.0]
    """
    draw, drawn = generator(key), {}
    for name, x in sorted(tvs.items()):
        x = np.asarray(x, np.float32)
        new, axes = draw.standard_normal(x.shape, dtype=np.float32), tuple(range(1, x.ndim))
        lengths = [np.sqrt(np.sum(v**2, axis=axes, keepdims=True)) for v in (x, new)]
        drawn[name] = new * lengths[0] / np.where(lengths[1] == 0, 1, lengths[1])
    return drawn
