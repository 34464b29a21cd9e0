"""Equivariant convolution: the product with a filter `sum_l w_l Y_l(r)` along an edge (section 3.3)."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating
from quire.common.equivariant.irreps import lmax_of, num_coefficients, per_degree
from quire.common.equivariant.rotations import align_from_pole, align_to_pole
from quire.common.equivariant.sphere_grid import PRECISION, fold_index, from_grid, polar_table, sphere_grid, to_grid, unfold_index
from quire.common.equivariant.spherical_harmonics import normalize, spherical_harmonics
from quire.common.tables import cached_table
from quire.gaunt_tensor_product.tensor_product import Method, gaunt_tensor_product


@partial(jax.jit, static_argnames=("lmax_out", "frame", "method"))
def gaunt_convolution(
    x: Float[Array, "*batch n"],
    rhat: Float[Array, "*batch 3"],
    weights: Float[Array, "*batch degrees"],
    lmax_out: int | None = None,
    *,
    frame: Literal["fixed", "aligned"] = "fixed",
    method: Method = "auto",
) -> Float[Array, "*batch n3"]:
    """`x o sum_l w_l Y_l(rhat)`, up to degree `lmax_out`.

    In the aligned frame rhat is the polar axis, where the filter does not depend on the azimuth: orders do
    not mix, and what remains is a
    product of functions of the polar angle for each order, `O(L^3)` with rotation there and back. Derivatives are right in every
    direction, the poles included, although no choice of the rotation is continuous there.

    Args:
        x: coefficients `[..., (L + 1)^2]`.
        rhat: directions `[..., 3]`, vectors of any length; of a zero vector, the filter has degree 0 alone.
        weights: of the degrees of the filter, `[..., Lf + 1]`.
        lmax_out: highest degree of the result; L when None.
        frame: `"fixed"`, a Gaunt product by `method`, or `"aligned"`.
        method: evaluator in the fixed frame.

    Returns:
        `[..., (lmax_out + 1)^2]`.

    Raises:
        ValueError: if leading axes differ, `lmax_out` exceeds `L + Lf`, or a name is unknown.

    >>> x, pole = jnp.arange(9.0), jnp.array([0.0, 0.0, 1.0])
    >>> constant = jnp.array([4 * np.pi])  # 4 pi Y_00(pole) Y_00 = 1
    >>> bool(jnp.allclose(gaunt_convolution(x, pole, constant, frame="aligned"), x, atol=1e-5))
    True
    """
    lmax = lmax_of(x)
    lmax_out = lmax if lmax_out is None else lmax_out
    if x.shape[:-1] != rhat.shape[:-1] or x.shape[:-1] != weights.shape[:-1] or rhat.shape[-1] != 3:
        raise ValueError(f"x has shape {x.shape}, rhat {rhat.shape} and weights {weights.shape}; leading axes must be equal")
    lmax_filter = weights.shape[-1] - 1
    if not 0 <= lmax_out <= lmax + lmax_filter:
        raise ValueError(f"lmax_out is {lmax_out}; degrees {lmax} and {lmax_filter} give 0 to {lmax + lmax_filter}")
    x, rhat, weights = floating(x, rhat, weights)
    if frame == "fixed":
        filters = per_degree(weights) * spherical_harmonics(lmax_filter, rhat)
        return gaunt_tensor_product(x, filters, lmax_out, method)
    if frame == "aligned":
        unit, length = normalize(rhat)
        some = (length > 0) | (np.arange(lmax_filter + 1) == 0).reshape((1,) * (length.ndim - 1) + (-1,))
        product = _along_the_pole(align_to_pole(x, unit), jnp.where(some, weights, 0), lmax_out)
        return align_from_pole(product, unit)
    raise ValueError(f"frame is {frame!r}; choose from fixed, aligned")


def summed_convolution(
    x: Float[Array, "*batch senders channels n"],
    rhat: Float[Array, "*batch receivers senders 3"],
    weights: Float[Array, "*batch receivers senders channels degrees"],
    lmax_out: int | None = None,
) -> Float[Array, "*batch receivers channels n3"]:
    """Messages of an equivariant network, `sum_j x_j o sum_l w_ijl Y_l(rhat_ij)`: the convolutions of all senders, summed.

    On the grid the sum is one of values: each sender is transformed once, not along every edge, and each sum comes back once.

    Args:
        x: coefficients of the senders `[..., senders, channels, (L + 1)^2]`.
        rhat: directions `[..., receivers, senders, 3]`, vectors of any length, as for `gaunt_convolution`.
        weights: of the degrees of the filters, `[..., receivers, senders, channels, Lf + 1]`; zeros leave an edge out.
        lmax_out: highest degree of the result; L when None.

    Returns:
        `[..., receivers, channels, (lmax_out + 1)^2]`.

    Raises:
        ValueError: if the axes do not fit together, or `lmax_out` exceeds `L + Lf`.

    >>> x, east, weights = jnp.ones((3, 2, 4)), jnp.ones((5, 3, 3)), jnp.ones((5, 3, 2, 2))
    >>> summed_convolution(x, east, weights).shape
    (5, 2, 4)
    """
    lmax = lmax_of(x)
    lmax_out = lmax if lmax_out is None else lmax_out
    edges = (*rhat.shape[:-1], *x.shape[-2:-1])
    if x.shape[:-2] != (*rhat.shape[:-3], *rhat.shape[-2:-1]) or weights.shape[:-1] != edges or rhat.shape[-1] != 3:
        raise ValueError(
            f"x has shape {x.shape}, rhat {rhat.shape} and weights {weights.shape}; they need [..., senders, channels, n], "
            "[..., receivers, senders, 3] and [..., receivers, senders, channels, degrees]"
        )
    lmax_filter = weights.shape[-1] - 1
    if not 0 <= lmax_out <= lmax + lmax_filter:
        raise ValueError(f"lmax_out is {lmax_out}; degrees {lmax} and {lmax_filter} give 0 to {lmax + lmax_filter}")
    x, rhat, weights = floating(x, rhat, weights)
    degree = lmax + lmax_filter + lmax_out
    filters = to_grid(per_degree(weights) * spherical_harmonics(lmax_filter, rhat)[..., None, :], degree)
    return from_grid((filters * to_grid(x, degree)[..., None, :, :, :]).sum(-3), lmax_out, degree)


@cached_table()
def _pole_values(lmax: int) -> np.ndarray:
    """`Y_l0` at the pole: `sqrt((2 l + 1) / 4 pi)`."""
    return np.sqrt((2 * np.arange(lmax + 1) + 1) / (4 * np.pi))


def _along_the_pole(x, weights, lmax_out):
    """Product with `sum_l w_l Y_l0(pole) Y_l0`, order by order, on Gauss-Legendre nodes in the polar angle."""
    lmax, lmax_filter = lmax_of(x), weights.shape[-1] - 1
    degree = lmax + lmax_filter + lmax_out
    top = max(lmax, lmax_out)
    node_weights = sphere_grid(degree).weights * len(sphere_grid(degree).phi)  # the azimuthal integral of a constant is 2 pi
    filter_table = polar_table(lmax_filter, degree)[lmax_filter] * _pole_values(lmax_filter)[:, None]
    filters = jnp.matmul(weights, filter_table.astype(x.dtype), precision=PRECISION)
    folded = x[..., fold_index(lmax)]
    values = jnp.einsum("...ml,mlt->...mt", folded, polar_table(lmax, degree).astype(x.dtype), precision=PRECISION)
    values = values * filters[..., None, :]
    pad = [(0, 0)] * (values.ndim - 2) + [(top - lmax, top - lmax), (0, 0)]
    values = jnp.pad(values, pad)[..., top - lmax_out : top + lmax_out + 1, :]
    back = (polar_table(lmax_out, degree) * node_weights).astype(x.dtype)
    folded = jnp.einsum("...mt,mlt->...ml", values, back, precision=PRECISION)
    flat = folded.reshape(*x.shape[:-1], num_coefficients(lmax_out) + lmax_out * (lmax_out + 1))
    return flat[..., unfold_index(lmax_out)]
