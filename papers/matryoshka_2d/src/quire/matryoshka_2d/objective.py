"""The loss over layers and prefixes (section 3): a last and a drawn layer, whole and cut, and the pull of one to the other."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Real, Shaped

from quire.common.checks import check_positive, is_concrete
from quire.matryoshka_2d.base_losses import BaseLoss, widened
from quire.matryoshka_2d.prefix import prefix

Layers = Real[Array, "layers rows dim"]
"""Sentence embeddings of every layer, that of the token embeddings first: `[L + 1, rows, D]`."""
Weight = float | Float[Array, ""]


class LossWeights(NamedTuple):
    """Weights of the five terms, numbers or traced ones, so that one program serves every ablation.

    `LossWeights(1, 0, 0, 0, 0)` trains the last layer alone, `LossWeights(1, 0, 1, 0, 0)` its prefixes too (MRL).
    """

    last: Weight = 1.0
    layer: Weight = 1.0
    last_prefix: Weight = 1.0
    layer_prefix: Weight = 1.0
    kl: Weight = 1.0


class Parts(NamedTuple):
    """`kl_scaled`: KL times its temperature; `loss_full`: of whole embeddings, KL included; `loss_dim`: of prefixes."""

    kl_scaled: Float[Array, ""]
    loss_full: Float[Array, ""]
    loss_dim: Float[Array, ""]


def tdmse_loss(
    layers: Layers,
    labels: Shaped[Array, " pairs"] | None,
    *,
    layer: int | Int[Array, ""],
    dim: int | Int[Array, ""],
    base: BaseLoss,
    tau: Weight = 1.0,
    kl: bool = True,
    weights: LossWeights = LossWeights(),  # noqa: B008  (a tuple of numbers)
    first_release: bool = False,
) -> tuple[Float[Array, ""], Parts]:
    """One step's loss, with l the base loss, n the drawn layer, k the drawn size.

    `l(v_L) + l(v_n) / n + tau KL(softmax(v_L / tau) || softmax(v_n / tau)) + l(v_L[:k]) + l(v_n[:k]) / n`

    Both sides of the KL have a gradient. Prefixes are not scaled to unit length: the losses of cosines do that.

    Args:
        layers: embeddings `[L + 1, rows, D]`.
        labels: what the base loss wants beside embeddings.
        layer: n, between 1 and L; `sample_layer_dim` draws below L. Traced or not.
        dim: k, at most D, and even where the base loss takes angles; if traced, always.
        base: `base(embeddings, labels)`.
        tau: temperature of the KL.
        kl: whether there is one.
        weights: of the five terms.
        first_release: the authors' first version: layer n counts fully, and the KL has `tau^2` in front.

    Returns:
        Loss and parts; NaN for a traced layer or size that there is not.

    Raises:
        ValueError: for a layer or a size that there is not, a temperature that is not positive, fewer than two layers, or what
            the base loss refuses.

    >>> layers = jnp.sin(jnp.arange(3 * 4 * 8.0)).reshape(3, 4, 8)
    >>> from quire.matryoshka_2d.base_losses import AnglE
    >>> base, labels = AnglE(in_batch=0.0), jnp.array([1.0, 0.0])
    >>> loss, parts = tdmse_loss(layers, labels, layer=1, dim=4, base=base)
    >>> print(f"{loss:.4f} {parts.loss_full + parts.loss_dim:.4f} {parts.kl_scaled:.4f}")
    4.2552 4.2552 0.0723

    References:
        AnglE at 75e3ce9; with `first_release`, at 74e5ba2.
    """
    layers = widened(layers)
    check_positive("tau", tau)
    drawn, last = chosen_layer(layers, layer), layers[-1]
    share = 1.0 if first_release else 1.0 / layer
    kl_scaled = (tau**2 if first_release else tau) * layer_kl(last, drawn, tau) if kl else jnp.zeros((), layers.dtype)
    full = weights.last * base(last, labels) + weights.layer * share * base(drawn, labels) + weights.kl * kl_scaled
    last, drawn = prefix(last, dim), prefix(drawn, dim)
    cut = weights.last_prefix * base(last, labels) + weights.layer_prefix * share * base(drawn, labels)
    return full + cut, Parts(kl_scaled, full, cut)


def chosen_layer(layers: Layers, layer: int | Int[Array, ""]) -> Float[Array, "rows dim"]:
    """Embeddings of layer n, counted from 1; NaN for a traced n that is out of range.

    Raises:
        ValueError: for an n that is not between 1 and L.
    """
    depth = len(layers) - 1
    if depth < 1 or (is_concrete(layer) and not 1 <= layer <= depth):
        raise ValueError(f"layer is {layer}; of layers with shape {layers.shape} it must lie between 1 and {depth}")
    if is_concrete(layer):
        return layers[int(layer)]
    return jnp.take(layers, jnp.where(layer < 1, depth + 1, layer), axis=0, mode="fill")


def layer_kl(teacher: Real[Array, "rows dim"], student: Real[Array, "rows dim"], tau: Weight) -> Float[Array, ""]:
    """Mean over rows of `KL(softmax(t / tau) || softmax(s / tau))`; the softmax runs over the coordinates of an embedding.

    Args:
        teacher, student: embeddings of the last layer and of a shallower one.
        tau: temperature.

    Raises:
        ValueError: without rows.

    >>> print(layer_kl(jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0]]), 1.0))
    0.0
    """
    if len(teacher) == 0:
        raise ValueError("teacher has no rows; at least one is needed")
    log_t, log_s = (jax.nn.log_softmax(widened(x) / tau, axis=-1) for x in (teacher, student))
    return jnp.mean(jnp.sum(jnp.exp(log_t) * (log_t - log_s), axis=-1))
