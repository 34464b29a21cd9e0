"""Multi-task regression on one linear representation, `y = x^T B w_t + noise`, from sums over samples alone.

A task enters least squares only through `X^T X`, `X^T y` and `y^T y`. So tasks with any numbers of samples fill arrays of one
shape, data that arrive later are added, and a step costs the same for a hundred samples and for a million.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Float, Real

from quire.active_multitask.relevance import AnyReal
from quire.common.checks import at_least_float32, check_at_least
from quire.common.manifolds.grassmann import qr_retract

CG_STEPS = 30
"""Conjugate gradients of one update of the representation; preconditioned, they rarely need ten."""


@partial(jax.tree_util.register_dataclass, data_fields=["gram", "cross", "square", "count"], meta_fields=[])
@dataclass(frozen=True)
class Moments:
    """Sums over the samples of tasks; `a + b` is that of all samples of both.

    Attributes:
        gram: `X^T X`, `[*tasks, d, d]`.
        cross: `X^T y`, `[*tasks, d]`.
        square: `y^T y`, `[*tasks]`.
        count: samples, `[*tasks]`.

    As a pytree it also holds what stands for arrays while JAX traces, so that the fields have no type to check.
    """

    gram: Any
    cross: Any
    square: Any
    count: Any

    def __add__(self, other: "Moments") -> "Moments":
        """All samples of both.

        Raises:
            ValueError: if the shapes differ.
        """
        if np.shape(self.cross) != np.shape(other.cross):
            raise ValueError(f"moments of shapes {np.shape(self.cross)} and {np.shape(other.cross)} have no sum")
        return jax.tree.map(lambda a, b: a + b, self, other)

    def __getitem__(self, task: int) -> "Moments":
        """Those of one task."""
        return Moments(*(getattr(self, field.name)[task] for field in fields(self)))


class Fit(NamedTuple):
    """A representation `[d, k]` with orthonormal columns, and the heads of the tasks on it `[k, tasks]`."""

    basis: Array
    heads: Array


class Head(NamedTuple):
    """A head `[k]`, the residual variance around it, and the standard error of the head, as a length."""

    w: Array
    variance: Array
    error: Array


def moments(Xs: Sequence[AnyReal], ys: Sequence[AnyReal]) -> Moments:
    """Sums over the samples of every task, which may have different numbers of them, none included.

    Args:
        Xs: inputs of the tasks, `[n_t, d]`.
        ys: their targets, `[n_t]`.

    Raises:
        ValueError: without a task, or if a shape does not fit.

    >>> data = moments([np.ones((3, 2)), np.ones((1, 2))], [np.ones(3), np.zeros(1)])
    >>> data.gram.shape, data.cross.tolist(), data.count.tolist()
    ((2, 2, 2), [[3.0, 3.0], [0.0, 0.0]], [3.0, 1.0])
    """
    if not len(Xs) or len(Xs) != len(ys):
        raise ValueError(f"Xs has {len(Xs)} tasks and ys {len(ys)}; they need the same number, at least one")
    shapes = [(np.shape(X), np.shape(y)) for X, y in zip(Xs, ys, strict=True)]
    d = shapes[0][0][-1] if shapes[0][0] else 0
    for task, (X, y) in enumerate(shapes):
        if len(X) != 2 or X[1] != d or y != X[:1] or not d:
            raise ValueError(f"task {task} has inputs {X} and targets {y}; it needs [n, {d or 'd'}] and [n]")
    dtype = at_least_float32(*(np.zeros(0, a.dtype) for a in map(np.asarray, (Xs[0], ys[0]))))[0].dtype
    X, y = ([np.asarray(a, np.float64) for a in arrays] for arrays in (Xs, ys))
    sums = (
        np.stack([a.T @ a for a in X]),
        np.stack([a.T @ b for a, b in zip(X, y, strict=True)]),
        np.array([b @ b for b in y]),
        np.array([len(b) for b in y]),
    )
    return Moments(*(jnp.asarray(s, dtype) for s in sums))


def ordinary_least_squares(data: Moments) -> Float[Array, "tasks d"]:
    """`Theta_t`: every task for itself; the shortest solution where samples are too few."""
    return jnp.einsum("tij,tj->ti", jnp.linalg.pinv(jnp.asarray(data.gram), hermitian=True), jnp.asarray(data.cross))


def first_moments(data: Moments) -> Float[Array, "tasks d"]:
    """`X_t^T y_t / n_t`, which for inputs of covariance I estimates the same as least squares and needs no inverse."""
    return jnp.asarray(data.cross) / jnp.maximum(jnp.asarray(data.count), 1)[:, None]


def leading_subspace(theta: Real[AnyReal, "tasks d"], k: int, counts: Real[AnyReal, " tasks"]) -> Float[Array, "d k"]:
    """The k leading left singular vectors of `[sqrt(n_t) Theta_t]`: the start by moments.

    Args:
        theta: an estimate for every task.
        k: dimension.
        counts: samples of the tasks.

    Raises:
        ValueError: unless k is between 1 and d.

    >>> jnp.abs(leading_subspace(np.array([[0.0, 2.0], [0.1, 0.0]]), 1, np.array([4, 4]))).tolist()
    [[0.0], [1.0]]
    """
    theta, counts = at_least_float32(theta, counts)
    d = theta.shape[-1]
    check_k(k, d)
    scaled = (jnp.sqrt(counts)[:, None] * theta).T
    if scaled.shape[1] < k:
        scaled = jnp.pad(scaled, ((0, 0), (0, k - scaled.shape[1])))
    left, _, _ = jnp.linalg.svd(scaled, full_matrices=False)
    return qr_retract(left[:, :k])  # fixes the signs


def task_heads(data: Moments, basis: Float[Array, "d k"]) -> Float[Array, "*tasks k"]:
    """Least squares of every task on features `B^T x`; the shortest solution where samples are too few."""
    gram = jnp.einsum("...ij,ia,jb->...ab", jnp.asarray(data.gram), basis, basis)
    return jnp.einsum("...ab,...b->...a", jnp.linalg.pinv(gram, hermitian=True), jnp.asarray(data.cross) @ basis)


def update_basis(data: Moments, basis: Float[Array, "d k"], heads: Float[Array, "tasks k"]) -> Float[Array, "d k"]:
    """Least squares of B for given heads, `sum_t G_t B w_t w_t^T = sum_t c_t w_t^T`, and an orthonormal basis of its span.

    By conjugate gradients from the basis as it is: no matrix of size dk is formed. If inputs have covariance I, the
    matrix is about `I (x) sum_t n_t w_t w_t^T`, whose inverse is the preconditioner.
    """
    gram, cross = jnp.asarray(data.gram), jnp.asarray(data.cross)
    weight = jnp.trace(gram, axis1=1, axis2=2) / basis.shape[0]
    precondition = jnp.linalg.pinv(jnp.einsum("t,ta,tb->ab", weight, heads, heads), hermitian=True)

    def normal(b: Array) -> Array:
        return jnp.einsum("tij,tj->ti", gram, heads @ b.T).T @ heads

    solved, _ = cg(
        normal,
        cross.T @ heads,
        basis,
        tol=float(jnp.finfo(gram.dtype).eps) ** 0.5,
        maxiter=CG_STEPS,
        M=lambda r: r @ precondition,
    )
    return qr_retract(solved)


@partial(jax.jit, static_argnames=("k", "rounds"))
def _alternate(data: Moments, k: int, rounds: int, start: Array | None) -> Fit:
    basis = leading_subspace(first_moments(data), k, data.count) if start is None else start

    def one_round(_, basis: Array) -> Array:
        return update_basis(data, basis, task_heads(data, basis))

    basis = jax.lax.fori_loop(0, rounds, one_round, basis)
    return Fit(basis, task_heads(data, basis).T)


def fit_mtrl(data: Moments, k: int, *, rounds: int = 10, start: Float[AnyReal, "d k"] | None = None) -> Fit:
    """`argmin over B, w_t of sum_t ||X_t B w_t - y_t||^2` by alternating least squares.

    Args:
        data: sums over the samples of the source tasks; `moments(Xs, ys)` makes them.
        k: dimension of the representation.
        rounds: of the alternation; with none, the start and the heads on it.
        start: orthonormal columns; by default the leading subspace of `X_t^T y_t / n_t`.

    Returns:
        Basis and heads. Tasks without a sample get a head of zero. For `jit` and `vmap`, forward only.

    Raises:
        ValueError: unless `1 <= k <= d`, for negative rounds, or for arrays that do not fit.

    >>> X = np.random.default_rng(0).normal(size=(3, 50, 4))
    >>> fit = fit_mtrl(moments([*X], [X[0, :, 0], 2 * X[1, :, 0], -X[2, :, 0]]), 1)
    >>> print(np.abs(fit.basis).round(2).ravel(), np.abs(fit.heads).round(2).ravel())
    [1. 0. 0. 0.] [1. 2. 1.]
    """
    data = Moments(*at_least_float32(data.gram, data.cross, data.square, data.count))
    if data.cross.ndim != 2 or data.gram.shape != (*data.cross.shape, data.cross.shape[1]) or not data.cross.size:
        raise ValueError(
            f"data has gram {data.gram.shape} and cross {data.cross.shape}; it needs [tasks, d, d] and [tasks, d], not empty"
        )
    d = data.cross.shape[1]
    check_k(k, d)
    check_at_least("rounds", rounds, 0)
    if start is not None:
        (start,) = at_least_float32(start)
        if start.shape != (d, k):
            raise ValueError(f"start has shape {start.shape}; it needs [{d}, {k}]")
        start = start.astype(data.gram.dtype)
    return _alternate(data, k, rounds, start)


def target_head(data: Moments, basis: Float[AnyReal, "d k"]) -> Head:
    """Least squares of the target on features `B^T x`, and how well its samples determine it.

    Args:
        data: sums of one task.
        basis: orthonormal columns.

    Returns:
        The head; `sigma^2 = residual / (n - k)`; the error `sqrt(sigma^2 tr (B^T X^T X B)^+)`.

    Raises:
        ValueError: if data are those of more than one task, or have another d.
    """
    gram, cross, square, count, basis = at_least_float32(data.gram, data.cross, data.square, data.count, basis)
    if cross.ndim != 1 or basis.ndim != 2 or cross.shape != basis.shape[:1]:
        raise ValueError(f"data has cross {cross.shape} and basis shape {basis.shape}; they need [d] and [d, k]")
    return _head(Moments(gram, cross, square, count), basis)


@jax.jit
def _head(data: Moments, basis: Array) -> Head:
    gram, cross = basis.T @ data.gram @ basis, basis.T @ data.cross
    inverse = jnp.linalg.pinv(gram, hermitian=True)
    w = inverse @ cross
    variance = jnp.maximum(data.square - w @ cross, 0) / jnp.maximum(data.count - basis.shape[1], 1)
    return Head(w, variance, jnp.sqrt(variance * jnp.maximum(jnp.trace(inverse), 0)))


def subspace_distance(B: Float[AnyReal, "d k"], Bhat: Float[AnyReal, "d k"]) -> Float[Array, ""]:
    """`||(I - Bhat Bhat^T) B||_2`: the sine of the largest angle between two subspaces, from 0 to 1.

    >>> subspace_distance(np.eye(3)[:, :1], np.eye(3)[:, 1:2]).item()
    1.0
    """
    B, Bhat = at_least_float32(B, Bhat)
    if B.ndim != 2 or Bhat.ndim != 2 or len(B) != len(Bhat):
        raise ValueError(f"B has shape {B.shape} and Bhat {Bhat.shape}; they need orthonormal columns of one length")
    return jnp.linalg.norm(_outside(Bhat, B), 2)


def representation_error(theta: Float[AnyReal, " d"], basis: Float[AnyReal, "d k"]) -> Float[Array, ""]:
    """`||(I - B B^T) theta||^2`: the excess risk that the representation leaves to a target, inputs of covariance I."""
    theta, basis = at_least_float32(theta, basis)
    return jnp.sum(_outside(basis, theta) ** 2)


def _outside(basis: Array, x: Array) -> Array:
    return x - basis @ (basis.T @ x)


def check_k(k: int, d: int) -> None:
    """The dimension of a representation is between 1 and that of its input.

    Raises:
        ValueError: if not.
    """
    if not 1 <= k <= d:
        raise ValueError(f"k is {k}; it must be between 1 and the {d} dimensions of the input")
