"""Task vectors: what fine-tuning adds to weights, block by block, and their algebra (section 2; Ilharco et al. 2023).

A block is one named array of a floating dtype: each weight and each bias by itself. Blocks are named by their path in the pytree
and ordered by name; integers and other buffers belong to no block. Where two layers share an array, a state of nnx holds it once,
and it is one block.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import at_least_float32

Blocks = dict[str, Any]
"""Arrays by the name of their block."""


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _is_block(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)


def blocks_of(params: Any) -> Blocks:
    """The blocks of a pytree of parameters, by name and in the order of the names.

    >>> list(blocks_of({"w": np.ones((2, 2)), "b": np.ones(2), "step": np.array(3)}))
    ['b', 'w']
    """
    found = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if _is_block(leaf)}
    return dict(sorted(found.items()))


def with_blocks(params: Any, blocks: Blocks) -> Any:
    """The same pytree with other arrays in its blocks."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: blocks[_name(path)] if _is_block(leaf) else leaf, params)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TaskVector:
    """`tau = theta - theta_0`, by block. Vectors add, subtract, and are multiplied by numbers.

    Attributes:
        deltas: arrays by the name of their block.

    >>> base, tuned = {"w": jnp.ones(2)}, {"w": jnp.array([4.0, 5.0])}
    >>> vector = TaskVector.from_params(base, tuned)
    >>> vector.apply(base, -1.0)["w"].tolist(), float((2 * vector).norm())
    ([-2.0, -3.0], 10.0)
    """

    deltas: Blocks

    @classmethod
    def from_params(cls, base: Any, tuned: Any, dtype: Any = None) -> "TaskVector":
        """What fine-tuning added.

        Args:
            base, tuned: parameters before and after, of one structure: nested dictionaries, states of nnx, the arrays of a file.
            dtype: to store it in, that of the parameters by default. Differences of 1e-4 keep three digits in bfloat16: whatever
                uses them sums at least in float32.

        Raises:
            ValueError: if blocks are missing on one side or have other shapes, all of them named; without any block.
        """
        old, new = blocks_of(base), blocks_of(tuned)
        check_same_blocks("base", _shapes(old), "tuned", _shapes(new))
        return cls({name: jnp.asarray(new[name] - old[name], dtype) for name in old})

    def __add__(self, other: "TaskVector") -> "TaskVector":
        return self._with(other, jnp.add)

    def __sub__(self, other: "TaskVector") -> "TaskVector":
        return self._with(other, jnp.subtract)

    def __neg__(self) -> "TaskVector":
        return TaskVector(jax.tree.map(jnp.negative, self.deltas))

    def __mul__(self, factor: Any) -> "TaskVector":
        return TaskVector({name: (factor * x).astype(x.dtype) for name, x in self.deltas.items()})

    __rmul__ = __mul__

    def dot(self, other: "TaskVector") -> Float[Array, ""]:
        """Inner product over all blocks, summed at least in float32.

        Raises:
            ValueError: for other blocks.
        """
        check_same_blocks("this vector", _shapes(self.deltas), "other", _shapes(other.deltas))
        return sum((jnp.vdot(_wide(x), _wide(other.deltas[name])) for name, x in self.deltas.items()), jnp.zeros(()))

    def norm(self) -> Float[Array, ""]:
        """Euclidean length over all blocks."""
        return jnp.sqrt(self.dot(self))

    def apply(self, base: Any, alpha: Any = 1.0) -> Any:
        """`theta_0 + alpha tau`; negative factors unlearn.

        Args:
            base: parameters.
            alpha: factor of all blocks.

        Raises:
            ValueError: if the parameters have other blocks.
        """
        blocks = {name: jnp.asarray(x) for name, x in blocks_of(base).items()}
        check_same_blocks("base", _shapes(blocks), "this vector", _shapes(self.deltas))
        return with_blocks(base, {n: (x + alpha * _wide(self.deltas[n])).astype(x.dtype) for n, x in blocks.items()})

    def _with(self, other: "TaskVector", operation: Callable[[Any, Any], Any]) -> "TaskVector":
        check_same_blocks("this vector", _shapes(self.deltas), "other", _shapes(other.deltas))
        return TaskVector({name: operation(x, other.deltas[name]) for name, x in self.deltas.items()})


def stack_task_vectors(vectors: Sequence[TaskVector]) -> Blocks:
    """Several task vectors as one array `[T, ...]` a block.

    Raises:
        ValueError: without a vector, or for vectors with different blocks.

    >>> stack_task_vectors([TaskVector({"w": jnp.ones(3)})] * 2)["w"].shape
    (2, 3)
    """
    if not vectors:
        raise ValueError("vectors is empty; a composition needs at least one task vector")
    first = _shapes(vectors[0].deltas)
    for number, vector in enumerate(vectors):
        check_same_blocks("vector 0", first, f"vector {number}", _shapes(vector.deltas))
    return {name: jnp.stack([vector.deltas[name] for vector in vectors]) for name in first}


def cosine_matrix(stacked: Mapping[str, Any]) -> Float[Array, "t t"]:
    """Cosines between all pairs of stacked task vectors; 0 beside a vector of zeros.

    Raises:
        ValueError: without a vector or a block.

    >>> cosine_matrix({"w": np.array([[2.0, 0.0], [1.0, 1.0]])}).round(3).tolist()
    [[1.0, 0.7070000171661377], [0.7070000171661377, 1.0]]
    """
    if not stacked or min(len(x) for x in stacked.values()) < 1:
        raise ValueError(f"stacked holds {_shapes(stacked)}; it needs at least one vector and one block")
    flat = jnp.concatenate([_wide(jnp.asarray(x)).reshape(len(x), -1) for x in stacked.values()], axis=1)
    largest = jnp.abs(flat).max(axis=1, keepdims=True, initial=0)  # squares of tiny numbers would vanish
    flat = flat / jnp.where(largest == 0, 1, largest)
    norm = jnp.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / jnp.where(norm == 0, 1, norm)
    return jnp.matmul(unit, unit.T, precision="highest")


def check_same_blocks(left: str, shapes: Mapping[str, Any], right: str, others: Mapping[str, Any]) -> None:
    """Both sides have the same blocks of the same shapes, at least one.

    Raises:
        ValueError: naming what one side lacks, or the blocks whose shapes differ.
    """
    if not shapes or not others:
        raise ValueError(f"{left if not shapes else right} has no block; it needs an array of a floating dtype")
    lacking = {left: sorted(others.keys() - shapes), right: sorted(shapes.keys() - others)}
    for side, names in lacking.items():
        if names:
            raise ValueError(f"{side} lacks {', '.join(names)}; {left} and {right} must have the same blocks")
    if wrong := [f"{name} {shapes[name]} and {others[name]}" for name in shapes if shapes[name] != others[name]]:
        raise ValueError(f"{left} and {right} have blocks of different shapes: {'; '.join(wrong)}")


def _shapes(blocks: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(x) for name, x in blocks.items()}


def _wide(x: Any) -> Array:
    return at_least_float32(x)[0]
