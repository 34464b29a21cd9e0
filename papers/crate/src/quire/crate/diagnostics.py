"""What the layers do: coding rate, sparsity, attention of the class token, principal components (paper, section 4.2)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Real

from quire.common.checks import floating
from quire.common.layers.crate import projection_rate
from quire.common.layers.intermediates import capture
from quire.common.layers.transformer import TokenClassifier

RATE_EPS = 0.01
"""Constant of the authors' proxy for the coding rate."""

Sown = dict[tuple, Array]
"""What layers sow under one name, by the path of the layer, in depth order."""


def layer_report(model: nnx.Module, x: Array, *, eps: float = RATE_EPS) -> dict[str, Float[Array, " L"]]:
    """Compression and sparsity after each encoder layer, over a batch.

    The rate is the authors' proxy for `R^c`: the summed rate of unit-normalised head projections `LN(x) W` (`projection_rate`).

    Args:
        model: any module with CRATE layers: a classifier, an encoder, an autoencoder's encoder, a language model.
        x: its input, with one leading batch axis.
        eps: constant of the proxy; it stands for the square of a precision.

    Returns:
        `coding_rate` `[L]` in nats, mean over the batch; `coding_rate_std` `[L]`, unbiased standard deviation (zero for a batch
        of one); `zero_fraction` `[L]`, fraction of exact zeros after ISTA.

    Raises:
        ValueError: if the model has no CRATE layer.
    """
    return _report(model, *sown(model, x, "codes", "projections"), eps)


def _report(model: nnx.Module, codes: Sown, projections: Sown, eps: float) -> dict[str, Float[Array, " L"]]:
    if not codes:
        raise ValueError(f"model is a {type(model).__name__} without ISTA layers; a report needs CRATE layers")
    rates = jnp.stack([projection_rate(projections[name], eps) for name in codes])
    dtype, ddof = rates.dtype, min(1, rates.shape[1] - 1)
    return {
        "coding_rate": rates.mean(1),
        "coding_rate_std": rates.std(1, ddof=ddof),
        "zero_fraction": jnp.stack([jnp.mean((sparse == 0).astype(dtype)) for sparse in codes.values()]),
    }


def sown(model: nnx.Module, x: Array, *names: str) -> list[Sown]:
    """What the layers of `model` sow while it reads `x`, by the path of the layer, in depth order.

    Args:
        model: any module.
        x: its input.
        names: of what is wanted: `"attention"`, `"projections"` (of MSSA), `"codes"` (of ISTA).

    Returns:
        One dictionary for each name.
    """
    leaves = [(path, leaf.get_value()[-1]) for path, leaf in nnx.to_flat_state(capture(model, x)[1])]
    leaves.sort(key=lambda leaf: [(isinstance(part, str), part) for part in leaf[0]])
    return [{path[:-2]: value for path, value in leaves if path[-1] == name} for name in names]


def class_attention(model: TokenClassifier, images: Float[Array, "batch h w c"]) -> Float[Array, "L batch K rows columns"]:
    """Attention of the class token to every patch, per layer and head: the segmentation maps of the paper.

    Args:
        model: a classifier, CRATE or ViT.
        images: `[batch, height, width, channels]`.

    Returns:
        `[L, batch, K, rows, columns]`.
    """
    return _class_maps(model, images, sown(model, images, "attention")[0])


def _class_maps(model: TokenClassifier, images: Array, attention: Sown) -> Float[Array, "L batch K rows columns"]:
    rows = images.shape[1] // model.embed.patch_size
    maps = jnp.stack(list(attention.values()))[..., 0, 1:]
    return maps.reshape((*maps.shape[:-1], rows, -1))


def classifier_report(model: TokenClassifier, images: Float[Array, "batch h w c"]) -> dict[str, Array]:
    """All there is to see of a CRATE classifier in one pass.

    Args:
        model: the classifier.
        images: `[batch, height, width, channels]`.

    Returns:
        What `layer_report` does, and of the last layer `class_tokens` `[batch, d]` and `class_attention`
        `[batch, K, rows, columns]`.

    Raises:
        ValueError: if the model has no CRATE layer.
    """
    codes, projections, attention = sown(model, images, "codes", "projections", "attention")
    report = _report(model, codes, projections, RATE_EPS)
    maps = _class_maps(model, images, attention)[-1]
    return report | {"class_tokens": list(codes.values())[-1][:, 0], "class_attention": maps}


@partial(jax.jit, static_argnames="count")
def patch_components(tokens: Real[Array | np.ndarray, "batch n d"], count: int = 3) -> Float[Array, "batch n count"]:
    """Principal components of patch tokens, taken over all images together.

    Args:
        tokens: `[batch, n, d]`, without class tokens.
        count: how many.

    Returns:
        Coordinates `[batch, n, count]`, largest variance first.

    Raises:
        ValueError: if `count` is not between 1 and d, or there is no token.
    """
    (tokens,) = floating(tokens)
    if 0 in tokens.shape[:-1]:
        raise ValueError(f"tokens have shape {tokens.shape}; components need at least one token")
    d = tokens.shape[-1]
    if not 1 <= count <= d:
        raise ValueError(f"count is {count}; tokens of {d} channels have between 1 and {d} principal components")
    flat = tokens.reshape(-1, d)
    centred = flat - jnp.broadcast_to(flat.mean(0), flat.shape)
    axes = jax.scipy.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]
    return (centred @ axes).reshape(*tokens.shape[:-1], count)
