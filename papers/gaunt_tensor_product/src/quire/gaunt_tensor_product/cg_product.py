"""The baseline: Clebsch-Gordan tensor products, one weighted contraction per path `l1 x l2 -> l3`."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.equivariant.clebsch_gordan import is_path, real_clebsch_gordan
from quire.common.equivariant.irreps import lmax_of, num_coefficients, of_degree
from quire.common.equivariant.sphere_grid import PRECISION

Path = tuple[int, int, int]


def cg_paths(lmax1: int, lmax2: int, lmax_out: int, *, even: bool = False) -> list[Path]:
    """All paths `(l1, l2, l3)` that the triangle rule allows, or those with an even sum, which the Gaunt product has.

    >>> len(cg_paths(1, 1, 1)), len(cg_paths(1, 1, 1, even=True))
    (5, 4)
    """
    degrees = np.ndindex(lmax1 + 1, lmax2 + 1, lmax_out + 1)
    return [path for path in degrees if is_path(*path) and not (even and sum(path) % 2)]


def cg_flops(paths: list[Path], rows: int) -> float:
    """Operations of the path-wise product: the outer product of each pair and one multiply-add per coefficient of each path."""
    return rows * sum((2 * l1 + 1) * (2 * l2 + 1) * (1 + 2 * (2 * l3 + 1)) for l1, l2, l3 in paths)


@partial(jax.jit, static_argnames=("lmax_out", "even", "method"))
def cg_tensor_product(
    x1: Float[Array, "*batch n1"],
    x2: Float[Array, "*batch n2"],
    lmax_out: int,
    weights: Float[Array, "l1 l2 l3"] | np.ndarray | None = None,
    *,
    even: bool = False,
    method: Literal["paths", "dense"] = "paths",
) -> Float[Array, "*batch n3"]:
    """Sum of all paths, `(x1 x x2)_l3 = sum_{l1 l2} w_{l1 l2 l3} C_{l1 l2 l3} (x1_l1, x2_l2)`, `O(L^6)`.

    Args:
        x1, x2: coefficients `[..., (L + 1)^2]` with equal leading axes.
        lmax_out: highest degree of the result.
        weights: of the paths, `[L1 + 1, L2 + 1, lmax_out + 1]`; ones when None. The coefficients C have unit norm.
        even: leave out paths with an odd sum of degrees, such as the cross product.
        method: `"paths"`, one contraction each, or `"dense"`, a single one with the table of all paths.

    Returns:
        `[..., (lmax_out + 1)^2]`, one copy per degree.

    Raises:
        ValueError: for wrong coefficients, leading axes that differ, weights of another shape, or an unknown method.

    >>> x, y = jnp.array([0.0, 1, 0, 0]), jnp.array([0.0, 0, 1, 0])
    >>> round(float(jnp.abs(cg_tensor_product(x, y, 1)[3]) * 6**0.5), 4)  # the cross product over sqrt6
    1.0
    """
    lmax1, lmax2 = lmax_of(x1, "x1"), lmax_of(x2, "x2")
    if x1.shape[:-1] != x2.shape[:-1] or lmax_out < 0:
        raise ValueError(f"x1 has shape {x1.shape}, x2 {x2.shape} and lmax_out is {lmax_out}; leading axes must be equal")
    shape = (lmax1 + 1, lmax2 + 1, lmax_out + 1)
    weights = np.ones(shape) if weights is None else weights
    if weights.shape != shape:
        raise ValueError(f"weights has shape {weights.shape}; degrees {lmax1}, {lmax2} and {lmax_out} need {shape}")
    if method not in ("paths", "dense"):
        raise ValueError(f"method is {method!r}; choose from paths, dense")
    weights = jnp.asarray(weights, x1.dtype)
    paths = cg_paths(lmax1, lmax2, lmax_out, even=even)
    product = _dense if method == "dense" else _path_by_path
    return product(x1, x2, lmax_out, weights, paths)


def _path_by_path(x1, x2, lmax_out, weights, paths):
    parts = [jnp.zeros((*x1.shape[:-1], 2 * l + 1), x1.dtype) for l in range(lmax_out + 1)]
    for l1, l2, l3 in paths:
        C = real_clebsch_gordan(l1, l2, l3).astype(x1.dtype)
        pair = of_degree(x1, l1)[..., :, None] * of_degree(x2, l2)[..., None, :]
        pair = pair.reshape(*pair.shape[:-2], (2 * l1 + 1) * (2 * l2 + 1))
        coupled = jnp.matmul(pair, C.reshape(-1, 2 * l3 + 1), precision=PRECISION)
        parts[l3] += weights[l1, l2, l3] * coupled
    return jnp.concatenate(parts, axis=-1)


def _dense(x1, x2, lmax_out, weights, paths):
    shape = [num_coefficients(lmax) for lmax in (lmax_of(x1), lmax_of(x2), lmax_out)]
    table = jnp.zeros(shape, x1.dtype)
    for l1, l2, l3 in paths:
        block = weights[l1, l2, l3] * real_clebsch_gordan(l1, l2, l3).astype(x1.dtype)
        table = table.at[l1 * l1 : (l1 + 1) ** 2, l2 * l2 : (l2 + 1) ** 2, l3 * l3 : (l3 + 1) ** 2].set(block)
    pair = x1[..., :, None] * x2[..., None, :]
    return jnp.matmul(pair.reshape(*x1.shape[:-1], shape[0] * shape[1]), table.reshape(-1, shape[-1]), precision=PRECISION)
