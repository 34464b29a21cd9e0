"""Draws that cost little to compile: on the host, and several arrays at once."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np


def generator(key: jax.Array) -> np.random.Generator:
    """NumPy's generator, seeded by a key: for what is drawn once, outside of compiled loops.

    JAX compiles its own generators anew for every shape, which takes longer than most draws do.

    >>> print(generator(jax.random.key(1)).integers(0, 100, 3))
    [52 88 99]
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def draw_together(draw: Callable[[tuple[int]], jax.Array], shapes: Sequence[tuple[int, ...]]) -> list[jax.Array]:
    """Arrays of several shapes out of one draw, since JAX compiles a generator for every shape: initial weights, for instance.

    Args:
        draw: `(n,) -> n` independent numbers; traceable.
        shapes: of the arrays.

    >>> key = jax.random.key(0)
    >>> [x.shape for x in draw_together(lambda shape: jax.random.normal(key, shape), [(2, 3), (3,)])]
    [(2, 3), (3,)]
    """
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    parts = jnp.split(draw((int(ends[-1]),)), ends[:-1].tolist())
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
