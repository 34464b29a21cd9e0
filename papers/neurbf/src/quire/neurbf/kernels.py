"""Radial basis functions of a point, a centre and a shape: section 3.1 of the paper, and all kinds of the authors' code."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating
from quire.common.roots import root


def _root(q: Array) -> Array:
    """`sqrt(q)` with derivative 0 at 0; 0 where a shape that is no covariance makes q negative."""
    return root(jnp.maximum(q, 0))


def _inverse_cubic(q: Array) -> Array:
    # in float32 the derivative of 1 / (q^1.5 + 1e-30) at 0 would be infinity times zero
    zero = q <= 0  # not that of NaN
    return jnp.where(zero, 1e30, 1 / (jnp.where(zero, 1, q) ** 1.5 + 1e-30))


PROFILES: dict[str, Callable[[Array], Array]] = {
    "ivq": lambda q: 1 / (1 + q),
    "ivmq": lambda q: 1 / jnp.sqrt(1 + q),
    "gauss": lambda q: jnp.exp(-q / 2),
    "sgauss2": lambda q: jnp.exp(-(q**2) / 4),
    "nsgauss2": lambda q: jnp.exp(-q),
    "markov": lambda q: jnp.exp(-_root(q)),
    "expsin": lambda q: jnp.exp(-jnp.sin(_root(q))),
    "mqd": lambda q: jnp.sqrt(1 + q),
    "qd": lambda q: 1 + q,
    "phs1": _root,
    "phs3": lambda q: _root(q) ** 3,
    "vep": lambda q: 1 - q,
    "ivd": lambda q: 1 / (_root(q) + 1e-10),
    "ivc": _inverse_cubic,
}
"""Kernels of `q = o^T A o`, where o is the offset from the centre."""

SHAPES = ("s", "d", "a")
"""A is one number, a diagonal, or a symmetric matrix."""

KINDS = ("nlin_s", "nlin_d", "nlin_f", *(f"{name}_{shape}" for name in PROFILES for shape in SHAPES))
"""Every kernel: the profile and, after the underscore, its shape. `nlin` is a product of hats, `f` a full factor."""


class Kernels(NamedTuple):
    """Bases of one kind: centres `[k, d]` and shapes `[k, 1]`, `[k, d]` or `[k, d, d]`."""

    kind: str
    centers: Array
    shapes: Array


def check_kind(kind: str) -> tuple[str, str]:
    """Profile and shape of a kind.

    Raises:
        ValueError: for an unknown kind.

    >>> check_kind("ivq_a")
    ('ivq', 'a')
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; choose from {', '.join(KINDS)}")
    name, shape = kind.split("_")
    return name, shape


def shape_params(kind: str, dim: int) -> int:
    """Numbers that the shape of one kernel takes: 1, d, `d (d + 1) / 2` for a symmetric matrix, `d^2` for a factor.

    >>> [shape_params(kind, 3) for kind in ("nlin_s", "ivq_d", "ivq_a", "nlin_f")]
    [1, 3, 6, 9]
    """
    return {"s": 1, "d": dim, "a": dim * (dim + 1) // 2, "f": dim * dim}[check_kind(kind)[1]]


def quadratic_form(offset: Float[Array, "*n d"], shapes: Float[Array, "*n _"] | Float[Array, "*n d d"], shape: str) -> Array:
    """`o^T A o` for A one number (`s`), a diagonal (`d`) or a matrix (`a`)."""
    if shape == "a":
        return jnp.einsum("...i,...ij,...j->...", offset, shapes, offset)
    return jnp.sum(offset**2 * shapes, axis=-1)


def rbf_eval(kind: str, x: Float[Array, "*n d"], centers: Float[Array, "*n k d"], shapes: Array) -> Float[Array, "*n k"]:
    """Responses of k bases at every point.

    `phi = f(o^T A o)` with `o = x - c`, or for `nlin` the product of `clip(1 - |o_d| s_d, 0, 1)` over the axes, and over the
    rows of F for `nlin_f`: `clip(1 - |F_e o|, 0, 1)`.

    Args:
        kind: one of `KINDS`.
        x: points.
        centers: those of the k bases that each point sees.
        shapes: `[..., k, 1]`, `[..., k, d]` or `[..., k, d, d]`: inverse variances, for `nlin` inverse widths.

    Returns:
        Responses; their derivatives are finite at the centres too.

    Raises:
        ValueError: for an unknown kind, or shapes that do not fit the kind and the points.

    References:
        Section 3.1, equations 2 and 3.

    >>> x, c = jnp.array([[1.0, 0.0]]), jnp.zeros((1, 1, 2))
    >>> print(rbf_eval("ivq_s", x, c, jnp.full((1, 1, 1), 3.0)), rbf_eval("nlin_d", x, c, jnp.array([[[0.25, 9.0]]])))
    [[0.25]] [[0.75]]
    """
    name, shape = check_kind(kind)
    x, centers, shapes = floating(x, centers, shapes)
    dim = x.shape[-1]
    wanted = {"s": (1,), "d": (dim,)}.get(shape, (dim, dim))
    if centers.shape[-1] != dim or shapes.shape != (*centers.shape[:-1], *wanted):
        raise ValueError(
            f"centers has shape {centers.shape} and shapes {shapes.shape}; {kind} in {dim} dimensions needs (..., k, {dim}) "
            f"and (..., k, {', '.join(map(str, wanted))})"
        )
    offset = x[..., None, :] - centers
    if name != "nlin":
        return PROFILES[name](quadratic_form(offset, shapes, shape))
    scaled = jnp.einsum("...ed,...d->...e", shapes, offset) if shape == "f" else offset * shapes
    return jnp.prod(jnp.clip(1 - jnp.abs(scaled), 0, 1), axis=-1)


def check_positive_definite(shapes: np.ndarray | Array) -> None:
    """Inverse covariances are symmetric with a Cholesky factor.

    Raises:
        ValueError: naming the first that is not.
    """
    matrices = np.asarray(shapes, float)
    symmetric = np.abs(matrices - matrices.swapaxes(-1, -2)).max((-1, -2)) <= 1e-5 * np.abs(matrices).max((-1, -2))
    lowest = np.where(np.isfinite(matrices).all((-1, -2)) & symmetric, np.linalg.eigvalsh(np.nan_to_num(matrices))[..., 0], -1)
    if (lowest <= 0).any():
        first = int(np.argmax(lowest <= 0))
        raise ValueError(f"shapes[{first}] is {matrices[first].tolist()}; it must be symmetric and positive definite")
