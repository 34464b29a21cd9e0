"""The Gaunt tensor product: multiply fields on the sphere, coefficient by coefficient (section 3.1 and 3.2 of the paper).

`(x1 o x2)_a3 = sum_{a1 a2} G_{a1 a2 a3} x1_a1 x2_a2` with Gaunt coefficients G. One result, five ways to compute it.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from scipy.fft import next_fast_len

from quire.common.checks import check_at_least
from quire.common.equivariant.clebsch_gordan import gaunt
from quire.common.equivariant.irreps import at_least_float32, lmax_of, num_coefficients, per_degree
from quire.common.equivariant.sphere_grid import PRECISION, from_grid, from_grid_separable, to_grid, to_grid_separable
from quire.common.equivariant.torus_fourier import (
    fourier_product,
    fourier_to_sh,
    from_half_series,
    from_torus,
    half_series,
    sh_to_fourier,
    to_torus,
)

Evaluator = Literal["dense", "fourier", "fft", "grid", "separable"]
Method = Literal["auto", Evaluator]
Rows = Float[Array, "rows _"]


def dense(x1: Rows, x2: Rows, lmax_out: int) -> Rows:
    """The definition: one contraction with the table of Gaunt coefficients, `O(L^6)`."""
    G = gaunt(lmax_of(x1), lmax_of(x2), lmax_out).astype(x1.dtype)
    outer = (x1[:, :, None] * x2[:, None, :]).reshape(len(x1), len(G) * G.shape[1])
    return jnp.matmul(outer, G.reshape(-1, G.shape[-1]), precision=PRECISION)


def fourier(x1: Rows, x2: Rows, lmax_out: int) -> Rows:
    """Series of both factors, their direct 2-D convolution, and back: `O(L^4)`, no FFT."""
    return fourier_to_sh(fourier_product(sh_to_fourier(x1), sh_to_fourier(x2)), lmax_out)


def fft(x1: Rows, x2: Rows, lmax_out: int) -> Rows:
    """The paper's method: sparse transforms order by order, `O(L^3)`, and the convolution by FFTs, `O(L^2 log L)`.

    The azimuth keeps `v >= 0` only and its FFTs are real; the polar angle runs over the whole circle.
    """
    total = lmax_of(x1) + lmax_of(x2)
    size = next_fast_len(2 * total + 1)
    values = to_torus(half_series(x1), size) * to_torus(half_series(x2), size)
    return from_half_series(from_torus(values, total, lmax_out), lmax_out)


def grid(x1: Rows, x2: Rows, lmax_out: int) -> Rows:
    """Values on a quadrature grid of the sphere, their product, and back: three matrix products, `O(L^4)`
    with a small constant."""
    degree = lmax_of(x1) + lmax_of(x2) + lmax_out
    return from_grid(to_grid(x1, degree) * to_grid(x2, degree), lmax_out, degree)


def separable(x1: Rows, x2: Rows, lmax_out: int) -> Rows:
    """The grid with degree and order transformed one after the other, `O(L^3)`."""
    degree = lmax_of(x1) + lmax_of(x2) + lmax_out
    return from_grid_separable(to_grid_separable(x1, degree) * to_grid_separable(x2, degree), lmax_out, degree)


EVALUATORS: dict[str, Callable[[Rows, Rows, int], Rows]] = {
    "dense": dense,
    "fourier": fourier,
    "fft": fft,
    "grid": grid,
    "separable": separable,
}


def fastest_method(lmax: int, backend: str | None = None) -> Evaluator:
    """The evaluator that `method="auto"` takes for factors and result of degree up to `lmax`.

    Measured on one CPU core (`quire bench gaunt_tensor_product`): the definition up to degree 2, the whole-matrix grid up to
    5, the separable grid beyond. Accelerators have matrix units and pay for every kernel, so that the whole matrix is preferred
    further there; their limits follow from operation counts, not from a measurement.

    Args:
        lmax: highest of the three degrees.
        backend: `"cpu"`, `"gpu"` or `"tpu"`; None for the one in use.

    Raises:
        ValueError: for a negative degree, or another backend.

    >>> [fastest_method(l, "cpu") for l in (2, 5, 6)]
    ['dense', 'grid', 'separable']
    """
    check_at_least("lmax", lmax, 0)
    if backend not in (None, "cpu", "gpu", "tpu"):
        raise ValueError(f"backend is {backend!r}; choose from cpu, gpu, tpu")
    dense_to, grid_to = (2, 5) if (backend or jax.default_backend()) == "cpu" else (2, 16)
    return "dense" if lmax <= dense_to else "grid" if lmax <= grid_to else "separable"


@partial(jax.jit, static_argnames=("lmax_out", "method"))
def gaunt_tensor_product(
    x1: Float[Array, "*batch n1"],
    x2: Float[Array, "*batch n2"],
    lmax_out: int | None = None,
    method: Method = "auto",
    w1: Float[Array, "..."] | None = None,
    w2: Float[Array, "..."] | None = None,
    w3: Float[Array, "..."] | None = None,
) -> Float[Array, "*batch n3"]:
    """Product of fields on the sphere, `(x1 o x2)_l3 = sum_{l1 l2} w1_l1 w2_l2 w3_l3 G_{l1 l2 l3} x1_l1 x2_l2`.

    Equal to a Clebsch-Gordan product over the paths with even `l1 + l2 + l3`, path weights `gaunt_path_weights` times the
    factorised weights, summed to one copy per degree. The antisymmetric paths, the cross product among them, are not part of
    it.

    Args:
        x1, x2: coefficients `[..., (L + 1)^2]`, with equal leading axes; the degrees may differ.
        lmax_out: highest degree of the result; `L1 + L2`, the whole product, when None.
        method: `"dense"` (definition), `"fourier"` (direct 2-D convolution), `"fft"` (the paper's), `"grid"`,
            `"separable"` (quadrature), or `"auto"`, the fastest for the degree and the backend.
        w1, w2, w3: weights per degree of the factors and of the result, `[L + 1]` or with the leading axes of x1.

    Returns:
        `[..., (lmax_out + 1)^2]` in the dtype of the factors; halves are multiplied in float32.

    Raises:
        ValueError: for coefficients that are not real or not a square in number, leading axes or dtypes that
            differ, degrees that the product does not have, weights of another shape, or an unknown method.

    >>> one = jnp.zeros(9).at[0].set((4 * jnp.pi) ** 0.5)  # the constant function 1
    >>> x = jnp.arange(4.0)
    >>> bool(jnp.allclose(gaunt_tensor_product(one, x, 1), x, atol=1e-5))
    True
    """
    lmax1, lmax2 = lmax_of(x1, "x1"), lmax_of(x2, "x2")
    if x1.shape[:-1] != x2.shape[:-1] or x1.dtype != x2.dtype:
        raise ValueError(f"x1 is {x1.dtype}{x1.shape} and x2 {x2.dtype}{x2.shape}; dtype and leading axes must be equal")
    lmax_out = lmax1 + lmax2 if lmax_out is None else lmax_out
    if not 0 <= lmax_out <= lmax1 + lmax2:
        raise ValueError(f"lmax_out is {lmax_out}; the product of degrees {lmax1} and {lmax2} has degrees 0 to {lmax1 + lmax2}")
    if method == "auto":
        method = fastest_method(max(lmax1, lmax2, lmax_out))
    if method not in EVALUATORS:
        raise ValueError(f"method is {method!r}; choose from auto, {', '.join(EVALUATORS)}")
    x1, x2 = scale_degrees(x1, w1, "w1"), scale_degrees(x2, w2, "w2")
    rows = (at_least_float32(x).reshape(math.prod(x.shape[:-1]), x.shape[-1]) for x in (x1, x2))
    product = EVALUATORS[method](*rows, lmax_out).reshape(*x1.shape[:-1], num_coefficients(lmax_out))
    return scale_degrees(product.astype(x1.dtype), w3, "w3")


def scale_degrees(x: Float[Array, "*batch n"], weights: Float[Array, "..."] | None, name: str) -> Float[Array, "*batch n"]:
    """Coefficients times a weight per degree, `[L + 1]` or with trailing leading axes of x (say, a weight per channel).

    Raises:
        ValueError: if the weights have another shape.
    """
    if weights is None:
        return x
    shape = (*x.shape[:-1], lmax_of(x) + 1)
    if weights.ndim > len(shape) or weights.shape != shape[len(shape) - weights.ndim :]:
        raise ValueError(f"{name} has shape {weights.shape}; it must be {shape[-1:]}, or end {shape} from the right")
    return x * per_degree(jnp.broadcast_to(weights, shape).astype(x.dtype))
