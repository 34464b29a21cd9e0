"""The fully connected counterpart: a weight matrix, seen as a tensor, in canonical polyadic form.

With inputs folded to `n_1 x n_2 x ...` and outputs to `m_1 x m_2 x ...`,

    W[i_1 .. i_d, j_1 .. j_e] = sum_r prod_k f_k[i_k, r] prod_l g_l[j_l, r]
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.layers.initialisers import normal
from quire.common.tensors.multilinear import khatri_rao
from quire.wave_cnn.one_way_kernels import factor_std


def cp_linear(
    x: Num[Array, "*batch n"], inward: Sequence[Real[AnyArray, "_ rank"]], outward: Sequence[Real[AnyArray, "_ rank"]]
) -> Float[Array, "*batch m"]:
    """`x W` without W: each input axis is contracted in turn, what is left of size rank spreads over the outputs.

    Args:
        x: `[*batch, n_1 n_2 ...]`, the last axis of the fold fastest.
        inward, outward: factors of the axes of inputs and outputs, `[size, rank]`.

    Raises:
        ValueError: if the sizes of the input factors do not multiply to `n`, or ranks differ.

    >>> cp_linear(jnp.ones((1, 4)), [np.ones((2, 3)), np.ones((2, 3))], [np.ones((5, 3))]).tolist()
    [[12.0, 12.0, 12.0, 12.0, 12.0]]
    """
    sizes = [len(f) for f in inward]
    if not inward or not outward or x.shape[-1] != math.prod(sizes):
        raise ValueError(f"x has shape {x.shape} and the input factors {sizes} rows; the rows multiply to the inputs")
    ranks = {np.shape(f)[1:] for f in (*inward, *outward)}
    if len(ranks) > 1 or len(next(iter(ranks))) != 1:
        raise ValueError(f"factors have shapes {[np.shape(f) for f in (*inward, *outward)]}; they need [size, rank], of one rank")
    h = x.reshape(*x.shape[:-1], *sizes)
    h = jnp.tensordot(h, jnp.asarray(inward[-1]), 1)
    for factor in reversed(inward[:-1]):
        h = jnp.einsum("...ir,ir->...r", h, jnp.asarray(factor))
    return h @ khatri_rao(outward).T


class CPLinear(nnx.Module):
    """A linear map whose weights are a sum of products of vectors, with a bias.

    Args:
        in_shape, out_shape: how inputs and outputs are folded.
        rank: terms.
        rngs: for the initial factors; the matrix has He's variance.

    Raises:
        ValueError: if a size or the rank is below 1, or a fold has no axis.

    >>> layer = CPLinear((8, 12), (8, 12), 4, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((2, 96))).shape, layer.num_params()
    ((2, 96), 256)
    """

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], rank: int, *, rngs: nnx.Rngs):
        check_at_least("number of axes", min(len(in_shape), len(out_shape)))
        check_at_least("size of an axis", min(*in_shape, *out_shape))
        ways = len(in_shape) + len(out_shape)
        draw = normal(factor_std(2 / math.prod(in_shape), rank, ways))
        self.inward = nnx.List([nnx.Param(draw(rngs.params(), (n, rank))) for n in in_shape])
        self.outward = nnx.List([nnx.Param(draw(rngs.params(), (n, rank))) for n in out_shape])
        self.bias = nnx.Param(jnp.zeros(math.prod(out_shape)))

    def __call__(self, x: Num[Array, "*batch n"]) -> Float[Array, "*batch m"]:
        """The map, its bias added."""
        y = cp_linear(x, [f[...] for f in self.inward], [f[...] for f in self.outward])
        return y + self.bias[...].reshape((1,) * (y.ndim - 1) + (-1,))

    def dense_kernel(self) -> Float[Array, "n m"]:
        """The matrix that the factors stand for."""
        return khatri_rao([f[...] for f in self.inward]) @ khatri_rao([f[...] for f in self.outward]).T

    def num_params(self) -> int:
        """`R (sum n_k + sum m_l) + prod m_l`."""
        return sum(math.prod(f.shape) for f in [*self.inward, *self.outward]) + math.prod(self.bias.shape)
