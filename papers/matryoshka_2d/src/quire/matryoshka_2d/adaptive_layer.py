"""The same idea as sentence-transformers has it: a loss of adaptive layers around a loss of prefixes.

References:
    `Matryoshka2dLoss`, `AdaptiveLayerLoss` and `MatryoshkaLoss` of sentence-transformers at 85ec6455.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from quire.common.layers.nested import check_sizes, truncate
from quire.matryoshka_2d.base_losses import BaseLoss, widened
from quire.matryoshka_2d.objective import Layers, chosen_layer, layer_kl


def matryoshka_base(base: BaseLoss, sizes: Sequence[int], weights: Sequence[float] | None = None) -> BaseLoss:
    """A base loss summed over prefixes: `l_M(v) = sum_k w_k l(v[:k] / |v[:k]|)`.

    Args:
        base: l.
        sizes: k in any order, the whole dimension among them if it is to be trained; a step may draw some.
        weights: of the sizes, 1 by default.

    Raises:
        ValueError: for no size, one that is named twice, or another number of weights. The loss: for a size above the dimension.

    >>> from quire.common.losses.pair_ranking import cosent_loss
    >>> z, y = jnp.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.6, 0.8]]), jnp.array([0.0, 1.0])
    >>> print(f"{matryoshka_base(cosent_loss, (1, 2))(z, y) - cosent_loss(z, y):.4f}")  # both pairs agree at k = 1
    0.6931
    """
    check_sizes(sorted(sizes), max(sizes, default=0))
    weights = (1.0,) * len(sizes) if weights is None else tuple(weights)
    if len(weights) != len(sizes):
        raise ValueError(f"weights has {len(weights)} numbers for {len(sizes)} sizes; it needs one each")

    def loss(embeddings, labels):
        return sum(w * base(truncate(embeddings, k), labels) for k, w in zip(sizes, weights, strict=True))

    return loss


def adaptive_layer_loss(
    layers: Layers,
    labels: Shaped[Array, " pairs"] | None,
    *,
    chosen: Sequence[int],
    base: BaseLoss,
    tau: float = 0.3,
    last_weight: float = 1.0,
    prior_weight: float = 1.0,
    kl_weight: float = 1.0,
) -> Float[Array, ""]:
    """`w_last l(v_L) + sum_n (w_prior l(v_n) / (n |N|) + w_kl tau KL(v_L || v_n))` over chosen layers n of N.

    With `matryoshka_base` as l and one layer and one size drawn a step, this is the 2D loss of sentence-transformers.

    Args:
        layers: embeddings `[L + 1, rows, D]`.
        labels: what the base loss wants beside embeddings.
        chosen: N, layers between 1 and L - 1; sentence-transformers counts them from 0.
        base: l.
        tau: temperature of the KL; 0 for none.
        last_weight, prior_weight, kl_weight: of the terms.

    Raises:
        ValueError: for a layer that is not below the last, no layer, one that is named twice, or a negative temperature.
    """
    layers = widened(layers)
    chosen, depth = tuple(chosen), len(layers) - 1
    if not chosen or len(set(chosen)) < len(chosen) or not 1 <= min(chosen) <= max(chosen) < depth:
        raise ValueError(f"chosen is {chosen}; it needs different layers between 1 and {depth - 1}")
    if tau < 0:
        raise ValueError(f"tau is {tau}; it must be positive, or 0 for no KL")
    total = last_weight * base(layers[-1], labels)
    for n in chosen:
        drawn = chosen_layer(layers, n)
        total += prior_weight * base(drawn, labels) / (n * len(chosen))
        if tau:
            total += kl_weight * tau * layer_kl(layers[-1], drawn, tau)
    return jnp.asarray(total)
