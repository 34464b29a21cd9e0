"""How far the last features move in a few steps, for finite networks under each parametrisation (F2)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from quire.common.mup.abc import ABC
from quire.common.mup.mlp import Scales, mlp, scales, standard_normals, train_abc
from quire.infinite_width.config import Movement

DEPTH = 2

PARAMETRISATIONS = {
    "muP": ABC.maximal_update(DEPTH),
    "NTP": ABC.ntk(DEPTH),
    "SP, lr 1/n": ABC.standard(DEPTH, 1),
    "SP": ABC.standard(DEPTH),
}


@partial(jax.jit, static_argnames=("width", "dim", "steps"))
def _movement(keys: Array, scale: Scales, eta: Array, *, width: int, dim: int, steps: int) -> tuple[Array, Array]:
    """Root mean square change of `x^L` and `h^L` at a fresh input, `[draws]` each."""

    def of_draw(key):
        weights, inputs, labels = jax.random.split(key, 3)  # the data do not depend on the width
        X = jax.random.normal(inputs, (steps + 1, dim))
        y = jax.random.normal(labels, (steps, 1))
        normals = standard_normals(weights, dim, width, DEPTH)
        initial, trained, _ = train_abc(normals, scale, X[:-1], y, eta, jnp.tanh, centred=True)
        before, after = (mlp(w, scale.multipliers, X[-1], jnp.tanh)[1][-1] for w in (initial, trained))
        return jnp.sqrt(jnp.mean((jnp.tanh(after) - jnp.tanh(before)) ** 2)), jnp.sqrt(jnp.mean((after - before) ** 2))

    return jax.lax.map(of_draw, keys)


def movements(cfg: Movement, key: Array) -> dict[str, np.ndarray]:
    """Movement of the last features under each parametrisation, `[draws, widths]`; of `h^L` for SP, whose tanh saturates."""
    keys = jax.random.split(key, cfg.draws)
    moved: dict[str, list[np.ndarray]] = {name: [] for name in PARAMETRISATIONS}
    for width in cfg.widths:
        for name, abc in PARAMETRISATIONS.items():
            x, h = _movement(keys, scales(abc, width), jnp.asarray(cfg.eta), width=width, dim=cfg.dim, steps=cfg.steps)
            moved[name].append(np.asarray(h if name == "SP" else x))
    return {name: np.stack(values, 1) for name, values in moved.items()}


def exponents(widths: tuple[int, ...], moved: np.ndarray) -> np.ndarray:
    """Fitted exponent of each draw `[draws]`, from movements `[draws, widths]`."""
    return np.polyfit(np.log(widths), np.log(moved.astype(float)).T, 1)[0]
