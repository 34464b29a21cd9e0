"""What the layers do: coding rate, sparsity, attention of the class token, principal components (paper, section 4.2)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Real

from quire.common.checks import floating
from quire.common.layers.crate import projection_rate
from quire.common.layers.intermediates import capture
from quire.common.layers.transformer import TokenClassifier


def layer_report(model: nnx.Module, x: Array, *, eps: float = 0.01) -> dict[str, Float[Array, " L"]]:
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
    layers = sown(model, x, "codes")
    projections = sown(model, x, "projections")
    if not layers:
        raise ValueError(f"model is a {type(model).__name__} without ISTA layers; a report needs CRATE layers")
    rates = jnp.stack([projection_rate(projections[name], eps) for name in layers])
    dtype, ddof = rates.dtype, min(1, rates.shape[1] - 1)
    return {
        "coding_rate": rates.mean(1),
        "coding_rate_std": rates.std(1, ddof=ddof),
        "zero_fraction": jnp.stack([jnp.mean((codes == 0).astype(dtype)) for codes in layers.values()]),
    }


def sown(model: nnx.Module, x: Array, name: str) -> dict[tuple, Array]:
    """What the layers of `model` sow as `name` while it reads `x`, by the path of the layer, in depth order.

    Args:
        model: any module.
        x: its input.
        name: `"attention"` or `"projections"` (of MSSA), `"codes"` (of ISTA).
    """
    _, intermediates = capture(model, x)
    leaves = {path: leaf.get_value()[-1] for path, leaf in nnx.to_flat_state(intermediates) if path[-1] == name}
    depth_first = sorted(leaves, key=lambda path: [(isinstance(part, str), part) for part in path])
    return {path[:-2]: leaves[path] for path in depth_first}


def class_attention(model: TokenClassifier, images: Float[Array, "batch h w c"]) -> Float[Array, "L batch K rows columns"]:
    """Attention of the class token to every patch, per layer and head: the segmentation maps of the paper.

    Args:
        model: a classifier, CRATE or ViT.
        images: `[batch, height, width, channels]`.

    Returns:
        `[L, batch, K, rows, columns]`.
    """
    weights = jnp.stack(list(sown(model, images, "attention").values()))
    rows = images.shape[1] // model.embed.patch_size
    maps = weights[..., 0, 1:]
    return maps.reshape((*maps.shape[:-1], rows, -1))


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
