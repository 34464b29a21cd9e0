"""Problems of six weights: small enough to know the best rounding, which no method can beat on the same grid."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.quant.reconstruct import reconstruct_block
from quire.common.quant.uniform import Grid
from quire.common.random import generator
from quire.flexround import adaround
from quire.flexround.division import flexround, flexround_codes, start_flexround
from quire.flexround.enumeration import best_neighbour, best_rounding, nearest_rounding, rounding_error
from quire.flexround.methods import rates

WEIGHTS, BITS, SCALE, ZERO = 6, 2, 0.8, 2.0
"""Weights of a problem, and the grid of all problems."""


@dataclass(frozen=True)
class SmallResults:
    """Errors `[problems]` of every method, by name, and the codes `[problems, WEIGHTS]` of the best rounding."""

    errors: dict[str, np.ndarray]
    best_codes: np.ndarray


def small_problems(key: jax.Array, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal weights `[count, 6]`, and square roots `[count, 6, 6]` of the second moments of correlated inputs."""
    rng = generator(key)
    mixing = rng.standard_normal((count, WEIGHTS, WEIGHTS)) / 2 + 0.3 * np.eye(WEIGHTS)
    return rng.standard_normal((count, WEIGHTS)), mixing


@partial(jax.jit, static_argnames="steps")
def _learned_codes(w: jax.Array, roots: jax.Array, steps: int) -> dict[str, jax.Array]:
    grid = Grid(jnp.float32(SCALE), jnp.float32(ZERO))

    def one(w, root):
        w = w[None]
        p = start_flexround(w, grid)
        fixed = rates(p, 2e-2, fixed=("log_s1",))
        divided = reconstruct_block(lambda p, x: x @ flexround(w, p, BITS).T, p, root, root @ w.T, steps=steps, rate=fixed)
        v = reconstruct_block(
            lambda p, x: x @ adaround.adaround_soft(w, p, BITS).T,
            adaround.adaround_init(w, grid),
            root,
            root @ w.T,
            steps=steps,
            rate=0.1,
            penalty=adaround.adaround_penalty,
        )
        return {
            "FlexRound, s1 fixed": flexround_codes(w, divided.params, BITS)[0],
            "AdaRound": adaround.adaround_codes(w, v.params, BITS)[0],
        }

    return jax.vmap(one)(w, roots)


def solve_small_problems(key: jax.Array, count: int, steps: int) -> SmallResults:
    """Every problem by learning, by enumeration, and to nearest, all on one grid."""
    w, roots = small_problems(key, count)
    moments = np.einsum("kij,kil->kjl", roots, roots)
    learned = {name: np.asarray(codes) for name, codes in _learned_codes(np.float32(w), np.float32(roots), steps).items()}
    solved = {
        "best": [best_rounding(*one, SCALE, ZERO, BITS) for one in zip(w, moments, strict=True)],
        "best of the two neighbours": [best_neighbour(*one, SCALE, ZERO, BITS) for one in zip(w, moments, strict=True)],
        "RTN": [nearest_rounding(*one, SCALE, ZERO, BITS) for one in zip(w, moments, strict=True)],
    }
    errors = {name: np.array([found.error for found in each]) for name, each in solved.items()}
    for name, codes in learned.items():
        errors[name] = np.array([rounding_error(a, b, c, SCALE, ZERO) for a, b, c in zip(w, codes, moments, strict=True)])
    return SmallResults(errors, np.array([found.codes for found in solved["best"]]))
