"""Modules of one kind as one module with a leading axis: depth costs no compilation."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from flax import nnx

M = TypeVar("M", bound=nnx.Module)


def stacked(build: Callable[[nnx.Rngs], M], count: int, rngs: nnx.Rngs) -> M:
    """`count` modules whose parameters lie along a leading axis."""
    return nnx.vmap(lambda key: build(nnx.Rngs(key)))(jax.random.split(rngs.params(), count))


def through(stack: nnx.Module, x: Any) -> Any:
    """One module of the stack after the other, as one loop."""
    graph, states = nnx.split(stack)
    return jax.lax.scan(lambda x, state: (nnx.merge(graph, state)(x), None), x, states)[0]


def taken(stack: M, index: int) -> M:
    """One module of a stack, by itself."""
    graph, states = nnx.split(stack)
    return nnx.merge(graph, jax.tree.map(lambda x: x[index], states))
