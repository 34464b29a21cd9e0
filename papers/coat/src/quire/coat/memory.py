"""What training holds in memory, counted on the arrays themselves."""

from collections.abc import Callable
from typing import Any

import jax

from quire.common.metrics.cost import tree_bytes


def saved_arrays(function: Callable[..., Any], *args: Any) -> list[jax.Array]:
    """The arrays that the backward pass of a function keeps, once each, its arguments left out.

    They are what `jax.vjp` closes over, taken out of a compiled forward pass as real arrays.

    Args:
        function: differentiable, of pytrees of floating-point arrays.
        args: its arguments; parameters belong here, so that they are not counted as activations.
    """

    @jax.jit
    def held(*args):
        pullback = jax.vjp(function, *args)[1]
        given = {id(x) for x in jax.tree.leaves(args)}
        return list({id(x): x for x in jax.tree.leaves(pullback) if id(x) not in given}.values())

    return held(*args)


def saved_bytes(function: Callable[..., Any], *args: Any) -> int:
    """Bytes of `saved_arrays`.

    >>> import jax.numpy as jnp
    >>> saved_bytes(lambda x: jnp.sin(jnp.sin(x)), jnp.zeros(5))
    40
    """
    return tree_bytes(saved_arrays(function, *args))


def state_bytes(opt_state: Any) -> int:
    """Bytes of an optimiser's state: moments, scales, counts."""
    return tree_bytes(opt_state)
