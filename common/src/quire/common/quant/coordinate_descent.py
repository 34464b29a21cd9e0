"""Codes of a linear layer without gradients: one code after the other, then the codebook by least squares."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids, floating
from quire.common.quant.scalar_codebooks import assign_1d


class Coded(NamedTuple):
    """Codes `[out, in]` into an ascending codebook `[k]`, and the error after every sweep."""

    codes: Int[Array, "out in"]
    codebook: Float[Array, " k"]
    errors: Float[Array, " sweeps"]


def coordinate_descent(
    weights: Float[Array | np.ndarray, "out in"],
    gram: Float[Array | np.ndarray, "in in"],
    codebook: Float[Array | np.ndarray, " k"],
    *,
    sweeps: int = 10,
    codes: Int[Array | np.ndarray, "out in"] | None = None,
    learn_codebook: bool = True,
) -> Coded:
    """Minimise `tr (W - C[h]) G (W - C[h])^T` over the codes h, and the codebook C.

    A sweep goes once through the columns: with all others fixed, the best code of a weight is the one nearest to
    `w_i + sum_(j != i) G_ij (w_j - c_j) / G_ii`, for all rows at once. The best codebook for these codes is a least-squares
    problem of k unknowns; a codeword that nothing uses stays. No step raises the error. Traceable.

    Args:
        weights: one output a row.
        gram: second moments of the inputs `X^T X`, up to a factor; symmetric, positive semidefinite.
        codebook: to start from, ascending.
        sweeps: at least 1.
        codes: to start from; the nearest by default.
        learn_codebook: whether the codebook moves.

    Raises:
        ValueError: for shapes that do not fit, codes out of range, or fewer than one sweep.

    >>> gram = jnp.array([[1.0, 0.9], [0.9, 1.0]])
    >>> found = coordinate_descent(jnp.array([[0.4, 0.4]]), gram, jnp.array([0.0, 1.0]), learn_codebook=False)
    >>> print(found.codes, f"{found.errors[-1]:.3f}")
    [[1 0]] 0.088
    """
    check_at_least("sweeps", sweeps)
    weights, gram, codebook = floating(weights, gram, codebook)
    if weights.ndim != 2 or gram.shape != weights.shape[1:] * 2 or codebook.ndim != 1 or len(codebook) == 0:
        raise ValueError(f"weights, gram, codebook are {weights.shape}, {gram.shape}, {codebook.shape}; see the docstring")
    if codes is not None:
        check_ids("codes", codes, len(codebook))
        if codes.shape != weights.shape:
            raise ValueError(f"codes has shape {codes.shape}; it must be that of the weights, {weights.shape}")
    start = assign_1d(weights, codebook) if codes is None else jnp.asarray(codes, jnp.int32)
    return _descend(weights, gram, codebook, start, sweeps, learn_codebook)


@partial(jax.jit, static_argnames=("sweeps", "learn_codebook"))
def _descend(weights, gram, codebook, codes, sweeps, learn_codebook):
    def sweep(carry, _):
        codebook, codes = carry
        codes = _best_codes(weights, gram, codebook, codes)
        if learn_codebook:
            codebook, codes = _ascending(_least_squares(weights, gram, codebook, codes), codes)
        left = weights - codebook[codes]
        return (codebook, codes), jnp.sum((left @ gram) * left)

    (codebook, codes), errors = jax.lax.scan(sweep, (codebook, codes), length=sweeps)
    return Coded(codes, codebook, errors)


def _best_codes(weights, gram, codebook, codes):
    """One pass over the columns."""

    def column(carry, i):
        left, codes = carry  # left: [out, in], what the codes do not give yet
        curvature = jnp.take(jnp.diagonal(gram), i)
        pull = left @ gram[i]
        old = codebook[codes[:, i]]
        # a column that no input moves keeps its codes
        target = jnp.where(curvature > 0, old + pull / jnp.where(curvature > 0, curvature, 1), old)
        new = assign_1d(target, codebook)
        return (left.at[:, i].add(old - codebook[new]), codes.at[:, i].set(new)), None

    start = weights - codebook[codes], codes
    (_, codes), _ = jax.lax.scan(column, start, jnp.arange(weights.shape[1]))
    return codes


def _least_squares(weights, gram, codebook, codes):
    """Normal equations of the codewords, drawn to where they are by so little that only unused ones notice."""
    size = len(codebook)

    def row(w, code):
        chosen = jax.nn.one_hot(code, size, dtype=w.dtype)
        weighted = gram @ chosen
        return chosen.T @ weighted, w @ weighted

    matrix, target = (part.sum(0) for part in jax.vmap(row)(weights, codes))
    ridge = 1e-6 * jnp.trace(matrix) / size + jnp.finfo(matrix.dtype).tiny
    return jnp.linalg.solve(matrix + ridge * jnp.eye(size, dtype=matrix.dtype), target + ridge * codebook)


def _ascending(codebook, codes):
    order = jnp.argsort(codebook)
    return codebook[order], jnp.argsort(order).astype(codes.dtype)[codes]
