"""Doubly stochastic memberships: the entropic projection of an affinity, by Sinkhorn's scaling in the logarithmic domain.

P(A) = argmax over doubly stochastic Gamma of  <A, Gamma> - eta sum Gamma log Gamma = exp((A + f 1^T + 1 g^T) / eta)
f_i  = -eta log sum_j exp((A_ij + g_j) / eta)        g_j = -eta log sum_i exp((A_ij + f_i) / eta)
"""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_finite, check_positive

Gradient = Literal["implicit", "unroll", "stopgrad"]
MAX_HALF_ITERS = 10_000
"""Where the converged form stops at the latest: affinities of very small eta have no fixed point within reach."""


def sinkhorn(
    A: Real[AnyArray, "n n"],
    eta: float | Array,
    n_half_iters: int | None = None,
    tol: float | None = None,
    grad: Gradient = "implicit",
) -> Float[Array, "n n"]:
    """The doubly stochastic matrix nearest to an affinity, under an entropy of weight eta.

    Args:
        A: affinities. A symmetric A gives a symmetric Gamma at convergence.
        eta: weight of the entropy: the smaller, the nearer to a permutation; the larger, the nearer to uniform.
        n_half_iters: number of updates of f and g in turn, f first. An odd number leaves the rows exact and the columns only
            nearly so; see `marginal_errors`. Until convergence for None.
        tol: of the converged form, the largest error of a row sum after an update of g; 1e-10 in float64 and 1e-5 in float32 for
            None. It stops after 10000 half-iterations at the latest.
        grad: `"implicit"` differentiates the fixed point, whatever the iterations were: exact at convergence. `"unroll"`
            differentiates the iterations, which must be `n_half_iters`. `"stopgrad"` takes the column potentials g for constants,
            as the related code CPP does.

    Returns:
        Gamma. Derivatives by A and by eta.

    Raises:
        ValueError: for an A that is not square, empty or not finite, an eta that is not positive, another `grad`, both or neither
            of what `grad` needs.

    >>> sinkhorn(jnp.zeros((2, 2)), 0.1).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    check_positive("eta", eta)
    check_finite("A", A)
    (A,) = at_least_float32(A)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or not A.size:
        raise ValueError(f"A has shape {A.shape}; affinities are square, of at least one point")
    if grad not in ("implicit", "unroll", "stopgrad"):
        raise ValueError(f"grad is {grad!r}; it must be implicit, unroll or stopgrad")
    if n_half_iters is not None:
        check_at_least("n_half_iters", n_half_iters)
        if tol is not None:
            raise ValueError(f"n_half_iters is {n_half_iters} and tol is {tol}; give one of them")
    elif grad == "unroll":
        raise ValueError("n_half_iters is None; grad='unroll' needs a number of iterations")
    if tol is None:
        tol = 1e-10 if A.dtype == jnp.float64 else 1e-5
    B = A / jnp.asarray(eta, A.dtype)  # potentials in units of eta from here on
    if grad == "implicit":
        return _implicit(B, n_half_iters, check_positive("tol", tol))
    if grad == "unroll":
        assert n_half_iters is not None
        return _gamma(B, *_half_iterations(B, n_half_iters))
    return _last_row_update(B, n_half_iters, tol)


def marginal_errors(Gamma: Float[AnyArray, "n n"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Largest deviations of a row sum and of a column sum from 1.

    >>> [round(float(x), 3) for x in marginal_errors(jnp.array([[0.5, 0.5], [0.4, 0.6]]))]
    [0.0, 0.1]
    """
    Gamma = jnp.asarray(Gamma)
    return jnp.abs(Gamma.sum(1) - 1).max(), jnp.abs(Gamma.sum(0) - 1).max()


def _rows(B, g):
    return -logsumexp(B + g[None, :], axis=1)


def _columns(B, f):
    return -logsumexp(B + f[:, None], axis=0)


def _gamma(B, f, g):
    return jnp.exp(B + f[:, None] + g[None, :])


