"""Encoder and decoder: stacks of CRATE layers from tokens to tokens (paper, sections 2.4 and 3.2)."""

from functools import partial

from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.layers.crate import CRATEBlock, CRATEDecoderBlock


class CRATEEncoder(nnx.Module):
    """`depth` encoder layers, each a compression step and a sparsification step.

    Args:
        dim: token channels.
        depth: number of layers.
        num_heads: subspaces K of every layer.
        head_dim: their dimension, `dim // num_heads` by default.
        eta: step size of ISTA.
        lam: sparsity weight of ISTA.
        kernel_init: of the attention maps; the authors' default for None.
        rngs: for the initial weights.

    Raises:
        ValueError: as for `quire.common.layers.attention.head_size`, or if `depth` is negative.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        num_heads: int,
        head_dim: int | None = None,
        *,
        eta: float = 0.1,
        lam: float = 0.1,
        kernel_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        block = partial(CRATEBlock, dim, num_heads, head_dim, eta=eta, lam=lam, kernel_init=kernel_init, rngs=rngs)
        self.blocks = nnx.List([block() for _ in range(check_at_least("depth", depth, 0))])

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch n dim"]:
        for block in self.blocks:
            x = block(x)
        return x


class CRATEDecoder(nnx.Module):
    """`depth` decoder layers, each the two steps of an encoder layer undone in reverse order.

    Args:
        dim, depth, num_heads, head_dim, kernel_init, rngs: as for `CRATEEncoder`.
        softmax: False takes the scaled scores themselves as weights (linear attention).

    Raises:
        ValueError: as for `CRATEEncoder`.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        num_heads: int,
        head_dim: int | None = None,
        *,
        softmax: bool = True,
        kernel_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        block = partial(CRATEDecoderBlock, dim, num_heads, head_dim, softmax=softmax, kernel_init=kernel_init, rngs=rngs)
        self.blocks = nnx.List([block() for _ in range(check_at_least("depth", depth, 0))])

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch n dim"]:
        for block in self.blocks:
            x = block(x)
        return x
