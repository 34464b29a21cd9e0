"""Random projections with unbiased inner products: psi inside a block, and the final one over the whole encoding."""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.random import generator

Projection = Literal["dense_sign", "count_sketch", "identity"]


def sample_inner_projections(
    key: jax.Array, dim: int, proj_dim: int, repetitions: int, kind: Projection
) -> Float[Array, "r d p"] | None:
    """Matrices of psi, one a repetition: `E <psi(x), psi(y)> = <x, y>`.

    `dense_sign` is the paper's `S x / sqrt(p)` with independent signs; `count_sketch` is the authors' code: one sign for every
    input coordinate, added to one output coordinate drawn uniformly.

    Args:
        key: for the draws.
        dim: d.
        proj_dim: p.
        repetitions: R.
        kind: `identity` gives None.

    Raises:
        ValueError: for an unknown kind, or a dimension below 1.
    """
    if kind not in get_args(Projection):
        raise ValueError(f"projection is {kind!r}; it must be one of {list(get_args(Projection))}")
    if min(dim, proj_dim, repetitions) < 1:
        raise ValueError(f"dim, proj_dim and repetitions are {dim}, {proj_dim}, {repetitions}; each must be at least 1")
    if kind == "identity":
        return None
    draw = generator(key)
    if kind == "dense_sign":
        return jnp.asarray(draw.choice([-1.0, 1.0], (repetitions, dim, proj_dim)) / proj_dim**0.5, jnp.float32)
    signs = draw.choice([-1.0, 1.0], (repetitions, dim, 1))
    target = draw.integers(0, proj_dim, (repetitions, dim, 1))
    return jnp.asarray(signs * (target == np.arange(proj_dim)), jnp.float32)


class CountSketch(NamedTuple):
    """The final projection, one for queries and documents alike: `out[h(i)] += s(i) x[i]`.

    Attributes:
        index: `h`, int32 `[D]`.
        sign: `s`, +1 or -1 `[D]`.
    """

    index: Int[Array, " dim"]
    sign: Float[Array, " dim"] | Int[Array, " dim"]


def sample_count_sketch(key: jax.Array, dim: int, out_dim: int) -> CountSketch:
    """Uniform targets and signs for `dim` input coordinates.

    Raises:
        ValueError: if a dimension is below 1.
    """
    if min(dim, out_dim) < 1:
        raise ValueError(f"dim is {dim} and out_dim {out_dim}; both must be at least 1")
    draw = generator(key)
    return CountSketch(
        jnp.asarray(draw.integers(0, out_dim, dim), jnp.int32), jnp.asarray(draw.choice([-1.0, 1.0], dim), jnp.float32)
    )


def count_sketch(x: Float[Array, "*batch dim"], sketch: CountSketch, out_dim: int) -> Float[Array, "*batch out"]:
    """Project the last axis. Inner products stay the same in expectation, since both sides share `h` and `s`.

    Args:
        x: vectors.
        sketch: from `sample_count_sketch`.
        out_dim: of the result.

    Raises:
        ValueError: if the sketch is for another dimension.

    >>> count_sketch(jnp.array([1.0, 2.0, 3.0]), CountSketch(jnp.array([0, 1, 0]), jnp.array([1.0, 1.0, -1.0])), 2).tolist()
    [-2.0, 2.0]
    """
    if len(sketch.index) != x.shape[-1]:
        raise ValueError(f"the sketch is for dimension {len(sketch.index)}; x has {x.shape[-1]}")
    columns = jnp.moveaxis(x * jnp.broadcast_to(jnp.asarray(sketch.sign, x.dtype), x.shape), -1, 0)
    return jnp.moveaxis(jax.ops.segment_sum(columns, sketch.index, out_dim), 0, -1)
