"""How the derivative by a logit depends on the distance of its codeword, for one weight and flat logits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.metrics.rank_correlation import spearman
from quire.common.random import generator
from quire.jlcm.mapping import map_codes

SIZE = 8


class Derivatives(NamedTuple):
    """Codewords, and the derivatives by their logits for an upstream derivative of 1, `[draws, SIZE]`; codeword 0 is in use."""

    codebooks: np.ndarray
    default: np.ndarray
    proximal: np.ndarray


def derivatives(key: jax.Array, draws: int) -> Derivatives:
    """Normal codewords and flat logits."""
    codebooks = generator(key).standard_normal((draws, SIZE)).astype(np.float32)

    def of(rule):
        return jax.jit(jax.vmap(jax.grad(lambda logits, book: map_codes(logits[None], book, grad=rule)[0]), (None, 0)))

    flat = jnp.zeros(SIZE)
    return Derivatives(codebooks, np.asarray(of("default")(flat, codebooks)), np.asarray(of("proximal")(flat, codebooks)))


def correlations(found: Derivatives) -> dict[str, np.ndarray]:
    """Rank correlations of |derivative| with a distance, `[draws]`.

    The default rule's distance is that from the soft value; the proximal rule's that from the codeword in use, which itself has
    none and is left out; beside it that of the default rule from the codeword in use.
    """
    soft = np.abs(found.codebooks - found.codebooks.mean(1, keepdims=True))
    used = np.abs(found.codebooks - found.codebooks[:, :1])[:, 1:]
    pairs = {
        "default": (found.default, soft),
        "proximal": (found.proximal[:, 1:], used),
        "default, from the codeword in use": (found.default[:, 1:], used),
    }
    return {name: np.array([spearman(np.abs(a), b) for a, b in zip(*pair, strict=True)]) for name, pair in pairs.items()}
