"""First weights: all arrays of a model by one compiled draw."""

import itertools
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from quire.common.random import draw_together


@partial(jax.jit, static_argnames="shapes")
def draw_uniform(key: jax.Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """Independent numbers, uniform in -1..1, float32, in arrays of the given shapes.

    >>> [x.shape for x in draw_uniform(jax.random.key(0), ((2, 3), (4,)))]
    [(2, 3), (4,)]
    """
    return draw_together(lambda shape: jax.random.uniform(key, shape, jnp.float32, -1, 1), shapes)


def layer_shapes(widths: Sequence[int]) -> list[tuple[int, ...]]:
    """Weights and biases of linear layers of these widths, in turn.

    >>> layer_shapes([5, 4, 1])
    [(5, 4), (4,), (4, 1), (1,)]
    """
    return [shape for inputs, outputs in itertools.pairwise(widths) for shape in ((inputs, outputs), (outputs,))]
