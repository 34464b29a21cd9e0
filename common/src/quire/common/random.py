"""Draws on the host."""

import jax
import numpy as np


def generator(key: jax.Array) -> np.random.Generator:
    """NumPy's generator, seeded by a key: for what is drawn once, outside of compiled loops.

    JAX compiles its own generators anew for every shape, which takes longer than most draws do.

    >>> print(generator(jax.random.key(1)).integers(0, 100, 3))
    [52 88 99]
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))
