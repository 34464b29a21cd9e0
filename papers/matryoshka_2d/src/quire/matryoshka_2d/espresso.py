"""Espresso Sentence Embeddings, the successor: no draws, every layer in every step, and prefixes pulled to a compression.

References:
    Li et al., *ESE: Espresso Sentence Embeddings*, 2024, arXiv 2402.14776 from its second version on.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real, Shaped

from quire.common.layers.nested import check_sizes
from quire.matryoshka_2d.base_losses import BaseLoss, widened
from quire.matryoshka_2d.objective import Layers, layer_kl


def feature_attention(x: Float[Array, "rows dim"]) -> Float[Array, "dim dim"]:
    """`A = softmax(X^T X / sqrt(D))`, each row of which sums to 1: how coordinates of the embeddings go together."""
    return jax.nn.softmax(x.T @ x / math.sqrt(x.shape[1]), axis=-1)


def compressed(x: Real[Array, "rows dim"], size: int) -> Float[Array, "rows size"]:
    """`X U[:, :k] diag(S[:k])` with `A = U S V^T` of `feature_attention`: what the prefix of k numbers is to look like.

    A column is determined up to its sign. The authors take a randomised decomposition, this is the exact one.

    Args:
        x: embeddings of one layer.
        size: k.

    Raises:
        ValueError: for a size below 1 or above D.

    >>> compressed(jnp.eye(4), 2).shape
    (4, 2)
    """
    x = widened(x)
    check_sizes((size,), x.shape[1])
    u, s, _ = jnp.linalg.svd(feature_attention(x))
    return x @ (u[:, :size] * s[None, :size])


def espresso_loss(
    layers: Layers, labels: Shaped[Array, " pairs"] | None, *, dim: int, base: BaseLoss, tau: float = 1.0
) -> Float[Array, ""]:
    """`l(v_L) + f(v_L) + mean_i w_i f(v_i)`, `f(v) = l(v[:k]) + tau KL(C(v) || v[:k])`, `w_i = 1 / (1 + log(1 + i))`.

    i runs over the states below the last layer but one, the token embeddings being 0; C is `compressed`, without a gradient.

    Args:
        layers: embeddings `[L + 1, rows, D]`.
        labels: what the base loss wants beside embeddings.
        dim: k.
        base: l.
        tau: temperature of the KL.

    Raises:
        ValueError: for a size that there is not, or fewer than two layers.
    """
    layers = widened(layers)
    if len(layers) < 3:
        raise ValueError(f"layers has {len(layers) - 1} layers beside the token embeddings; it needs at least 2")

    def cut(x):
        target = jax.lax.stop_gradient(compressed(x, dim))
        return base(x[:, :dim], labels) + tau * layer_kl(target, x[:, :dim], tau)

    shallow = [cut(x) / layer_share(i) for i, x in enumerate(layers[:-2])]
    return base(layers[-1], labels) + cut(layers[-1]) + sum(shallow) / len(shallow)


def layer_share(i: int) -> float:
    """`1 + log(1 + i)`, by which the loss of state i is divided.

    >>> layer_share(0)
    1.0
    """
    return 1.0 + math.log(1 + i)
