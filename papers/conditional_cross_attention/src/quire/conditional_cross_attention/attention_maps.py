"""What each condition attends to."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.layers.intermediates import capture
from quire.conditional_cross_attention.network import CCANet
from quire.conditional_cross_attention.trunk import Images


def attention_maps(net: CCANet, images: Images) -> Float[Array, "batch attributes heads n"]:
    """Weights of all tokens under every attribute, that of the class first; they sum to one over the tokens."""
    tokens = net.encode_tokens(images)
    _, seen = capture(net.head, tokens, net.all_conditions(len(tokens)))
    return jnp.moveaxis(jnp.asarray(seen["attention"]["attention"][0]), -3, -2)


def patch_maps(weights: Float[Array, "*batch heads n"], grid: tuple[int, int]) -> Float[Array, "*batch rows columns"]:
    """Weights of the patches in their places, the mean over heads; what the class token takes is left out.

    Raises:
        ValueError: if the tokens are not one for the class and one for each place.

    >>> patch_maps(jnp.array([[0.5, 0.25, 0.25], [0.0, 0.75, 0.25]]), (1, 2)).tolist()
    [[0.5, 0.25]]
    """
    rows, columns = grid
    if weights.shape[-1] != rows * columns + 1:
        raise ValueError(f"weights are of {weights.shape[-1]} tokens; {rows} x {columns} patches and the class are needed")
    return weights.mean(-2)[..., 1:].reshape(*weights.shape[:-2], rows, columns)
