"""U6: linear encoders from pairs, and what labels cost afterwards."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.claims import shared
from quire.common.manifolds.orthogonal import procrustes
from quire.common.random import generator
from quire.unsupervised_pretraining.config import Contrast, Preset
from quire.unsupervised_pretraining.contrastive import Encoder, draw_pairs, random_encoder, weighted_nll
from quire.unsupervised_pretraining.descent import descend
from quire.unsupervised_pretraining.phases import erm_linear
from quire.unsupervised_pretraining.supervised import PENALTIES, ridge_path

RATE = 0.05


def draw_contrast(config: Contrast, key: jax.Array) -> dict[str, Any]:
    """A true encoder, pairs under it, a random start, and sets of labelled examples; float64, on the host."""
    draw = generator(key)
    truth = random_encoder((config.d, config.r), jax.random.fold_in(key, 1), scale=config.scale)
    pairs = draw_pairs(truth, max(config.ms), draw)
    theta = np.asarray(truth.weights[0], float)
    weights = draw.standard_normal((config.draws, config.r))
    x = draw.standard_normal((config.draws, config.n, config.d))
    noise = config.noise * draw.standard_normal((config.draws, config.n))
    best = weights @ theta
    return {
        "theta": theta,
        "start": np.asarray(random_encoder((config.d, config.r), jax.random.fold_in(key, 2)).weights[0], float),
        "pairs": pairs._replace(linked=pairs.linked.astype(float)),
        "x": x,
        "y": np.einsum("knd,kd->kn", x, best) + noise,
        "best": best,
    }


@partial(jax.jit, static_argnames=("ms", "steps"))
def _pretrain(start, pairs, ms: tuple[int, ...], steps: int) -> Float[Array, "seeds ms r d"]:
    used = (jnp.arange(pairs.x.shape[1])[None] < jnp.asarray(ms)[:, None]).astype(pairs.x.dtype)

    def fit(start, pairs, used):
        return descend(weighted_nll, Encoder((start,)), (pairs, used), RATE, steps=steps)[0].weights[0]

    return jax.vmap(jax.vmap(fit, (None, None, 0)), (0, 0, None))(start, pairs, used)


@jax.jit
def _excess(thetas: Float[Array, "ms r d"], x, y, best) -> dict[str, Array]:
    """Excess risks of one set of labelled examples; x is standard normal, so they are squared distances of coefficients."""

    def squared(c):
        return jnp.sum((c - best) ** 2)

    coefficients, errors = ridge_path(x, y, jnp.asarray(PENALTIES))
    return {
        "two-phase": jax.lax.map(lambda theta: squared(erm_linear(x @ theta.T, y) @ theta), thetas),
        "least squares": squared(coefficients[0]),
        "ridge": squared(coefficients[jnp.argmin(errors)]),
        "nothing learned": squared(jnp.zeros_like(best)),
    }


@shared
def contrast_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """`Procrustes error` `[seeds, ms]`; excess risks `[seeds, draws, ms]` of two-phase, `[seeds, draws]` of the others."""
    config = preset.contrast
    drawn = [draw_contrast(config, key) for key in keys]
    with jax.enable_x64():
        data = jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)
        thetas = np.asarray(_pretrain(data["start"], data["pairs"], config.ms, config.steps))
        aligned = [[_aligned_error(fitted, one["theta"]) for fitted in of] for of, one in zip(thetas, drawn, strict=True)]
        over_draws = jax.jit(lambda thetas, *sets: jax.lax.map(lambda one: _excess(thetas, *one), sets))
        risks = [over_draws(of, one["x"], one["y"], one["best"]) for of, one in zip(thetas, drawn, strict=True)]
        found = {name: np.stack([np.asarray(risk[name]) for risk in risks]) for name in risks[0]}
        return {"Procrustes error": np.array(aligned)} | found


def _aligned_error(fitted: np.ndarray, theta: np.ndarray) -> float:
    """Distance of the encoders after the best turn, relative: for standard normal x, that of the features."""
    turned = fitted.T @ np.asarray(procrustes(jnp.asarray(fitted.T), jnp.asarray(theta.T)))
    return float(np.linalg.norm(turned - theta.T) / np.linalg.norm(theta))
