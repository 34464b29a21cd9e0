"""How far the last features move in a few steps, for finite networks under each parametrisation (F2)."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from quire.common.mup.abc import ABC
from quire.common.mup.mlp import Scales, mlp, padded_normals, scales, train_abc
from quire.common.random import generator
from quire.infinite_width.config import Movement
from quire.infinite_width.convergence import SHARED

DEPTH = 2

PARAMETRISATIONS = {
    "muP": ABC.maximal_update(DEPTH),
    "NTP": ABC.ntk(DEPTH),
    "SP, lr 1/n": ABC.standard(DEPTH, 1),
    "SP": ABC.standard(DEPTH),
}


@jax.jit
def _movement(normals: tuple[Array, ...], scale: Scales, X: Array, y: Array, eta: Array, width: Array) -> tuple[Array, Array]:
    """Root mean square change of `x^L` and `h^L` at a fresh input, the last row of X."""
    initial, trained, _ = train_abc(normals, scale, X[:-1], y, eta, jnp.tanh, centred=True)
    before, after = (mlp(w, scale.multipliers, X[-1], jnp.tanh)[1][-1] for w in (initial, trained))

    def rms(change):
        return jnp.sqrt(jnp.sum(change**2) / width)

    return rms(jnp.tanh(after) - jnp.tanh(before)), rms(after - before)


def movements(cfg: Movement, key: Array) -> dict[str, np.ndarray]:
    """Movement of the last features under each parametrisation, `[draws, widths]`; of `h^L` for SP, whose tanh saturates.

    A draw has the same data at every width and the same network, up to scales, under every parametrisation.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # SP is unstable: that is what is shown
        powers = {(name, n): scales(abc, n) for name, abc in PARAMETRISATIONS.items() for n in cfg.widths}
    moved = {name: np.zeros((cfg.draws, len(cfg.widths))) for name in PARAMETRISATIONS}
    for draw, rng in enumerate(generator(key).spawn(cfg.draws)):
        X, y = rng.standard_normal((cfg.steps + 1, cfg.dim), np.float32), rng.standard_normal((cfg.steps, 1), np.float32)
        for i, width in enumerate(cfg.widths):
            normals = jax.device_put(padded_normals(rng, cfg.dim, width, DEPTH, max(width, SHARED)))
            for name, found in moved.items():
                x, h = _movement(normals, powers[name, width], X, y, np.float32(cfg.eta), np.float32(width))
                found[draw, i] = h if name == "SP" else x
    return moved


def exponents(widths: tuple[int, ...], moved: np.ndarray) -> np.ndarray:
    """Fitted exponent of each draw `[draws]`, from movements `[draws, widths]`."""
    return np.polyfit(np.log(widths), np.log(moved.astype(float)).T, 1)[0]