def _half_iterations(B, count):
    """Potentials after `count` updates, f first, from g = 0."""

    def pair(potentials, _):
        f = _rows(B, potentials[1])
        return (f, _columns(B, f)), None

    zero = jnp.zeros(len(B), B.dtype)
    (f, g), _ = jax.lax.scan(pair, (zero, zero), None, length=count // 2)
    return (_rows(B, g), g) if count % 2 else (f, g)


def _converged(B, tol):
    """Potentials after an update of g, once the rows sum to 1 within `tol`; the next f would tell how far they are off."""

    def unfinished(state):
        _, _, error, pairs = state
        return (error > tol) & (pairs < MAX_HALF_ITERS // 2)

    def pair(state):
        f, g, _, pairs = state
        g = _columns(B, f)
        following = _rows(B, g)
        return following, g, jnp.abs(jnp.expm1(f - following)).max(), pairs + 1  # row sums are exp(f - next f)

    zero = jnp.zeros(len(B), B.dtype)
    start = _rows(B, zero), zero, jnp.asarray(jnp.inf, B.dtype), 0
    f, g, _, _ = jax.lax.while_loop(unfinished, pair, start)
    return f, g


def _potentials(B, n_half_iters, tol):
    return _converged(B, tol) if n_half_iters is None else _half_iterations(B, n_half_iters)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _implicit(B, n_half_iters, tol):
    return _gamma(B, *_potentials(B, n_half_iters, tol))


def _implicit_forward(B, n_half_iters, tol):
    Gamma = _implicit(B, n_half_iters, tol)
    return Gamma, Gamma


def _implicit_backward(n_half_iters, tol, Gamma, cotangent):
    """With dGamma = Gamma o (dB + df 1^T + 1 dg^T) and constant sums, potentials solve `[I Gamma; Gamma^T I] (df, dg) = -(sums)`.

    The adjoint (u, v) has the same symmetric matrix; u is eliminated. A constant that is added to f and taken from g changes
    nothing, which `1/n` fixes; where Gamma falls apart into blocks each has such a constant, and the small ridge fixes those.
    """
    n, dtype = len(Gamma), Gamma.dtype
    weighted = cotangent * Gamma
    rows, columns = weighted.sum(1), weighted.sum(0)
    ridge = 10 * float(jnp.finfo(dtype).eps)
    system = (1 + ridge) * jnp.eye(n, dtype=dtype) - jnp.matmul(Gamma.T, Gamma, precision="highest") + 1 / n
    v = jnp.linalg.solve(system, columns - jnp.matmul(Gamma.T, rows, precision="highest"))
    u = rows - jnp.matmul(Gamma, v, precision="highest")
    return (weighted - Gamma * (u[:, None] + v[None, :]),)


_implicit.defvjp(_implicit_forward, _implicit_backward)


def _last_row_update(B, n_half_iters, tol):
    """Gradients flow through the last f alone: all others reach Gamma through a g, and those are constants."""
    fixed = jax.lax.stop_gradient(B)
    if n_half_iters is None:
        g = _converged(fixed, tol)[1]
    else:
        g = _half_iterations(fixed, n_half_iters - 1 - (n_half_iters + 1) % 2)[1]
    f = _rows(B, g)
    if n_half_iters is not None and n_half_iters % 2 == 0:
        g = _columns(fixed, jax.lax.stop_gradient(f))
    return _gamma(B, f, g)


def entropy(Gamma: Float[AnyArray, "n n"]) -> Float[Array, ""]:
    """Mean over the rows of `-sum_j Gamma_ij log Gamma_ij`, in nats: 0 for a permutation, log n for the uniform matrix.

    >>> print(f"{entropy(jnp.full((2, 2), 0.5)):.4f}", bool(entropy(jnp.eye(2)) == 0))
    0.6931 True
    """
    Gamma = jnp.asarray(Gamma)
    return -(Gamma * jnp.log(jnp.where(Gamma > 0, Gamma, 1))).sum(1).mean()
